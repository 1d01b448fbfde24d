"""Paired user-level bootstrap: is the difference of two models more than chance among users?

Users are drawn with replacement and both models are measured on the same draw (Efron & Tibshirani 1993, ch. 13). Rows
of one user are dependent, so users are the unit. GAUC, LogLoss and rank metrics are ratios of per-user sums, so a
replicate costs one dot product; AUC compares rows of different users, so each replicate reweighs rows sorted once.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from reaseq.evaluation.metrics import Floats, Ints, check, losses, user_auc

Metric = Literal["auc", "gauc", "logloss"]

_STREAM = 0xB007  # keeps these draws apart from other stages' of the same seed
_CHUNK = 32  # replicates that are drawn at once; part of no result
_LEAST = 0.5  # an interval needs at least this share of replicates in which the metric is defined


@dataclass(frozen=True)
class Effect:
    """`other - base`, with its 95 % percentile interval. Of LogLoss, less is better."""

    effect: float
    low: float
    high: float
    n: int
    """Users that were resampled."""
    reason: str = ""
    """Why the effect or its interval is nan; empty otherwise."""

    @property
    def excludes_zero(self) -> bool:
        return bool(self.low > 0 or self.high < 0)

    def as_json(self) -> dict[str, Any]:
        """JSON object; nan becomes null."""
        return {name: None if value != value else value for name, value in asdict(self).items()}


def paired(
    metric: Metric,
    users: ArrayLike,
    labels: ArrayLike,
    base: ArrayLike,
    other: ArrayLike,
    *,
    replicates: int,
    seed: int,
) -> Effect:
    """Difference of a metric between two score sets over the same rows.

    Args:
        metric: which.
        users: [N] user of each row.
        labels: [N] 0 or 1.
        base: [N] scores.
        other: [N] scores.
        replicates: bootstrap samples; 0 gives the effect without an interval.
        seed: of the draws.

    Raises:
        EvaluationError: labels or scores are malformed.
    """
    y, a = check(labels, base)
    _, b = check(labels, other)
    if metric == "gauc":
        first, second = user_auc(users, y, a), user_auc(users, y, b)
        kept = first.defined
        weight = first.weight[kept]
        return _ratio(first.auc[kept] * weight, second.auc[kept] * weight, weight, replicates, seed)
    ids, user = np.unique(np.asarray(users), return_inverse=True)
    if metric == "logloss":
        return _paired_rows(len(ids), user, losses(y, a), losses(y, b), replicates, seed)
    areas = _WeightedAuc(user, y, a), _WeightedAuc(user, y, b)

    def difference(weights: Floats) -> Floats:
        return np.array([areas[1](row) - areas[0](row) for row in weights])

    return _resample(difference, len(ids), replicates, seed)


def paired_mean(users: ArrayLike, base: ArrayLike, other: ArrayLike, *, replicates: int, seed: int) -> Effect:
    """Difference of the mean of a per-row quantity, such as hits among the first k; arguments as in `paired`."""
    ids, user = np.unique(np.asarray(users), return_inverse=True)
    return _paired_rows(len(ids), user, np.asarray(base, float), np.asarray(other, float), replicates, seed)


def _paired_rows(count: int, user: Ints, base: Floats, other: Floats, replicates: int, seed: int) -> Effect:
    rows = np.bincount(user, minlength=count).astype(float)
    first, second = (np.bincount(user, weights=v, minlength=count).astype(float) for v in (base, other))
    return _ratio(first, second, rows, replicates, seed)


def _ratio(base: Floats, other: Floats, weight: Floats, replicates: int, seed: int) -> Effect:
    """Difference of Σ other / Σ weight and Σ base / Σ weight over users."""
    change = other - base

    def difference(weights: Floats) -> Floats:
        with np.errstate(invalid="ignore", divide="ignore"):
            return (weights @ change) / (weights @ weight)

    return _resample(difference, len(weight), replicates, seed)


def _resample(difference: Callable[[Floats], Floats], users: int, replicates: int, seed: int) -> Effect:
    """Percentile interval of `difference`, which maps user weights [R, U] to effects [R]."""
    nan = float("nan")
    if not users:
        return Effect(nan, nan, nan, 0, "no user has both a positive and a negative")
    effect = float(difference(np.ones((1, users)))[0])
    if np.isnan(effect):
        return Effect(nan, nan, nan, users, "one class only")
    if users < 2 or replicates < 1:
        return Effect(effect, nan, nan, users, "one user" if users < 2 else "no bootstrap samples were asked for")
    rng = np.random.default_rng([seed, _STREAM])
    drawn = []
    for start in range(0, replicates, _CHUNK):
        picks = rng.integers(users, size=(min(_CHUNK, replicates - start), users))
        drawn.append(difference(np.stack([np.bincount(row, minlength=users) for row in picks]).astype(float)))
    sample = np.concatenate(drawn)
    sample = sample[~np.isnan(sample)]
    if len(sample) < _LEAST * replicates:
        return Effect(effect, nan, nan, users, "undefined in most bootstrap samples")
    low, high = np.percentile(sample, [2.5, 97.5])
    return Effect(effect, float(low), float(high), users)


class _WeightedAuc:
    """AUC where each row counts as often as its user was drawn; rows are sorted once."""

    def __init__(self, user: Ints, labels: NDArray[np.int8], scores: Floats):
        order = np.argsort(scores, kind="stable")
        s, y = scores[order], labels[order]
        starts = np.ones(len(s), bool)
        starts[1:] = s[1:] != s[:-1]
        tie = np.cumsum(starts) - 1
        self._positives = user[order][y == 1]
        self._negatives = user[order][y == 0]
        self._tie = tie[y == 0]
        self._ties = int(tie[-1]) + 1 if len(tie) else 0
        self._place = tie[y == 1]

    def __call__(self, weights: Floats) -> float:
        tied = np.bincount(self._tie, weights=weights[self._negatives], minlength=self._ties)
        below = np.cumsum(tied) - tied / 2  # negatives that score lower, and half of those that score the same
        positives = weights[self._positives]
        pairs = positives.sum() * tied.sum()
        return float(positives @ below[self._place] / pairs) if pairs else float("nan")
