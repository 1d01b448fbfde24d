"""Refreshed inferences in a real store (duckdb, sqlite)."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from feature_repo import refresh
from feature_repo.apply import FeastReport
from feature_repo.refresh import VIEW, Written, write_refreshed
from reaseq.artifacts import Artifact, Draft, Workspace, build
from reaseq.platform.errors import FeatureStoreError
from reaseq.platform.feast_api import FeatureStore
from reaseq.platform.features import OnlineFeatures
from reaseq.schema import INFERRED_BEHAVIORS
from tests import smallworld

DAY = smallworld.DAY
FIRST = smallworld.TEST_START + DAY  # a day after what the run inferred


@pytest.fixture
def store(feast: FeastReport, tmp_path: Path) -> Path:
    """A store of this test's own; making one takes seconds, copying it does not."""
    folder = Path(shutil.copytree(feast.folder, tmp_path / "store"))
    settings = folder / "feature_store.yaml"
    settings.write_text(settings.read_text().replace(str(feast.folder), str(folder)))
    return folder


@pytest.fixture
def refreshed(artifacts: dict[str, Artifact], tmp_path: Path) -> Callable[[int, list[str]], Artifact]:
    """A refresh that gave these users, at the snapshot, what the run had inferred for user u39 at first."""

    def make(snapshot: int, users: list[str]) -> Artifact:
        def write(draft: Draft) -> None:
            rows = artifacts["inferred_behaviors"].table("inferred_behaviors.parquet").slice(39 * 3, 1).to_pylist()
            moment = pa.array([snapshot]).cast(INFERRED_BEHAVIORS.field("snapshot").type)[0].as_py()
            rows = [rows[0] | {"user_id": user, "snapshot": moment, "version": f"at-{snapshot}"} for user in users]
            draft.write_table(
                "inferred_behaviors.parquet", pa.Table.from_pylist(rows, INFERRED_BEHAVIORS), INFERRED_BEHAVIORS
            )
            draft.facts.update(snapshots=[snapshot])

        return build(
            tmp_path / f"refresh-{snapshot}",
            kind="inferred_behaviors",
            config={"users": users, "snapshot": snapshot},
            inputs={},
            write=write,
            workspace=Workspace(tmp_path / "workspace"),
        )

    return make


def online(store: Path, users: list[str]) -> list[tuple[int, str]]:
    """Snapshot and version that a request finds."""
    features = OnlineFeatures(store, "ranker_v1")
    found = [features.user(user) for user in users]
    return [(each.inferred_snapshot, each.inferred_version) for each in found]


def offline(store: Path) -> dict[str, int]:
    table = pq.read_table(store / "sources" / f"{VIEW}.parquet")
    return dict(zip(table["user_id"].to_pylist(), table["inferred_snapshot"].to_pylist(), strict=True))


def content(store: Path) -> tuple[bytes, list[tuple[int, str]]]:
    users = [f"u{n:02d}" for n in range(smallworld.USERS)]
    return (store / "sources" / f"{VIEW}.parquet").read_bytes(), online(store, users)


def test_refreshed_users_are_replaced_and_others_stay_online_and_offline(store: Path, refreshed) -> None:
    made = refreshed(FIRST, ["u03", "u07", "unheard-of"])
    assert write_refreshed(store, made) == Written(rows=3, kept=0)
    assert online(store, ["u03", "u04", "u07", "unheard-of"]) == [
        (FIRST, f"at-{FIRST}"),
        (smallworld.TEST_START, "small"),
        (FIRST, f"at-{FIRST}"),
        (FIRST, f"at-{FIRST}"),
    ]
    snapshots = offline(store)
    assert snapshots["u03"] == snapshots["unheard-of"] == FIRST
    assert snapshots["u04"] == smallworld.TEST_START
    row = OnlineFeatures(store, "ranker_v1").user("u03").row
    source = made.table("inferred_behaviors.parquet").to_pylist()[0]
    assert row.inferred_items == source["item_ids"]
    assert row.inferred_vectors.tolist() == source["vectors"]


def test_writing_twice_changes_nothing(store: Path, refreshed) -> None:
    made = refreshed(FIRST, ["u03", "u07"])
    write_refreshed(store, made)
    before = content(store)
    assert write_refreshed(store, made) == Written(rows=0, kept=2)
    assert content(store) == before


def test_an_older_snapshot_never_overwrites_a_newer_one(store: Path, refreshed) -> None:
    write_refreshed(store, refreshed(FIRST + DAY, ["u03"]))
    before = content(store)
    assert write_refreshed(store, refreshed(FIRST, ["u03", "u07"])) == Written(rows=1, kept=1)
    assert online(store, ["u03", "u07"]) == [(FIRST + DAY, f"at-{FIRST + DAY}"), (FIRST, f"at-{FIRST}")]
    assert offline(store)["u03"] == FIRST + DAY
    assert write_refreshed(store, refreshed(smallworld.START + 40 * DAY, ["u03"])) == Written(rows=0, kept=1)
    assert content(store)[1][3] == before[1][3]


def test_a_write_that_was_killed_is_finished_by_the_next(store: Path, refreshed, monkeypatch) -> None:
    made = refreshed(FIRST, ["u03", "u07", "u11"])
    real, calls = FeatureStore.write_to_online_store, []

    def dying(self: FeatureStore, *args: object, **kwargs: object) -> None:
        if calls:
            raise InterruptedError
        calls.append(real(self, *args, **kwargs))

    with monkeypatch.context() as patch:
        patch.setattr(refresh, "_BATCH", 2)
        patch.setattr(FeatureStore, "write_to_online_store", dying)
        with pytest.raises(FeatureStoreError, match="start the refresh again"):
            write_refreshed(store, made)
    assert write_refreshed(store, made) == Written(rows=1, kept=2)
    assert {snapshot for snapshot, _ in online(store, ["u03", "u07", "u11"])} == {FIRST}


def test_a_refresh_that_served_nobody_writes_nothing(store: Path, refreshed) -> None:
    before = content(store)
    assert write_refreshed(store, refreshed(FIRST, [])) == Written(rows=0, kept=0)
    assert content(store) == before


def test_a_folder_without_a_store_is_refused(tmp_path: Path, refreshed) -> None:
    with pytest.raises(FeatureStoreError, match="run the pipeline first"):
        write_refreshed(tmp_path / "nowhere", refreshed(FIRST, ["u03"]))
