import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reaseq.behavior.errors import BehaviorError
from reaseq.behavior.snapshots import HOUR, schedule, serving_pairs


@given(
    times=st.lists(st.integers(0, 10**6), min_size=1, max_size=200),
    share=st.floats(0.05, 1.0),
    number=st.integers(1, 6),
)
@settings(max_examples=80, deadline=None)
def test_the_first_snapshot_is_the_cut_and_the_rest_come_after(times: list[int], share: float, number: int) -> None:
    end = max(times) + 1
    plan = schedule(np.array(times), share, number, [end, end + 5])
    assert plan.snapshots[0] == plan.cut
    assert list(plan.snapshots) == sorted(set(plan.snapshots))
    assert plan.snapshots[-1] == end + 5
    assert min(times) < plan.cut


def test_snapshots_stand_at_equal_shares_of_events() -> None:
    plan = schedule(np.arange(100), 0.6, 4, [100, 120])
    assert plan.snapshots == (60, 70, 80, 90, 100, 120)


def test_an_impression_is_served_by_the_latest_snapshot_that_is_old_enough() -> None:
    users, times = np.array([0, 0, 1, -1, 2, 2]), np.array([5, 25, 10, 30, 9, 29]) * HOUR
    snapshots = (10 * HOUR, 20 * HOUR)
    assert serving_pairs(snapshots, users, times, 0.0).tolist() == [[0, 1], [1, 0], [2, 1]]
    assert serving_pairs(snapshots, users, times, 6.0).tolist() == [[0, 0], [2, 1]]


def test_no_training_event_is_an_error() -> None:
    with pytest.raises(BehaviorError, match="train"):
        schedule(np.array([], np.int64), 0.6, 4, [])
