import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feature_repo import sources
from reaseq.artifacts import Artifact
from reaseq.data.dataset import Dataset, EventLog
from reaseq.platform.errors import FeatureStoreError
from tests import smallworld

events_of_users = st.lists(
    st.lists(st.tuples(st.integers(0, 50), st.integers(1, 9)), max_size=12).map(sorted), min_size=1, max_size=6
)
CATEGORY = np.array([0, 0, 1, 1, 2, 2, 3, 3, 3, 1])  # of items 1 to 9; item 1 has none


def log_of(users: list[list[tuple[int, int]]]) -> EventLog:
    flat = [event for events in users for event in events]
    return EventLog(
        user_ids=np.array([f"u{n}" for n in range(len(users))], object),
        offsets=np.cumsum([0, *map(len, users)]),
        items=np.array([item for _, item in flat], np.int32),
        timestamps=np.array([time for time, _ in flat], np.int64),
        actions=np.zeros(len(flat), np.int8),
        train=np.ones(len(flat), bool),
        action_names=("click",),
    )


@settings(deadline=None)
@given(events_of_users, st.integers(1, 15))
def test_a_history_is_the_last_events_most_recent_first(users, limit):
    table = sources.user_history(log_of(users), [f"i{n}" for n in range(1, 10)], limit).to_pylist()
    expected = {f"u{n}": events[::-1][:limit] for n, events in enumerate(users) if events}
    found = {r["user_id"]: list(zip(r["history_times"], r["history_items"], strict=True)) for r in table}
    assert found == {user: [(time, f"i{item}") for time, item in events] for user, events in expected.items()}


@settings(deadline=None)
@given(events_of_users)
def test_a_profile_counts_the_whole_log(users):
    table = sources.user_profile(log_of(users), CATEGORY).to_pylist()
    found = {r["user_id"]: (r["events"], r["categories"], r["first_time"], r["last_time"]) for r in table}
    assert found == {
        f"u{n}": (len(events), len({CATEGORY[i] for _, i in events} - {0}), events[0][0], events[-1][0])
        for n, events in enumerate(users)
        if events
    }


def test_only_events_before_the_serving_time_and_snapshots_up_to_it_are_used(artifacts: dict[str, Artifact]):
    dataset = Dataset.open(artifacts["dataset"])
    others = {name: artifact for name, artifact in artifacts.items() if name != "dataset"}
    now = smallworld.VALID_START
    tables = sources.derive(dataset, **others, now=now, history_limit=100)
    assert max(max(times) for times in tables["user_history"].column("history_times").to_pylist()) < now
    assert set(tables["user_inferred_behaviors"].column("inferred_snapshot").to_pylist()) == {now}
    earlier = sources.derive(dataset, **others, now=now - 1, history_limit=100)["user_inferred_behaviors"]
    assert set(earlier.column("inferred_snapshot").to_pylist()) == {smallworld.START + 30 * smallworld.DAY}
    assert all(len(table.column(0).unique()) == table.num_rows for table in tables.values())


def test_inferred_vectors_keep_their_values(artifacts: dict[str, Artifact]):
    table = sources.user_inferred_behaviors(artifacts["inferred_behaviors"], smallworld.TEST_START)
    source = artifacts["inferred_behaviors"].table("inferred_behaviors.parquet").to_pylist()
    newest = {row["user_id"]: row for row in source if row["snapshot"].timestamp() * 1e6 == smallworld.TEST_START}
    assert table.num_rows == smallworld.USERS
    for row in table.to_pylist():
        vectors = np.array(newest[row["user_id"]]["vectors"], np.float32)
        assert np.array_equal(np.array(row["inferred_vectors"], np.float32).reshape(-1, 128), vectors)
        assert row["inferred_items"] == newest[row["user_id"]]["item_ids"]


def test_the_same_artifacts_give_the_same_bytes(artifacts: dict[str, Artifact], tmp_path):
    dataset = Dataset.open(artifacts["dataset"])
    others = {name: artifact for name, artifact in artifacts.items() if name != "dataset"}
    written = []
    for name in ("a", "b"):
        tables = sources.derive(dataset, **others, now=sources.serving_time(dataset), history_limit=5)
        sources.write(tables, tmp_path / name)
        written.append({path.name: path.read_bytes() for path in (tmp_path / name).iterdir()})
    assert written[0] == written[1]
    assert set(written[0]) == {f"{view}.parquet" for view in sources.SCHEMAS}


def test_vectors_of_another_catalogue_are_refused(artifacts: dict[str, Artifact], tmp_path):
    class Other:
        path = tmp_path

        def table(self, name: str, columns: list[str]) -> pa.Table:
            return artifacts["item_vectors"].table(name, columns).slice(1)

    dataset = Dataset.open(artifacts["dataset"])
    with pytest.raises(FeatureStoreError, match="does not list the items"):
        sources.item_knowledge(dataset, artifacts["knowledge"], Other(), 1)  # type: ignore[arg-type]


def test_a_user_without_inferences_at_the_time_has_no_row(artifacts: dict[str, Artifact]):
    table = sources.user_inferred_behaviors(artifacts["inferred_behaviors"], smallworld.START)
    assert table.num_rows == 0
    assert table.schema == sources.USER_INFERRED_BEHAVIORS
