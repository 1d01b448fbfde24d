from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reaseq.artifacts import Artifact
from reaseq.representation.behaviors import Behaviors, CoConsumption
from tests import smallworld

DAY = 86_400_000_000
ITEMS = 6
EVENTS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 20), st.integers(0, ITEMS - 1)), max_size=40)


def behaviors(events: list[tuple[int, int, int]], split: str = "train") -> Behaviors:
    """Of (user, day, item) tuples."""
    ordered = sorted(events, key=lambda event: event[:2])
    user, day, item = (np.array(column, np.int64) for column in zip(*ordered, strict=True)) if ordered else [[]] * 3
    columns = (np.asarray(column, np.int64) for column in (user, item, np.asarray(day, np.int64) * DAY))
    return Behaviors(*columns, np.array([split] * len(ordered), str))


@given(EVENTS, st.integers(0, 10))
def test_pairs_are_what_one_user_consumed_within_the_window(events: list[tuple[int, int, int]], window: int) -> None:
    counted = CoConsumption.count(behaviors(events), ITEMS, window)

    users: dict[tuple[int, int], set[int]] = {}
    for (u, day, item), (v, other_day, other) in combinations(events, 2):
        if u == v and item != other and abs(day - other_day) <= window:
            users.setdefault((min(item, other), max(item, other)), set()).add(u)
    popularity = np.bincount([item for *_, item in events], minlength=ITEMS)
    assert [tuple(pair) for pair in counted.pairs.tolist()] == sorted(users)
    expected = [len(users[p]) / np.sqrt(popularity[p[0]] * popularity[p[1]]) for p in sorted(users)]
    np.testing.assert_allclose(counted.weights, expected)


def test_next_items_skip_repeats_other_users_and_other_splits() -> None:
    log = behaviors([(0, 0, 1), (0, 1, 2), (0, 2, 2), (0, 3, 3), (1, 0, 4), (1, 1, 5)])
    log.split[:] = ["train", "train", "valid", "valid", "train", "valid"]

    assert log.next_items("valid").tolist() == [[2, 3], [4, 5]]


@pytest.mark.parametrize(("high", "low", "least"), [(5.0, 1.0, 4.0), (0.7, 0.6, 0.7)])
def test_a_low_rating_is_no_behaviour(tmp_path, workspace, high: float, low: float, least: float) -> None:
    dataset = smallworld.write_dataset(tmp_path / "dataset", workspace)
    everything = Behaviors.read(dataset, least)

    rated = Behaviors.read(_rated(dataset, high, low, tmp_path, workspace), least)

    assert len(everything.item) == smallworld.USERS * smallworld.EVENTS
    assert rated.item.tolist() == everything.item[::2].tolist()


def _rated(dataset: Artifact, high: float, low: float, tmp_path, workspace) -> Artifact:
    """The same log, rated high and low by turns."""
    import pyarrow as pa

    from reaseq import schema
    from reaseq.artifacts import build

    events = dataset.table("interactions.parquet")
    ratings = pa.array([high, low] * (events.num_rows // 2), pa.float32())
    events = events.set_column(events.column_names.index("rating"), "rating", ratings)

    def write(draft) -> None:
        draft.write_table("items.parquet", dataset.table("items.parquet"), schema.ITEMS)
        draft.write_table("interactions.parquet", events, schema.INTERACTIONS)

    return build(tmp_path / "rated", kind="dataset", config={}, inputs={}, write=write, workspace=workspace)
