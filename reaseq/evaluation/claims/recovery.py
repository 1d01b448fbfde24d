"""How much of what the log does not show is recovered: Recall@M of GBR and of what needs no reasoning.

Recall@M is the share of all truth items that are among a user's M. Every method chooses from the same catalogue, never
an item of the visible history, and takes the same share of its items from categories that the history lacks, so that
no gain comes from that rule alone; ties are broken at random. Counts are of the visible log at the snapshot, so they
are fresher than the denoiser, which was fitted on events before the cut.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reaseq.data.dataset import EventLog
from reaseq.evaluation.bootstrap import resample
from reaseq.evaluation.buckets import LEAST_USERS
from reaseq.evaluation.claims.cases import Cases
from reaseq.evaluation.claims.evidence import Comparison
from reaseq.evaluation.claims.hiding import Bools, Ints
from reaseq.evaluation.metrics import Floats
from reaseq.ranking.sequential.counting import CohortPopularity, ItemToItem, Popularity
from reaseq.ranking.sequential.rows import last_events
from reaseq.representation.vectors import ItemVectors

M = 10
GBR, ANOTHER, POPULARITY, ITEM_TO_ITEM, RANDOM = "GBR", "another user's", "popularity", "item-to-item", "random"
COHORT = "popularity in the cohort"
"""Among users whose log is mostly of the same category."""
NEAREST = "nearest to the history"
"""By cosine of item vectors to the mean of the history's, recent first: what the vectors know without a denoiser."""
RECENT, DECAY = "item-to-item, recent first", 0.95
"""The same with weights that fall by this factor with each behaviour, the stronger one where interests pass."""
METHODS = (GBR, ANOTHER, POPULARITY, COHORT, ITEM_TO_ITEM, RECENT, NEAREST, RANDOM)
DRAWS, RESAMPLING, PICKS = 0x4EC0, 0xC456, 0x5EED  # streams of random numbers drawn from the seed
_ROWS = 256  # users ranked at a time

PerUser = dict[int, float]
"""User (index in the log) → value."""
Scores = NDArray[np.floating[Any]]
Score = Callable[[Cases], Scores]
"""Scores [n, V+1] of all items for the users of a part of the cases."""


@dataclass(frozen=True)
class Recalled:
    """Recall@M of one method in one seed."""

    overall: PerUser
    """Out of the whole catalogue."""
    within: PerUser
    """Out of the categories that the truth lies in."""


def recalls(
    parts: Sequence[Cases], vectors: ItemVectors, *, scale: float, category: Ints, new: int, history: int, seed: int
) -> dict[str, Recalled]:
    """Each of `METHODS` on the cases of one seed.

    Args:
        parts: cases of each snapshot.
        vectors: item vectors.
        scale: of cosines between ẑ and z; by it GBR ranks a category's items, as grounding does the catalogue's: by
            their posterior in the slot that they are likeliest in.
        category: [V+1] of each item, 0 for none.
        new: how many of M items are of categories that the history lacks, as far as there are any.
        history: last behaviours that item-to-item counts.
        seed: of the random method, of ties and of who gets whose inferences.
    """
    found: dict[str, tuple[list[tuple[Ints, Ints, Ints]], ...]] = {name: ([], []) for name in METHODS}
    for number, cases in enumerate(parts):
        other = cases.of_another_user(seed)
        rng = np.random.default_rng([seed, DRAWS, number])
        items = cases.truth.shape[1] - 1
        neighbours = {
            name: ItemToItem(cases.log, cases.log, items, decay=decay, history=history)
            for name, decay in ((ITEM_TO_ITEM, 1.0), (RECENT, DECAY))
        }
        posterior = _posterior(vectors, scale, cases.log)
        scores: dict[str, tuple[Cases, Score]] = {
            GBR: (cases, posterior),
            ANOTHER: (other, posterior),
            POPULARITY: (cases, of_spans(Popularity(cases.log, items))),
            COHORT: (cases, of_spans(CohortPopularity(cases.log, cases.log, category))),
            NEAREST: (cases, _near_history(vectors, history)),
            **{name: (cases, of_spans(counted)) for name, counted in neighbours.items()},
            RANDOM: (cases, _at_random(rng)),
        }
        size = cases.truth.sum(1)
        for name, (of, score) in scores.items():
            missed = None if name in (GBR, ANOTHER) else lacking(of, category)
            overall, within = _hits(of, score, missed, new, rng)
            found[name][0].append((cases.user, overall, size))
            found[name][1].append((cases.user, within, size))
    return {name: Recalled(per_user(overall), per_user(within)) for name, (overall, within) in found.items()}


