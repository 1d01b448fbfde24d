from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from feast.feature_view import FeatureViewState

from feature_repo.apply import FeastReport, materialise
from feature_repo.check import check_history, check_online
from feature_repo.definitions import feature_names
from feature_repo.environment import prepare
from feature_repo.sources import SCHEMAS
from reaseq.artifacts import Artifact, Draft, Workspace, build
from reaseq.platform.errors import FeatureStoreError
from reaseq.platform.feast_api import FeatureStore
from reaseq.platform.features import OnlineFeatures, Status
from reaseq.schema import INFERRED_BEHAVIORS, TIMESTAMP
from tests import smallworld
from tests.feature_repo.conftest import HISTORY_LIMIT


def test_every_view_is_materialised_whole(feast: FeastReport):
    assert feast.rows == {
        "user_history": smallworld.USERS,
        "user_profile": smallworld.USERS,
        "user_inferred_behaviors": smallworld.USERS,
        "item_knowledge": smallworld.ITEMS,
    }
    assert feast.service == "ranker_v1"
    assert set(feast.seconds) == {"sources", "apply", "check", *SCHEMAS}


def test_a_look_up_gives_what_the_sources_hold_for_every_user(feast: FeastReport):
    online = OnlineFeatures(feast.folder, feast.service)
    sources = {view: pq.read_table(feast.folder / "sources" / f"{view}.parquet").to_pylist() for view in SCHEMAS}
    histories, profiles, inferred = (sources[name] for name in list(SCHEMAS)[:3])
    for history, profile, inference in zip(histories, profiles, inferred, strict=True):
        found = online.user(history["user_id"], feast.now)
        assert found.row is not None
        assert set(found.statuses.values()) == {Status.PRESENT}
        assert found.row.history_items == history["history_items"]
        assert found.row.history_times == history["history_times"]
        assert len(found.row.history_items) <= HISTORY_LIMIT
        names = feature_names("user_profile")
        assert [getattr(found.row, name) for name in names] == [profile[name] for name in names]
        assert found.row.inferred_items == inference["inferred_items"]
        assert found.row.inferred_vectors.dtype == np.float32
        assert found.row.inferred_vectors.ravel().tolist() == inference["inferred_vectors"]
        assert np.allclose(found.row.inferred_confidence, inference["inferred_confidence"])
        assert found.inferred_snapshot == inference["inferred_snapshot"] == smallworld.TEST_START
        assert found.inferred_version == "small"


def test_item_knowledge_holds_vector_codes_and_category(feast: FeastReport, artifacts: dict[str, Artifact]):
    vectors = artifacts["item_vectors"].table("item_vectors.parquet").to_pylist()
    found = OnlineFeatures(feast.folder, feast.service).item_knowledge([row["item_id"] for row in vectors])
    for place, row in enumerate(vectors):
        item = found.items[row["item_id"]]
        assert item.z.tolist() == row["z"]
        assert item.codes == row["codes"]
        assert item.category == smallworld.CATEGORIES[place % 4]


def test_materialising_again_changes_nothing_and_keeps_other_versions(feast: FeastReport, artifacts):
    before = OnlineFeatures(feast.folder, "ranker_v1").user("u03")
    again = materialise(feast.folder, **artifacts, ranker_version=2, history_limit=HISTORY_LIMIT)
    assert again.rows == feast.rows
    assert again.now == feast.now
    after = OnlineFeatures(feast.folder, "ranker_v1").user("u03")
    assert after.row.history_times == before.row.history_times
    services = {service.name for service in FeatureStore(repo_path=str(feast.folder)).list_feature_services()}
    assert services == {"ranker_v1", "ranker_v2"}


def test_a_key_that_did_not_get_online_is_noticed(feast: FeastReport):
    store = FeatureStore(repo_path=str(feast.folder))
    table = pq.read_table(feast.folder / "sources" / "user_profile.parquet")
    check_online(store, "user_profile", table)
    column = table.column("user_id").to_pylist()
    missing = table.set_column(0, table.schema.field(0), [["nobody", *column[1:]]])
    with pytest.raises(FeatureStoreError, match="1 of 40 keys looked up, such as 'nobody'"):
        check_online(store, "user_profile", missing)
    stale = table.set_column(5, table.schema.field(5), [[0] * 40])
    with pytest.raises(FeatureStoreError, match="40 of 40"):
        check_online(store, "user_profile", stale)


def test_a_row_that_the_historical_join_drops_is_noticed(feast: FeastReport):
    store = FeatureStore(repo_path=str(feast.folder))
    table = pq.read_table(feast.folder / "sources" / "user_profile.parquet")
    moment = datetime.fromtimestamp(0, UTC) + timedelta(microseconds=feast.now)
    check_history(store, {"user_profile": table}, moment, {})
    with pytest.raises(FeatureStoreError, match=r"of 40 rows"):
        check_history(store, {"user_profile": table}, moment - timedelta(days=2), {})


@pytest.mark.parametrize("zone", ["America/New_York", "Asia/Kathmandu"])
def test_the_time_zone_of_the_machine_does_not_matter(zone, artifacts, tmp_path, monkeypatch):
    import time

    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        report = materialise(tmp_path / "store", **artifacts, ranker_version=1, history_limit=HISTORY_LIMIT)
        assert report.rows["user_history"] == smallworld.USERS
    finally:
        monkeypatch.undo()
        time.tzset()


