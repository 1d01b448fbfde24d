"""Splits: disjoint in time, honest about ties, and refused where they can't be made."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reaseq.data import SplitError
from reaseq.data.split import by_time, leave_one_out, times_by_share, times_of_splits

moments = st.lists(st.integers(0, 40), min_size=3, max_size=200).filter(lambda times: len(set(times)) >= 3)
shares = st.floats(0.01, 0.45)


@given(moments, shares, shares)
def test_no_moment_lies_in_two_splits_and_no_split_is_empty(times, valid, test):
    cut = times_by_share(np.array(times), valid, test)
    splits = pl.DataFrame({"t": times}).select(pl.col("t"), by_time(pl.col("t"), cut).alias("split"))
    spans = {name: group["t"] for (name,), group in splits.group_by("split")}
    assert set(spans) == {"train", "valid", "test"}
    assert spans["train"].max() < spans["valid"].min() <= spans["valid"].max() < spans["test"].min()


def test_shares_are_met_where_times_are_distinct():
    cut = times_by_share(np.arange(1000), 0.1, 0.2)
    assert (cut.valid_start, cut.test_start) == (700, 800)


@pytest.mark.parametrize("times", [[], [5], [5] * 50, [1, 2]])
def test_too_few_moments_are_refused_with_a_remedy(times):
    with pytest.raises(SplitError, match=r"data\.split=leave_one_out"):
        times_by_share(np.array(times, np.int64), 0.1, 0.1)


def test_stated_splits_that_overlap_are_refused():
    times, splits = np.array([1, 5, 3, 9]), np.array(["train", "train", "valid", "test"])
    with pytest.raises(SplitError, match="overlap"):
        times_of_splits(times, splits)


def test_stated_splits_must_be_complete():
    with pytest.raises(SplitError, match="'valid'"):
        times_of_splits(np.array([1, 2]), np.array(["train", "test"]))


@given(st.lists(st.lists(st.booleans(), max_size=8), min_size=1, max_size=6))
def test_leave_one_out_holds_out_the_last_two_behaviours_of_each_user(users):
    rows = [(f"u{n}", positive) for n, events in enumerate(users) for positive in events]
    events = pl.DataFrame(rows, schema={"user_id": pl.String, "positive": pl.Boolean}, orient="row")
    events = events.with_columns(leave_one_out(events))
    for n, flags in enumerate(users):
        mine = events.filter(pl.col("user_id") == f"u{n}")
        behaviours = mine.filter("positive")["split"].to_list()
        if sum(flags) < 3:
            assert set(mine["split"]) <= {"train"}
        else:
            assert behaviours == ["train"] * (len(behaviours) - 2) + ["valid", "test"]
            order = [("train", "valid", "test").index(split) for split in mine["split"]]
            assert order == sorted(order)
