"""Metrics of ranked and scored impressions, vectorised over users.

All of them rest on one quantity, `wins`: for each positive, the share of the negatives in its group that score lower,
ties counting half. Its mean over a user's positives is that user's AUC; GAUC weighs users by impressions (Deep Interest
Network, arXiv 1706.06978, §5.3); a bucket's GAUC takes only the bucket's positives, against all the user's negatives.

A metric that its rows do not define is nan; `why_undefined` says why.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from reaseq.evaluation.errors import EvaluationError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

CLIP = 1e-7
"""Probabilities enter LogLoss no closer to 0 and 1 than this; a float32 sigmoid saturates about here."""


@dataclass(frozen=True)
class UserAuc:
    """AUC of each user, row i belonging to `users[i]`."""

    users: NDArray[Any]  # [U] distinct, sorted
    auc: Floats  # [U]; nan for a user without both classes
    weight: Floats  # [U] impressions

    @property
    def defined(self) -> NDArray[np.bool_]:
        return ~np.isnan(self.auc)


@dataclass(frozen=True)
class Gauc:
    value: float
    users: int
    """Users that enter: those with a positive and a negative."""
    users_total: int


@dataclass(frozen=True)
class Calibration:
    """Reliability of probabilities in bins of equal width; an empty bin holds nan."""

    edges: Floats  # [bins + 1]
    count: Ints  # [bins]
    predicted: Floats  # [bins] mean score
    observed: Floats  # [bins] share of positives
    error: float
    """Expected calibration error: mean |predicted - observed|, weighted by count."""


def check(labels: ArrayLike, scores: ArrayLike) -> tuple[NDArray[np.int8], Floats]:
    """Labels as int8 and scores as float64, both [N].

    Raises:
        EvaluationError: they differ in length, a label is not 0 or 1, or a score is not finite.
    """
    y, s = np.asarray(labels), np.asarray(scores, np.float64)
    if y.shape != s.shape or y.ndim != 1:
        raise EvaluationError(f"labels have shape {y.shape} and scores {s.shape}; one score per label is needed.")
    if not np.isin(y, (0, 1)).all():
        raise EvaluationError(
            f"labels must be 0 or 1; found {np.unique(y)[:5].tolist()}. Set data.positive_rating for rated sources."
        )
    if not np.isfinite(s).all():
        raise EvaluationError(
            f"{int((~np.isfinite(s)).sum())} of {len(s)} scores are not finite: the ranker diverged. "
            "Lower ranking.lr_dense or ranking.lr_sparse and train again."
        )
    return y.astype(np.int8), s


def why_undefined(labels: ArrayLike) -> str:
    """Why AUC and GAUC may be undefined on these labels; empty where AUC is defined."""
    y = np.asarray(labels)
    if not len(y):
        return "no impressions"
    if y.all():
        return "no negative impression"
    return "" if y.any() else "no positive impression"


def wins(groups: ArrayLike, labels: ArrayLike, scores: ArrayLike) -> Floats:
    """Share of the group's negatives that each positive outscores, ties counting half.

    Args:
        groups: [N] what is compared within: the user, or one value for all.
        labels: [N] 0 or 1.
        scores: [N].

    Returns:
        [N] in [0, 1]; nan for negatives, and for positives of a group without negatives.
    """
    y, s = check(labels, scores)
    _, group = np.unique(np.asarray(groups), return_inverse=True)
    order = np.lexsort((s, group))
    group, s, negative = group[order], s[order], (y[order] == 0)
    starts = np.ones(len(s), bool)
    starts[1:] = (group[1:] != group[:-1]) | (s[1:] != s[:-1])
    tie = np.cumsum(starts) - 1
    tied = np.bincount(tie, weights=negative)
    below = np.cumsum(tied) - tied  # negatives of all groups before this tie
    total = np.bincount(group, weights=negative)
    before = np.cumsum(total) - total  # negatives of the groups before this one
    share = np.full(len(s), np.nan)
    np.divide(below[tie] + tied[tie] / 2 - before[group], total[group], out=share, where=~negative & (total[group] > 0))
    result = np.empty_like(share)
    result[order] = share
    return result


def auc(labels: ArrayLike, scores: ArrayLike) -> float:
    """Area under the ROC curve over all rows; nan unless both classes are there."""
    won = wins(np.zeros(len(np.asarray(labels)), np.int8), labels, scores)
    return float(_mean(won[~np.isnan(won)]))


def user_auc(
    users: ArrayLike, labels: ArrayLike, scores: ArrayLike, positives: NDArray[np.bool_] | None = None
) -> UserAuc:
    """AUC of each user.

    Args:
        users: [N].
        labels: [N] 0 or 1.
        scores: [N].
        positives: [N]; of the positives only those marked here count (they meet all the user's negatives).
    """
    y, _ = check(labels, scores)
    won = wins(users, y, scores)
    kept = np.ones(len(y), bool) if positives is None else (y == 0) | np.asarray(positives, bool)
    ids, user = np.unique(np.asarray(users), return_inverse=True)
    scored = kept & ~np.isnan(won)
    hits = np.bincount(user[scored], weights=won[scored], minlength=len(ids))
    count = np.bincount(user[scored], minlength=len(ids))
    mean = np.divide(hits, count, out=np.full(len(ids), np.nan), where=count > 0)
    return UserAuc(ids, mean, np.bincount(user[kept], minlength=len(ids)).astype(float))


def gauc(users: ArrayLike, labels: ArrayLike, scores: ArrayLike, positives: NDArray[np.bool_] | None = None) -> Gauc:
    """Impression-weighted mean of the users' AUC, over users with a positive and a negative; nan if there is none."""
    each = user_auc(users, labels, scores, positives)
    defined = each.defined
    weight = each.weight[defined]
    value = float(each.auc[defined] @ weight / weight.sum()) if len(weight) else float("nan")
    return Gauc(value, int(defined.sum()), len(each.users))


def losses(labels: ArrayLike, scores: ArrayLike) -> Floats:
    """Binary cross-entropy of each row in nats; scores are probabilities, clipped to [CLIP, 1 - CLIP].

    Raises:
        EvaluationError: a score lies outside [0, 1].
    """
    y, s = check(labels, scores)
    if len(s) and (s.min() < 0 or s.max() > 1):
        raise EvaluationError(f"LogLoss needs probabilities; scores range from {s.min():.4g} to {s.max():.4g}.")
    p = np.clip(s, CLIP, 1 - CLIP)
    return -np.where(y == 1, np.log(p), np.log1p(-p))


def logloss(labels: ArrayLike, scores: ArrayLike) -> float:
    """Mean binary cross-entropy in nats; nan without rows."""
    return float(_mean(losses(labels, scores)))


def calibration(labels: ArrayLike, scores: ArrayLike, bins: int = 15) -> Calibration:
    """Reliability of probabilities (Guo et al., arXiv 1706.04599) in `bins` bins of equal width, closed on the left.

    A score of k / bins begins bin k; a score of 1 belongs to the last bin.
    """
    y, s = check(labels, scores)
    edges = np.arange(bins + 1) / bins  # not linspace: its 3 · 0.1 lies above 0.3, and a score of 0.3 below its bin
    place = np.clip(np.searchsorted(edges, s, side="right") - 1, 0, bins - 1)
    count = np.bincount(place, minlength=bins)
    filled = count > 0
    predicted, observed = (
        np.divide(np.bincount(place, weights=v, minlength=bins), count, out=np.full(bins, np.nan), where=filled)
        for v in (s, y)
    )
    gap = np.abs(predicted - observed)[filled]
    error = float(gap @ count[filled] / count.sum()) if filled.any() else float("nan")
    return Calibration(edges, count, predicted, observed, error)


def hit(ranks: ArrayLike, k: int) -> Floats:
    """1 where the target's rank (1 is best) is at most k, else 0; [N]."""
    return (_ranks(ranks) <= k).astype(float)


def discounted_gain(ranks: ArrayLike, k: int) -> Floats:
    """NDCG@k of each list with one relevant item at the given rank: 1 / log2(1 + rank), 0 past k; [N]."""
    r = _ranks(ranks)
    return np.where(r <= k, 1 / np.log2(1 + r), 0.0)


def hit_rate(ranks: ArrayLike, k: int) -> float:
    """Share of targets among the first k; nan without lists."""
    return float(_mean(hit(ranks, k)))


def ndcg(ranks: ArrayLike, k: int) -> float:
    """Mean NDCG@k with one relevant item per list; nan without lists."""
    return float(_mean(discounted_gain(ranks, k)))


def mrr(ranks: ArrayLike) -> float:
    """Mean reciprocal rank; nan without lists."""
    return float(_mean(1 / _ranks(ranks)))


def _ranks(ranks: ArrayLike) -> Floats:
    r = np.asarray(ranks, float)
    if r.ndim != 1 or (len(r) and not r.min() >= 1):
        raise EvaluationError("ranks must be one-dimensional and start at 1, the best place.")
    return r


def _mean(values: Floats) -> float:
    return values.mean() if len(values) else float("nan")
