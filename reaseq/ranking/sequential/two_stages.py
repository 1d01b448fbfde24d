"""The full ranker in full-ranking tables: alone over the whole catalogue, and as the second of two stages.

In production a ranker never sees the catalogue but what a retriever found. `TwoStages` is that: the retriever's best
unseen items are ordered anew, all others stay behind them in the retriever's order.
"""

import numpy as np

from reaseq.data.dataset import Dataset
from reaseq.ranking.batches import Contexts
from reaseq.ranking.scoring import score_candidates
from reaseq.ranking.sequential.full_ranking import Score
from reaseq.ranking.training import Network, catalogue

SMOOTHING = 60.0
"""k of reciprocal rank fusion, as published."""


class RankerScores:
    """A click-through ranker as a `full_ranking.Score`: each history at the moment of the event that follows it.

    Args:
        model: in evaluation mode.
        data: what it was trained on; items have its numbers.
        contexts: of the same log.
    """

    def __init__(self, model: Network, data: Dataset, contexts: Contexts):
        self.model, self.contexts, self.log = model, contexts, data.log
        self.table = catalogue(model)
        self._all = np.arange(1, len(data.item_ids) + 1)[None]

    def __call__(self, start: np.ndarray, end: np.ndarray) -> np.ndarray:
        """[B, V] float32 logits."""
        return self.of(start, end, self._all)

    def of(self, start: np.ndarray, end: np.ndarray, items: np.ndarray) -> np.ndarray:
        """[B, C] float32 logits of item indices [B, C], or of [1, C] for every history."""
        user = np.searchsorted(self.log.offsets, start, side="right") - 1
        return score_candidates(self.model, self.table, self.contexts, user, end, self.log.timestamps[end], items)


class TwoStages:
    """A `full_ranking.Score`: the retriever's best items, by reciprocal rank fusion of both (Cormack et al., SIGIR
    2009). An item in the history is never retrieved.

    Args:
        retriever: scores all items.
        ranker: scores what was retrieved.
        depth: unseen items that are retrieved per history.
        weight: of the ranker's reciprocal rank, the retriever's having 1; 0 leaves the retriever's order.
    """

    def __init__(self, retriever: Score, ranker: RankerScores, depth: int, weight: float):
        self.retriever, self.ranker, self.depth, self.weight = retriever, ranker, depth, weight

    def __call__(self, start: np.ndarray, end: np.ndarray) -> np.ndarray:
        """[B, V] float32: positive for what was retrieved, negative for the rest."""
        scores = self.retriever(start, end)
        lines = np.arange(len(scores))[:, None]
        unseen = scores.copy()
        for line, (first, last) in enumerate(zip(start, end, strict=True)):
            unseen[line, self.ranker.log.items[first:last] - 1] = -np.inf
        found = _best(unseen, self.depth)
        by_ranker = _places(self.ranker.of(start, end, found + 1))
        by_retriever = np.arange(1, found.shape[1] + 1)
        fused = 1 / (SMOOTHING + by_retriever) + self.weight / (SMOOTHING + by_ranker)
        behind = scores - scores.max(axis=1, keepdims=True) - 1
        behind[lines, found] = fused
        return behind


def _best(scores: np.ndarray, count: int) -> np.ndarray:
    """[B, ≤ count] columns of the highest scores, best first."""
    count = min(count, scores.shape[1])
    kept = np.argpartition(-scores, count - 1, axis=1)[:, :count]  # spares a sort of the catalogue
    order = np.argsort(-np.take_along_axis(scores, kept, axis=1), axis=1, kind="stable")
    return np.take_along_axis(kept, order, axis=1)


def _places(scores: np.ndarray) -> np.ndarray:
    """[B, C] place of each score in its row, 1 is the highest."""
    return 1 + np.argsort(np.argsort(-scores, axis=1, kind="stable"), axis=1, kind="stable")
