"""Cutting a log into train, valid and test: by time (the default), or leave-one-out to compare with published tables.

By time, `train < valid_start ≤ valid < test_start ≤ test`, so no moment lies in two splits. Leave-one-out takes each
user's last behaviour for test and the one before it for validation (SASRec, arXiv 1808.09781); among events of one
moment the order of the source decides, as it did for the published figures.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl

from reaseq.data.errors import SplitError
from reaseq.data.timestamps import as_text

LEAST = 3
"""Behaviours that a user needs to give up two of them in leave-one-out; users with fewer stay in training."""


@dataclass(frozen=True)
class Times:
    """Where validation and test start, in microseconds. In leave-one-out they only date the evaluation roughly."""

    valid_start: int
    test_start: int


def times_by_share(timestamps: np.ndarray, valid_share: float, test_share: float) -> Times:
    """Start times such that the last `test_share` of the events (and the `valid_share` before them) is held out.

    Events of one moment stay together, so with coarse clocks the shares are met only nearly.

    Args:
        timestamps: [E] int64 µs, any order.

    Raises:
        SplitError: there are too few distinct moments to cut at.
    """
    moments, before = np.unique(np.sort(timestamps), return_index=True)  # before: events earlier than the moment
    if len(moments) < 3:
        raise SplitError(
            f"data.valid_share={valid_share} and data.test_share={test_share}: {len(timestamps)} events at "
            f"{len(moments)} distinct times can't be cut into three parts. Use data.split=leave_one_out, or bring more "
            "events."
        )
    count = len(timestamps)
    test = 2 + int(np.abs(before[2:] - count * (1 - test_share)).argmin())
    valid = 1 + int(np.abs(before[1:test] - count * (1 - valid_share - test_share)).argmin())
    return Times(int(moments[valid]), int(moments[test]))


def times_of_splits(timestamps: np.ndarray, splits: np.ndarray) -> Times:
    """Start times implied by rows whose split the source states.

    Raises:
        SplitError: a split is empty, or two overlap in time.
    """
    span = {}
    for name in ("train", "valid", "test"):
        of_split = timestamps[splits == name]
        if not len(of_split):
            raise SplitError(
                f"impressions: the source states splits, but none of its rows is {name!r}. Add them, "
                "or remove the column 'split' to have the rows split by time."
            )
        span[name] = (int(of_split.min()), int(of_split.max()))
    if not (span["train"][1] < span["valid"][0] and span["valid"][1] < span["test"][0]):
        raise SplitError(
            "impressions: the splits that the source states overlap in time, which leaks the future into "
            "training. Set data.valid_start and data.test_start to split the rows anew."
        )
    return Times(span["valid"][0], span["test"][0])


def by_time(timestamp: pl.Expr, times: Times) -> pl.Expr:
    """`train`, `valid` or `test` of a microsecond column."""
    return (
        pl.when(timestamp < times.valid_start)
        .then(pl.lit("train"))
        .when(timestamp < times.test_start)
        .then(pl.lit("valid"))
        .otherwise(pl.lit("test"))
    )


def leave_one_out(events: pl.DataFrame) -> pl.Series:
    """Splits by each user's sequence.

    Args:
        events: sorted by user, time and source order, with `user_id` and `positive` (bool). Events that are no
            behaviours go with the behaviour that follows them.
    """
    positive = pl.col("positive").cast(pl.Int64)
    left = positive.cum_sum(reverse=True).over("user_id")  # behaviours from here on, this one included
    position = pl.when(pl.col("positive")).then(left).otherwise(left + 1)
    enough = positive.sum().over("user_id") >= LEAST
    held_out = pl.when(enough & (position == 1)).then(pl.lit("test"))
    split = held_out.when(enough & (position == 2)).then(pl.lit("valid")).otherwise(pl.lit("train"))
    return events.select(split.alias("split")).to_series()


def check_parts(splits: pl.Series, kind: Literal["time", "leave_one_out"]) -> None:
    """Refuse a split with an empty part.

    Raises:
        SplitError: no behaviour is left for a part.
    """
    for name in ("train", "valid", "test"):
        if not (splits == name).any():
            remedy = (
                "Move data.valid_start and data.test_start (or the shares) so that each part has events."
                if kind == "time"
                else f"Leave-one-out needs users with at least {LEAST} behaviours."
            )
            raise SplitError(f"data.split={kind}: the {name} part holds no behaviour. {remedy}")


def check_impressions(splits: pl.Series, times: Times) -> None:
    """Refuse given impressions of which a part has none: the ranker learns from them and is judged by them.

    Args:
        splits: `train`, `valid` or `test` of each impression, cut at `times`.

    Raises:
        SplitError: a part holds no impression; says when it begins or ends.
    """
    valid, test = as_text(times.valid_start), as_text(times.test_start)
    where = {"train": f"before {valid}", "valid": f"from {valid} until {test}", "test": f"from {test} on"}
    for name, moments in where.items():
        if not (splits == name).any():
            raise SplitError(
                f"impressions: the source gives {len(splits)}, none of them for the {name} part ({moments}). Move "
                "data.valid_start and data.test_start so that each part has some, or leave the impressions out: they "
                "are then built from behaviours."
            )