def test_an_unknown_environment_and_a_missing_variable_are_named(tmp_path, monkeypatch):
    monkeypatch.delenv("FEAST_REDIS", raising=False)
    monkeypatch.setenv("FEAST_REGISTRY_URL", "sqlite:///x.db")
    with pytest.raises(FeatureStoreError, match="'moon' is unknown; choose one of: cluster, local"):
        prepare(tmp_path, "moon")
    with pytest.raises(FeatureStoreError, match=r"needs FEAST_REDIS to be set"):
        prepare(tmp_path, "cluster")


def test_the_cluster_environment_is_one_that_feast_accepts(tmp_path, monkeypatch):
    monkeypatch.setenv("FEAST_REDIS", "redis.example:6379")
    monkeypatch.setenv("FEAST_REGISTRY_URL", f"sqlite:///{tmp_path}/registry.db")
    prepare(tmp_path, "cluster")
    settings = (tmp_path / "feature_store.yaml").read_text()
    assert "redis.example" not in settings  # it may hold a password
    config = FeatureStore(repo_path=str(tmp_path)).config
    assert config.online_store.connection_string == "redis.example:6379"
    assert config.offline_store.type == "duckdb"


def test_what_serving_assembles_from_the_store_is_what_training_sees_in_the_log(feast: FeastReport, artifacts):
    """Every user at the serving time: the row from Feast against the arrays that the trainer is fed with."""
    from reaseq.data.dataset import Dataset
    from reaseq.ranking.batches import Contexts
    from reaseq.ranking.features import FeatureLimits, Vocabulary, assemble
    from reaseq.ranking.inferences import InferenceTable

    dataset = Dataset.open(artifacts["dataset"])
    limits = FeatureLimits(short=4, long=HISTORY_LIMIT, inferred=5)
    table = InferenceTable.read(artifacts["inferred_behaviors"], dataset, lag_hours=0)
    users = np.arange(len(dataset.log.user_ids))
    now = np.full(len(users), feast.now)
    contexts = Contexts(dataset.log, dataset.category_index, table, limits)
    trained = contexts.tensors(users, dataset.log.offsets[1:], now, trim=False)
    online = OnlineFeatures(feast.folder, feast.service)
    vocabulary = Vocabulary(dataset.item_ids, dataset.category_names)
    for place, user in enumerate(dataset.log.user_ids):
        row = online.user(user, feast.now).row
        served = assemble(row, ["i001"], now=feast.now, vocabulary=vocabulary, limits=limits, cold={})
        for name, values in trained.items():
            assert np.array_equal(served[name][0], values[place]), (user, name)


def test_users_with_an_empty_inference_are_present_and_those_without_are_not_found(artifacts, tmp_path):
    def write(draft: Draft) -> None:
        moment = pa.array([smallworld.TEST_START] * 2).cast(TIMESTAMP)
        empty = {name: [[], []] for name in ("item_ids", "vectors", "confidence", "slot_times")}
        columns = {"user_id": ["u00", "u01"], "snapshot": moment, **empty, "version": ["none"] * 2}
        draft.write_table("inferred_behaviors.parquet", pa.table(columns, INFERRED_BEHAVIORS), INFERRED_BEHAVIORS)

    workspace = Workspace(tmp_path / "workspace")
    inferred = build(
        tmp_path / "inferred", kind="inferred_behaviors", config={}, inputs={}, write=write, workspace=workspace
    )
    made = artifacts | {"inferred_behaviors": inferred}
    report = materialise(tmp_path / "store", **made, ranker_version=1, history_limit=5)
    online = OnlineFeatures(report.folder, report.service)
    assert online.user("u00").statuses["user_inferred_behaviors"] is Status.PRESENT
    assert online.user("u00").row.inferred_vectors.shape == (0, 128)
    assert online.user("u02").statuses["user_inferred_behaviors"] is Status.NOT_FOUND
    assert len(online.user("u02").row.history_items) == 5


def test_a_log_without_any_inference_is_served_without(artifacts, tmp_path):
    now = smallworld.START + 20 * smallworld.DAY
    report = materialise(tmp_path / "store", **artifacts, ranker_version=1, history_limit=5, now=now)
    assert report.rows["user_inferred_behaviors"] == 0
    assert report.now == now
    found = OnlineFeatures(report.folder, report.service).user("u00", now)
    assert found.statuses["user_inferred_behaviors"] is Status.NOT_FOUND
    assert found.row.last_time < now


def test_a_materialisation_that_was_killed_blocks_neither_serving_nor_the_next(feast: FeastReport, artifacts):
    store = FeatureStore(repo_path=str(feast.folder))
    view = store.get_feature_view("user_profile")
    view.state = FeatureViewState.MATERIALIZING  # what Feast leaves behind
    store.registry.apply_feature_view(view, store.project, commit=True)
    assert OnlineFeatures(feast.folder, "ranker_v1").user("u00").statuses["user_profile"] is Status.PRESENT
    again = materialise(feast.folder, **artifacts, ranker_version=1, history_limit=HISTORY_LIMIT)
    assert again.rows == feast.rows
