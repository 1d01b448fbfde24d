"""Who gains: the rows of a split by how often the positive was seen in training, by how long it has been known and by
how long the history is."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from reaseq.evaluation.bootstrap import paired
from reaseq.evaluation.metrics import Floats, gauc

BUCKETS: dict[str, tuple[int, float]] = {"0": (0, 0), "1-5": (1, 5), "6-20": (6, 20), ">20": (21, np.inf)}
"""Label → smallest and largest number of events."""

LEAST_USERS = 10
"""A bucket with fewer users says nothing: a percentile interval of so few covers less than it claims."""

AGES: dict[str, tuple[float, float]] = {
    "new": (-np.inf, 0),
    "<7 days": (0, 7),
    "7-30 days": (7, 30),
    "30-180 days": (30, 180),
    "180 days or more": (180, np.inf),
}
"""Label → from and below how many days ago the item was first taken by anybody; new: not before."""

DAY = 86_400_000_000  # µs


def ages(items: NDArray[np.int64], times: NDArray[np.int64], shown: NDArray[np.int64], at: NDArray[np.int64]) -> Floats:
    """Days between an item's first event, of any user, and an impression; -1 where there was none before it.

    Args:
        items: [E] item index of each event.
        times: [E] µs.
        shown: [N] item index of each impression.
        at: [N] µs.
    """
    first = np.full(int(max(items.max(initial=0), shown.max(initial=0))) + 1, np.iinfo(np.int64).max)
    np.minimum.at(first, items, times)
    before = first[shown] < at
    return np.where(before, (at - np.where(before, first[shown], at)) / DAY, -1.0)


def members(counts: NDArray[np.int64], bucket: str) -> NDArray[np.bool_]:
    """Which rows fall into the bucket; [N]."""
    low, high = BUCKETS[bucket]
    return (counts >= low) & (counts <= high)


def by_frequency(
    users: ArrayLike,
    labels: ArrayLike,
    scores: Mapping[str, ArrayLike],
    item_events: NDArray[np.int64],
    *,
    replicates: int,
    seed: int,
) -> dict[str, dict[str, Any]]:
    """GAUC by the positive's number of training events: a bucket's positives against all negatives of their users.

    Args:
        users: [N].
        labels: [N] 0 or 1.
        scores: name → [N]; the lift is between those named `id` and `full`, where both are there.
        item_events: [N] training events of the row's item.
        replicates: of the bootstrap.
        seed: of the bootstrap.

    Returns:
        bucket → positives, users, gauc (name → value), lift.
    """
    y = np.asarray(labels)
    kept = {name: (y == 0) | members(item_events, name) for name in BUCKETS}
    return {name: _row(users, y, scores, rows, replicates, seed) for name, rows in kept.items()}


def by_age(
    users: ArrayLike,
    labels: ArrayLike,
    scores: Mapping[str, ArrayLike],
    days: Floats,
    *,
    replicates: int,
    seed: int,
) -> dict[str, dict[str, Any]]:
    """GAUC by how long the positive has been known (`ages`, [N]); arguments and result as above."""
    y = np.asarray(labels)
    kept = {name: (y == 0) | ((days >= low) & (days < high)) for name, (low, high) in AGES.items()}
    return {name: _row(users, y, scores, rows, replicates, seed) for name, rows in kept.items()}


def gate_by_history(
    omega: Floats, inferred: NDArray[np.int64], history: NDArray[np.int64]
) -> dict[str, dict[str, Any]]:
    """The gate's ω by history length, for impressions with and without inferred behaviours.

    Args:
        omega: [N].
        inferred: [N] inferred behaviours that the impression saw.
        history: [N] events of the user before it.

    Returns:
        `all` or bucket → `with` or `without` → impressions, mean, quartiles (None where there are no impressions).
    """
    rows = {"all": np.ones(len(omega), bool)} | {name: members(history, name) for name in BUCKETS}
    return {
        name: {"with": _spread(omega[kept & (inferred > 0)]), "without": _spread(omega[kept & (inferred == 0)])}
        for name, kept in rows.items()
    }


def _spread(values: Floats) -> dict[str, Any]:
    if not len(values):
        return {"impressions": 0, "mean": None, "quartiles": None}
    quartiles = [float(q) for q in np.percentile(values, [25, 50, 75])]
    return {"impressions": len(values), "mean": float(values.mean(dtype=np.float64)), "quartiles": quartiles}


def by_history(
    users: ArrayLike,
    labels: ArrayLike,
    scores: Mapping[str, ArrayLike],
    history: NDArray[np.int64],
    *,
    replicates: int,
    seed: int,
) -> dict[str, dict[str, Any]]:
    """GAUC by the number of events the ranker saw of the user at the impression; arguments and result as above."""
    y = np.asarray(labels)
    return {name: _row(users, y, scores, members(history, name), replicates, seed) for name in BUCKETS}


def _row(
    users: ArrayLike,
    labels: NDArray[Any],
    scores: Mapping[str, ArrayLike],
    rows: NDArray[np.bool_],
    replicates: int,
    seed: int,
) -> dict[str, Any]:
    u, y = np.asarray(users)[rows], labels[rows]
    s = {name: np.asarray(values, np.float64)[rows] for name, values in scores.items()}
    each = {name: gauc(u, y, values) for name, values in s.items()}
    lift = None
    if "id" in s and "full" in s:
        lift = paired("gauc", u, y, s["id"], s["full"], replicates=replicates, seed=seed).as_json()
    return {
        "positives": int(y.sum()),
        "users": next(iter(each.values())).users if each else 0,
        "gauc": {name: None if np.isnan(value.value) else value.value for name, value in each.items()},
        "lift": lift,
    }
