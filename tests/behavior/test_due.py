import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from reaseq.behavior.due import DAY, NEVER, Outcome, Standing, counts
from reaseq.config import RefreshConfig
from reaseq.data import EventLog
from reaseq.schema import REFRESHED_USERS

NOW = 100 * DAY
RULE = RefreshConfig(events=2, older_than_days=7, min_events=3)

histories = st.lists(st.lists(st.integers(1, 99), max_size=6).map(sorted), min_size=1, max_size=8)
ages = st.lists(st.one_of(st.none(), st.integers(0, 20)), min_size=8, max_size=8)


def log_of(days: list[list[int]]) -> EventLog:
    """Users with events on these days."""
    flat = np.array([day for each in days for day in each], np.int64)
    return EventLog(
        user_ids=np.array([f"u{n}" for n in range(len(days))], object),
        offsets=np.cumsum([0, *map(len, days)]),
        items=np.ones(len(flat), np.int32),
        timestamps=flat * DAY,
        actions=np.zeros(len(flat), np.int8),
        train=np.ones(len(flat), bool),
        action_names=("click",),
    )


def standing_of(days: list[list[int]], inferred: list[int | None]) -> Standing:
    """Of users who were last inferred for on these days, or never."""
    last = np.array([NEVER if day is None else day * DAY for day in inferred[: len(days)]], np.int64)
    return Standing.at(NOW, log_of(days), last, RULE)


def outcomes(standing: Standing, refreshed: list[str]) -> dict[str, str]:
    table = standing.after(NOW, pa.chunked_array([refreshed], pa.string()))
    return dict(zip(table["user_id"].to_pylist(), table["outcome"].to_pylist(), strict=True))


@given(histories, ages)
def test_due_are_those_with_enough_events_who_did_something_or_waited_long(
    days: list[list[int]], ages: list[int | None]
) -> None:
    standing = standing_of(days, [None if age is None else 100 - age for age in ages])
    for user, (events, age) in enumerate(zip(days, ages, strict=False)):
        since = [day for day in events if age is None or day >= 100 - age]
        assert standing.new_events[user] == len(since)
        wanted = age is None or age >= 7 or len(since) >= 2
        assert standing.due[user] == (len(events) >= 3 and wanted)


def test_every_user_has_one_outcome_and_one_who_was_just_inferred_for_a_new_date() -> None:
    days = [[1, 2, 98, 99], [1, 2, 99], [1, 2, 3], [98, 99], [5, 6, 7], []]
    standing = standing_of(days, [97, 97, 90, None, None, None])
    table = standing.after(NOW, pa.chunked_array([["u0", "u4"]], pa.string()))
    assert table.schema == REFRESHED_USERS
    assert outcomes(standing, ["u0", "u4"]) == {
        "u0": "refreshed",  # two new events
        "u1": "fresh_enough",  # one
        "u2": "nothing_found",  # ten days old, and no item fits
        "u3": "too_few_events",
        "u4": "refreshed",  # never before
    }  # u5 has done nothing yet
    dates = [None if time is None else time // DAY for time in table["inferred_at"].cast(pa.int64()).to_pylist()]
    assert dates == [100, 97, 100, None, 100]
    assert counts(table) == {
        Outcome.REFRESHED: 2,
        Outcome.NOTHING_FOUND: 1,
        Outcome.FRESH_ENOUGH: 1,
        Outcome.TOO_FEW_EVENTS: 1,
    }


def test_an_inference_needs_as_many_events_as_the_denoiser_asks_for() -> None:
    last = np.array([NEVER, NEVER])
    standing = Standing.at(NOW, log_of([[1, 2, 3], [1, 2, 3, 4]]), last, RULE, least=4)
    assert standing.due.tolist() == [False, True]
