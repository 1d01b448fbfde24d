"""Who gains: the rows of a split by how often the positive was seen in training and by how long the history is."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from reaseq.evaluation.bootstrap import paired
from reaseq.evaluation.metrics import gauc

BUCKETS: dict[str, tuple[int, float]] = {"0": (0, 0), "1-5": (1, 5), "6-20": (6, 20), ">20": (21, np.inf)}
"""Label → smallest and largest number of events."""


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
