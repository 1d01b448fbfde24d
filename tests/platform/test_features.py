import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest

from feature_repo.apply import FeastReport, materialise
from feature_repo.definitions import ITEM, USER, feature_service, feature_views
from reaseq.artifacts import Workspace
from reaseq.platform.errors import FeatureStoreError
from reaseq.platform.feast_api import FeatureStore
from reaseq.platform.features import INFERRED, OnlineFeatures, Status
from reaseq.ranking.features import UserRow
from tests import smallworld
from tests.smallworld import DAY, TEST_START


@pytest.fixture(scope="module")
def feast(tmp_path_factory: pytest.TempPathFactory) -> FeastReport:
    root = tmp_path_factory.mktemp("feast")
    workspace = Workspace(root / "workspace")
    dataset = smallworld.write_dataset(root / "dataset", workspace)
    vectors = smallworld.write_item_vectors(root / "item_vectors", dataset, workspace)
    return materialise(
        root / "store",
        dataset=dataset,
        knowledge=smallworld.write_knowledge(root / "knowledge", dataset, workspace),
        item_vectors=vectors,
        inferred_behaviors=smallworld.write_inferred_behaviors(root / "inferred", dataset, vectors, workspace),
        ranker_version=1,
        history_limit=100,
        max_age={INFERRED: timedelta(days=10)},
    )


@pytest.fixture(scope="module")
def online(feast: FeastReport) -> OnlineFeatures:
    return OnlineFeatures(feast.folder, feast.service)


def test_an_unknown_user_has_no_row_and_says_so(online: OnlineFeatures):
    found = online.user("nobody")
    assert found.row is None
    assert set(found.statuses.values()) == {Status.NOT_FOUND}


def test_inferences_older_than_their_maximum_age_are_left_out_and_named(online: OnlineFeatures):
    young = online.user("u01", TEST_START + 10 * DAY)
    assert young.statuses[INFERRED] is Status.PRESENT
    old = online.user("u01", TEST_START + 10 * DAY + 1)
    assert old.statuses == {**young.statuses, INFERRED: Status.OUTSIDE_MAX_AGE}
    assert old.row.history_items == young.row.history_items
    assert len(old.row.inferred_items) == len(old.row.inferred_vectors) == 0


def test_unknown_items_are_named_and_known_ones_given(online: OnlineFeatures):
    found = online.item_knowledge(["i001", "nothing", "i001"])
    assert found.statuses == {"i001": Status.PRESENT, "nothing": Status.NOT_FOUND}
    assert list(found.items) == ["i001"]
    assert online.item_knowledge([]).items == {}


def test_many_threads_get_the_rows_they_asked_for(online: OnlineFeatures):
    names = [f"u{n % 40:02d}" for n in range(400)]
    one_by_one = {name: online.user(name).row.history_times for name in set(names)}
    with ThreadPoolExecutor(8) as pool:
        rows = pool.map(online.user, names)
    assert all(found.row.history_times == one_by_one[name] for name, found in zip(names, rows, strict=True))


def test_a_service_without_inferences_degrades_to_a_row_without_them(feast: FeastReport, tmp_path: Path):
    folder = tmp_path / "store"
    shutil.copytree(feast.folder, folder)
    settings = folder / "feature_store.yaml"
    settings.write_text(settings.read_text().replace(str(feast.folder), str(folder)))
    store = FeatureStore(repo_path=str(folder))
    views = feature_views(feast.folder / "sources", {})
    store.apply([USER, ITEM, *views, feature_service("plain", views[:2], {})])
    found = OnlineFeatures(folder, "ranker_vplain").user("u01")
    assert found.statuses[INFERRED] is Status.NOT_FOUND
    assert found.row.events > 0
    assert len(found.row.inferred_items) == 0
    assert set(OnlineFeatures(store, "ranker_vplain").item_knowledge(["i001"]).statuses.values()) == {Status.NOT_FOUND}


def test_a_store_that_is_not_there_and_a_service_that_is_not_are_typed_errors(feast: FeastReport, tmp_path: Path):
    with pytest.raises(FeatureStoreError, match=r"feature_store\.yaml"):
        OnlineFeatures(tmp_path, "ranker_v1")
    with pytest.raises(FeatureStoreError, match="ranker_v99"):
        OnlineFeatures(feast.folder, "ranker_v99")


def test_a_store_that_goes_down_is_a_typed_error(feast: FeastReport, tmp_path: Path):
    folder = tmp_path / "store"
    shutil.copytree(feast.folder, folder)
    path = folder / "feature_store.yaml"
    path.write_text(path.read_text().replace(str(feast.folder), str(folder)))
    online = OnlineFeatures(folder, "ranker_v1")
    (folder / "online.db").write_bytes(b"this is no database" * 100)
    with pytest.raises(FeatureStoreError, match="look up user_id"):
        online.user("u01")


def test_looking_up_needs_no_torch():
    code = "import sys, reaseq.platform.features; assert 'torch' not in sys.modules; import typeguard; "
    code += "assert typeguard.typechecked.__module__.startswith('typeguard')"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_row_is_the_one_that_feature_assembly_takes(online: OnlineFeatures):
    assert isinstance(online.user("u01").row, UserRow)
