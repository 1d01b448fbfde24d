"""Intervals over seeds and users at once: one seed shows nothing, and neither do ten seeds over the same few users.

An effect is the mean over seeds of a difference between two arms that were trained with the same seed. A bootstrap
replicate draws users with replacement, the same ones for every seed and both arms, and seeds with replacement (a
two-level bootstrap; Efron & Tibshirani 1993, ch. 8 and 13).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reaseq.evaluation.bootstrap import resample
from reaseq.evaluation.buckets import LEAST_USERS
from reaseq.evaluation.metrics import Floats, user_auc

_STREAM = 0xC1A1  # keeps these draws apart from other stages' of the same seed


@dataclass(frozen=True)
class PerUser:
    """A ratio metric of one arm, user by user: the metric is Σ weight·value / Σ weight."""

    value: Floats  # [S, U], nan where a user's metric is undefined
    weight: Floats  # [U]

    @property
    def mean(self) -> float:
        """The metric, mean over seeds; nan if it is defined for no user."""
        kept = self.kept
        weight = self.weight[kept]
        return float((self.value[:, kept] @ weight / weight.sum()).mean()) if kept.any() else float("nan")

    @property
    def kept(self) -> NDArray[np.bool_]:
        return ~np.isnan(self.value).any(0) & (self.weight > 0)


@dataclass(frozen=True)
class Interval:
    effect: float
    low: float
    """Bounds are nan where fewer than `LEAST_USERS` users count, or no replicates were asked for."""
    high: float
    seeds: int
    users: int
    """That count; where parts are compared, of the part with the fewest."""


def gauc_per_user(
    users: NDArray[np.int64],
    labels: NDArray[np.int8],
    scores: Sequence[Floats],
    positives: NDArray[np.bool_] | None = None,
) -> PerUser:
    """GAUC of an arm, user by user.

    Args:
        users: [N] user of each row, 0 … U-1, so that arms and subsets stay aligned.
        labels: [N].
        scores: of each seed, [N].
        positives: [N]; of the positives only those marked here count.
    """
    count = int(users.max(initial=-1)) + 1
    value = np.full((len(scores), count), np.nan)
    weight = np.zeros(count)
    for place, of_seed in enumerate(scores):
        each = user_auc(users, labels, of_seed, positives)
        value[place, each.users] = each.auc
        weight[each.users] = each.weight
    return PerUser(value, weight)


def difference(base: PerUser, other: PerUser, *, replicates: int, seed: int) -> Interval:
    """`other - base` with its 95 % percentile interval."""
    return contrast([(other, base)], replicates=replicates, seed=seed)


def contrast(pairs: Sequence[tuple[PerUser, PerUser]], *, replicates: int, seed: int) -> Interval:
    """(first pair's difference) − (the others' differences), on the same draws of users and seeds.

    One pair gives a plain difference; two answer whether one gain is larger than another, such as on cold and on
    popular items.
    """
    parts = []
    for other, base in pairs:
        kept = other.kept & base.kept
        weight = np.where(kept, base.weight, 0.0)
        gain = np.where(kept, other.value - base.value, 0.0) * weight
        parts.append((gain, weight))
    seeds, users = parts[0][0].shape
    signs = np.array([1.0] + [-1.0] * (len(parts) - 1))
    counted = int(min((weight > 0).sum() for _, weight in parts))
    nan = float("nan")
    if not counted:
        return Interval(nan, nan, nan, seeds, counted)

    def effects(draws: Floats) -> Floats:  # [R, U] → [R, S]
        with np.errstate(invalid="ignore", divide="ignore"):
            each = [(draws @ gain.T) / (draws @ weight)[:, None] for gain, weight in parts]
        return np.tensordot(signs, np.stack(each), axes=1)

    effect = float(effects(np.ones((1, users))).mean())
    if counted < LEAST_USERS or not replicates:
        return Interval(effect, nan, nan, seeds, counted)
    rng = np.random.default_rng([seed, _STREAM])
    sample = resample(effects, users, replicates, rng, rng)
    low, high = np.nanpercentile(sample, [2.5, 97.5])
    return Interval(effect, float(low), float(high), seeds, counted)
