"""Scores that need no model. A ranker that doesn't beat them has learned nothing worth serving."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from reaseq.evaluation.metrics import Floats, Ints, check

SMOOTHING = 5.0
"""Impressions' worth of the global mean that every item starts with."""

_TIES = 0x71E5  # keeps these draws apart from other stages' of the same seed


def item_events(items: ArrayLike, count: int) -> Ints:
    """Number of events of each item.

    Args:
        items: [E] item index of each training event, 1-based.
        count: number of items V.

    Returns:
        [V + 1]; row 0 stands for unknown items and is 0.
    """
    events = np.bincount(np.asarray(items, np.int64), minlength=count + 1)
    events[0] = 0
    return events


def item_mean(items: ArrayLike, labels: ArrayLike, count: int) -> Floats:
    """Smoothed share of positives among the training impressions of each item, a probability.

    Args:
        items: [N] item index of each training impression.
        labels: [N] 0 or 1.
        count: number of items V.

    Returns:
        [V + 1]; items without impressions (and row 0) hold the global mean, or 0.5 if there are no impressions at all.
    """
    index = np.asarray(items, np.int64)
    y, _ = check(labels, np.zeros(len(index)))
    prior = y.mean() if len(y) else 0.5
    shown = np.bincount(index, minlength=count + 1)
    taken = np.bincount(index, weights=y, minlength=count + 1)
    mean: Floats = (taken + SMOOTHING * prior) / (shown + SMOOTHING)
    mean[0] = prior
    return mean


def ranks(scores: Floats, targets: ArrayLike, seen: Sequence[ArrayLike], seed: int) -> Ints:
    """Rank of each target among the items its user hasn't seen, ties broken at random.

    Args:
        scores: [V + 1] by item index, the same for every user; row 0 is no item.
        targets: [R] item index of each target.
        seen: R arrays of item indices to leave out; the target itself stays in.
        seed: of the ties.

    Returns:
        [R], 1 is best.
    """
    rng = np.random.default_rng([seed, _TIES])
    ordered = np.sort(scores[1:])
    index = np.asarray(targets, np.int64)
    better = len(ordered) - np.searchsorted(ordered, scores[index], side="right")
    tied = np.searchsorted(ordered, scores[index], side="right") - np.searchsorted(ordered, scores[index]) - 1
    for place, (target, left_out) in enumerate(zip(index, seen, strict=True)):
        others = np.unique(np.asarray(left_out, np.int64))
        values = scores[others[(others > 0) & (others != target)]]
        better[place] -= (values > scores[target]).sum()
        tied[place] -= (values == scores[target]).sum()
    return 1 + better + rng.integers(0, tied + 1)