def recall_of_inferred(cases: Cases) -> PerUser:
    """Recall@M of what was inferred, out of the whole catalogue."""
    hits, size = cases.truth[np.arange(len(cases))[:, None], cases.items[:, :M]], cases.truth.sum(1)
    return per_user([(cases.user, hits.sum(1), size)])


def per_user(sums: Iterable[tuple[Ints, NDArray[np.generic], NDArray[np.generic]]]) -> PerUser:
    """Σ value / Σ weight of each user over (user, value, weight) of several snapshots; users of weight 0 are left out,
    and so are nan values."""
    total: dict[int, list[float]] = {}
    for users, values, weights in sums:
        for user, value, weight in zip(users.tolist(), values.tolist(), weights.tolist(), strict=True):
            if weight and value == value:
                place = total.setdefault(user, [0.0, 0.0])
                place[0] += value
                place[1] += weight
    return {user: value / weight for user, (value, weight) in total.items()}


def _hits(cases: Cases, score: Score, missed: Bools | None, new: int, rng: np.random.Generator) -> tuple[Ints, Ints]:
    """Truth items among the M chosen out of the whole catalogue, `new` of them `missed` [N, V+1] (or, where that is
    None, among those inferred), and out of the region; [N]."""
    overall, within = [], []
    for low in range(0, len(cases), _ROWS):
        rows = slice(low, low + _ROWS)
        part = cases.at(rows)
        allowed = part.known & ~part.history()
        allowed[:, 0] = False
        scores = score(part)
        line = np.arange(len(part))[:, None]
        everywhere = part.items[:, :M]
        if missed is not None:
            everywhere = best_with_new(np.where(allowed, scores, -np.inf), missed[rows], new, rng)
        inside = best(np.where(allowed & part.region, scores, -np.inf), M, rng)
        overall.append(part.truth[line, everywhere].sum(1))
        within.append(part.truth[line, inside].sum(1))
    return np.concatenate(overall), np.concatenate(within)


def lacking(cases: Cases, category: Ints) -> Bools:
    """[N, V+1] items of a category that the user's history has nothing of; items without one are none of these."""
    held = np.zeros((len(cases), int(category.max(initial=0)) + 1), bool)
    row, item = np.nonzero(cases.history())
    held[row, category[item]] = True
    held[:, 0] = True
    return ~held[:, category]


def best_with_new(scores: Scores, missed: Bools, new: int, rng: np.random.Generator) -> Ints:
    """[N, M] the M best items, `new` of them of those `missed` [N, V+1], as far as there are any; else as `best`."""
    scores, line = scores.copy(), np.arange(len(scores))[:, None]
    first = best(np.where(missed, scores, -np.inf), new, rng) if new else line[:, :0]
    scores[line, first] = np.where(first > 0, np.inf, -np.inf)
    return best(scores, M, rng)


def best(scores: Scores, m: int, rng: np.random.Generator) -> Ints:
    """Columns of the m highest scores of each row, in no order, ties drawn at random; 0 in place of -inf ones.

    Args:
        scores: [N, V+1], column 0 is no item.
        m: how many.
        rng: of the ties.
    """
    m = min(m, scores.shape[1])
    least = np.partition(scores, -m, axis=1)[:, -m, None]
    key = np.where(scores > least, 2.0, np.where(scores == least, rng.random(scores.shape), -1.0))
    top = np.argpartition(-key, m - 1, axis=1)[:, :m]
    return np.where(np.take_along_axis(scores, top, 1) > -np.inf, top, 0)


