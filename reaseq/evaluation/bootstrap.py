"""Paired user-level bootstrap: is the difference of two models more than chance among users?

Users are drawn with replacement and both models are measured on the same draw (Efron & Tibshirani 1993, ch. 13). Rows
of one user are dependent, so users are the unit. Where a model was trained from several seeds, the seeds are drawn with
replacement too, independently of the users, so that the interval holds both kinds of chance (Owen, "The pigeonhole
bootstrap", 2007). GAUC, LogLoss and rank metrics are ratios of per-user sums, so a replicate costs one dot product; AUC
compares rows of different users, so each replicate reweighs rows sorted once.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from reaseq.evaluation.metrics import Floats, Ints, check, losses, user_auc

Metric = Literal["auc", "gauc", "logloss"]

_STREAM = 0xB007  # keeps these draws apart from other stages' of the same seed
_SEEDS = 0x5EED  # draws of training seeds, apart from those of users: one seed more changes no draw of users
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
    if metric == "logloss":
        return paired_mean(users, losses(labels, base), losses(labels, other), replicates=replicates, seed=seed)
    return paired_over_seeds(metric, users, labels, base, [other], replicates=replicates, seed=seed)


def paired_over_seeds(
    metric: Literal["auc", "gauc"],
    users: ArrayLike,
    labels: ArrayLike,
    base: ArrayLike,
    others: Sequence[ArrayLike],
    *,
    replicates: int,
    seed: int,
) -> Effect:
    """Mean over training seeds of `other - base`, with an interval over seeds and users; of one seed, `paired`.

    With S seeds the share of the variance that comes from seeds is understated by the factor (S - 1) / S.

    Args:
        metric: which.
        users: [N] user of each row.
        labels: [N] 0 or 1.
        base: [N] scores of the one model.
        others: S arrays [N], scores of the other model from each of its seeds.
        replicates: bootstrap samples.
        seed: of the draws.

    Raises:
        EvaluationError: labels or scores are malformed.
    """
    y, a = check(labels, base)
    scores = [check(labels, values)[1] for values in others]
    if metric == "gauc":
        first = user_auc(users, y, a)
        kept, weight = first.defined, first.weight[first.defined]
        change = np.stack([(user_auc(users, y, b).auc - first.auc)[kept] * weight for b in scores], axis=1)
        return _ratio(change, weight, replicates, seed)
    ids, user = np.unique(np.asarray(users), return_inverse=True)
    area, areas = _WeightedAuc(user, y, a), [_WeightedAuc(user, y, b) for b in scores]

    def difference(weights: Floats) -> Floats:
        of_base = np.array([area(row) for row in weights])
        of_others = np.array([[other(row) for other in areas] for row in weights])
        return of_others - of_base[:, None]

    return _resample(difference, len(ids), replicates, seed)


def paired_mean(users: ArrayLike, base: ArrayLike, other: ArrayLike, *, replicates: int, seed: int) -> Effect:
    """Difference of the mean of a per-row quantity, such as hits among the first k; arguments as in `paired`."""
    ids, user = np.unique(np.asarray(users), return_inverse=True)
    rows = np.bincount(user, minlength=len(ids)).astype(float)
    first, second = (np.bincount(user, weights=np.asarray(v, float), minlength=len(ids)) for v in (base, other))
    return _ratio((second - first)[:, None].astype(float), rows, replicates, seed)


def _ratio(change: Floats, weight: Floats, replicates: int, seed: int) -> Effect:
    """Σ change / Σ weight over users, change [U, S] and weight [U]."""

    def difference(weights: Floats) -> Floats:
        with np.errstate(invalid="ignore", divide="ignore"):
            quotient: Floats = (weights @ change) / (weights @ weight)[:, None]
            return quotient

    return _resample(difference, len(weight), replicates, seed)


def _resample(difference: Callable[[Floats], Floats], users: int, replicates: int, seed: int) -> Effect:
    """Percentile interval of `difference`, which maps user weights [R, U] to the effects of each seed [R, S]."""
    nan = float("nan")
    if not users:
        return Effect(nan, nan, nan, 0, "no user has both a positive and a negative")
    effect = float(difference(np.ones((1, users))).mean())
    if np.isnan(effect):
        return Effect(nan, nan, nan, users, "one class only")
    if users < 2 or replicates < 1:
        return Effect(effect, nan, nan, users, "one user" if users < 2 else "no bootstrap samples were asked for")
    streams = np.random.default_rng([seed, _STREAM]), np.random.default_rng([seed, _SEEDS])
    sample = resample(difference, users, replicates, *streams)
    sample = sample[~np.isnan(sample)]
    if len(sample) < _LEAST * replicates:
        return Effect(effect, nan, nan, users, "undefined in most bootstrap samples")
    low, high = np.percentile(sample, [2.5, 97.5])
    return Effect(effect, float(low), float(high), users)


def resample(
    difference: Callable[[Floats], Floats],
    users: int,
    replicates: int,
    user_rng: np.random.Generator,
    seed_rng: np.random.Generator,
) -> Floats:
    """The effect in each replicate of the two-level bootstrap: users drawn with replacement, the same for every seed,
    then seeds; a seed whose effect is undefined is left out.

    Args:
        difference: maps how often each user was drawn, [R, U], to the effect of each seed, [R, S].
        users: U.
        replicates: how many.
        user_rng: draws users.
        seed_rng: draws seeds; may be the same generator.

    Returns:
        [replicates], nan where no drawn seed has an effect.
    """
    drawn = [np.zeros(0)]
    for start in range(0, replicates, _CHUNK):
        picks = user_rng.integers(users, size=(min(_CHUNK, replicates - start), users))
        effects = difference(np.stack([np.bincount(row, minlength=users) for row in picks]).astype(float))
        places = seed_rng.integers(effects.shape[1], size=effects.shape)
        of_drawn = np.take_along_axis(effects, places, axis=1)
        there = ~np.isnan(of_drawn)
        with np.errstate(invalid="ignore"):
            drawn.append(np.where(there, of_drawn, 0.0).sum(axis=1) / there.sum(axis=1))
    return np.concatenate(drawn)


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
