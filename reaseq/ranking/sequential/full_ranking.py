"""Where held-out items stand among the whole catalogue, for any model that scores all items after a history.

The protocol is that of the published leave-one-out tables: all items compete but those in the visible history, and
nothing is sampled (Krichene & Rendle, KDD 2020). Ties are broken at random by the seed.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from reaseq.data.dataset import Dataset
from reaseq.data.ranges import elements
from reaseq.ranking.scoring import CatalogueRanks
from reaseq.schema import Split

TIES = 52  # stream of random numbers drawn from the seed
ROWS = 512  # ranked at a time; bounds memory at ROWS × items scores

Score = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""(start, end) of histories in the log, both [B] → float32 scores [B, V]; column i belongs to item i + 1."""


@dataclass(frozen=True)
class Targets:
    """One held-out item per user, with the history that may be seen before it; row-aligned arrays."""

    user: np.ndarray  # [R] int64, index into log.user_ids
    item: np.ndarray  # [R] int64, item index
    start: np.ndarray  # [R] int64, the history is log.items[start:end]
    end: np.ndarray  # [R] int64

    @classmethod
    def of(cls, data: Dataset, split: Split) -> "Targets":
        """The first positive of each user in the split, at its own moment.

        In leave-one-out the history of a test item holds the validation item, as published.
        """
        shown = data.impressions(split)
        rows = np.flatnonzero((shown.label == 1) & (shown.user >= 0))
        _, first = np.unique(shown.user[rows], return_index=True)
        rows = rows[first]
        user = shown.user[rows]
        return cls(user, shown.item[rows], data.log.offsets[user], shown.end[rows])

    def __len__(self) -> int:
        return len(self.user)


def rank_targets(data: Dataset, targets: Targets, score: Score, seed: int) -> CatalogueRanks:
    """Rank each target among all items but those in its history (save the target itself)."""
    better, ties, ranked = (np.zeros(len(targets), np.int64) for _ in range(3))
    order = np.argsort(targets.end - targets.start, kind="stable")  # like lengths together: less padding
    for low in range(0, len(targets), ROWS):
        part = order[low : low + ROWS]
        start, end = targets.start[part], targets.end[part]
        scores = score(start, end)
        lines, place = np.arange(len(scores)), targets.item[part] - 1
        own = scores[lines, place].copy()
        line, event = elements(start, end)
        scores[line, data.log.items[event] - 1] = -np.inf
        scores[lines, place] = own
        better[part] = (scores > own[:, None]).sum(1)
        ties[part] = (scores == own[:, None]).sum(1) - 1
        ranked[part] = (scores > -np.inf).sum(1)
    rank = 1 + better + np.random.default_rng([seed, TIES]).integers(ties + 1)
    ids = np.array(data.item_ids, dtype=object)
    return CatalogueRanks(data.log.user_ids[targets.user], ids[targets.item - 1], rank, ranked)


def mean_ndcg(ranks: CatalogueRanks, k: int = 10) -> float:
    """NDCG@k with one relevant item per list; what training stops by."""
    return float(np.where(ranks.rank <= k, 1 / np.log2(1 + ranks.rank), 0.0).mean())