def _posterior(vectors: ItemVectors, scale: float, log: EventLog) -> Score:
    prior = np.log(np.maximum(np.bincount(log.items, minlength=len(vectors.z)), 1)).astype(np.float32)

    def score(part: Cases) -> Scores:
        nearest: Scores = np.full(part.truth.shape, -1.0, np.float32)
        for slot in range(part.items.shape[1]):
            there = (part.items[:, slot] > 0)[:, None]
            cosine = part.latents[:, slot] @ vectors.z.T
            np.maximum(nearest, cosine, out=nearest, where=there)
        return scale * nearest + prior

    return score


def _near_history(vectors: ItemVectors, history: int) -> Score:
    weight = DECAY ** np.arange(history - 1, -1, -1, dtype=np.float32)

    def score(part: Cases) -> Scores:
        mean = weight @ vectors.z[last_events(part.log.items, *part.spans(), history)]  # z of no event is zeros
        scores: Scores = mean @ vectors.z.T
        return scores

    return score


def of_spans(model: Popularity | CohortPopularity | ItemToItem) -> Score:
    """Its scores of each user's visible history; column 0, no item, is -inf."""

    def score(part: Cases) -> Scores:
        scores = model(*part.spans())
        return np.concatenate([np.full((len(scores), 1), -np.inf, scores.dtype), scores], axis=1)

    return score


def _at_random(rng: np.random.Generator) -> Score:
    def score(part: Cases) -> Scores:
        return rng.random(part.truth.shape)

    return score


def compare(
    what: str,
    other: tuple[str, Sequence[PerUser]],
    base: tuple[str, Sequence[PerUser]],
    *,
    replicates: int,
    seed: int,
    decides: bool = False,
    note: str = "",
) -> Comparison:
    """Mean of other's value less base's over the users that both have, with its interval over users and seeds.

    A replicate draws users with replacement, the same for all seeds, and seeds with replacement. Users may differ from
    seed to seed: a user counts in the seeds that have it.

    Args:
        what: metric and where.
        other, base: name, and values of each seed.
        replicates: bootstrap samples.
        seed: of the draws.
        decides: whether the verdict depends on it.
        note: for the reader.
    """
    common = [sorted(a.keys() & b.keys()) for a, b in zip(other[1], base[1], strict=True)]
    users = sorted({user for each in common for user in each})
    place = {user: column for column, user in enumerate(users)}
    values = np.full((2, len(common), len(users)), np.nan)
    for row, each in enumerate(common):
        columns = [place[user] for user in each]
        values[0, row, columns] = [other[1][row][user] for user in each]
        values[1, row, columns] = [base[1][row][user] for user in each]
    values = values[:, [bool(each) for each in common]]
    seeds, nan = values.shape[1], float("nan")
    if not users:
        return Comparison(what, other[0], base[0], nan, nan, nan, nan, nan, 0, 0, decides, f"no users. {note}".strip())
    there = ~np.isnan(values[0])
    gain = np.where(there, values[0] - values[1], 0.0)
    means = np.nanmean(values, axis=2).mean(1)
    low, high = nan, nan
    if len(users) < LEAST_USERS:
        note = f"fewer than {LEAST_USERS} users. {note}".strip()
    elif replicates:
        low, high = _interval(gain, there.astype(float), replicates, seed)
    return Comparison(
        what,
        other[0],
        base[0],
        float(means[0]),
        float(means[1]),
        float(means[0] - means[1]),
        low,
        high,
        seeds,
        len(users),
        decides,
        note,
    )


def _interval(gain: Floats, there: Floats, replicates: int, seed: int) -> tuple[float, float]:
    """95 % percentile interval of the mean over seeds of Σ gain / Σ there, both [S, U]."""

    def effects(draws: Floats) -> Floats:
        with np.errstate(invalid="ignore", divide="ignore"):
            of_seeds: Floats = (draws @ gain.T) / (draws @ there.T)
            return of_seeds

    streams = np.random.default_rng([seed, RESAMPLING]), np.random.default_rng([seed, PICKS])
    low, high = np.nanpercentile(resample(effects, gain.shape[1], replicates, *streams), [2.5, 97.5])
    return float(low), float(high)
