"""Baselines that only count, on training events alone: popularity, among all and among one's kind, and items taken by
the same users.

All score all items after a history, in the form that `full_ranking` ranks.
"""

import numpy as np
from scipy import sparse

from reaseq.data.dataset import EventLog
from reaseq.data.ranges import elements
from reaseq.ranking.sequential.rows import last_events


class Popularity:
    """Scores an item by its training events, whatever the history."""

    def __init__(self, train: EventLog, items: int):
        self.count = np.bincount(train.items, minlength=items + 1)[1:].astype(np.float32)

    def __call__(self, start: np.ndarray, end: np.ndarray) -> np.ndarray:
        """[B, V] float32."""
        return np.tile(self.count, (len(start), 1))


class CohortPopularity:
    """Scores an item by the events of users whose log is mostly of the category that the history is mostly of.

    Args:
        train: training events alone.
        log: what histories are ranges of.
        category: [V+1] of each item, 0 for none.
    """

    def __init__(self, train: EventLog, log: EventLog, category: np.ndarray):
        self._events, self._category = log.items, category
        cohort = self._cohorts(train.items, train.offsets[:-1], train.offsets[1:])
        shape = (int(category.max(initial=0)) + 1, len(category))
        ones = np.ones(len(train.items), np.float32)
        self._count = sparse.csr_array((ones, (cohort[train.users], train.items)), shape=shape).toarray()[:, 1:]

    def __call__(self, start: np.ndarray, end: np.ndarray) -> np.ndarray:
        """[B, V] float32."""
        return self._count[self._cohorts(self._events, start, end)]

    def _cohorts(self, events: np.ndarray, start: np.ndarray, end: np.ndarray) -> np.ndarray:
        """[B] the category with most events of each range, the first of equal ones; 0 for an empty range."""
        row, place = elements(start, end)
        shape = (len(start), int(self._category.max(initial=0)) + 1)
        of_row = sparse.csr_array((np.ones(len(row), np.float32), (row, self._category[events[place]])), shape=shape)
        return np.asarray(of_row.argmax(axis=1)).ravel()


class ItemToItem:
    """Scores an item by its cosine to the history's items, the k-th last weighing decay^k.

    The cosine is that of the items' users in training (item-based top-n recommendation: Deshpande & Karypis, ACM TOIS
    2004). A user counts once per item.

    Args:
        train: training events alone.
        log: what histories are ranges of.
        items: V.
        decay: weight of an event over that of the one after it, in (0, 1].
        history: last events that count.
    """

    def __init__(self, train: EventLog, log: EventLog, items: int, *, decay: float, history: int):
        shape = (len(train.user_ids), items + 1)
        taken = sparse.csr_array((np.ones(len(train.items), np.float32), (train.users, train.items)), shape=shape)
        taken.data[:] = 1.0  # the constructor has summed repeated events
        norm = np.sqrt(np.maximum(taken.sum(axis=0), 1.0)).astype(np.float32)
        taken = taken @ sparse.diags_array(1 / norm)
        cosine = (taken.T @ taken).tocsr()
        cosine.setdiag(0.0)
        self._cosine, self._events = cosine, log.items
        self._weight = decay ** np.arange(history - 1, -1, -1, dtype=np.float32)

    def __call__(self, start: np.ndarray, end: np.ndarray) -> np.ndarray:
        """[B, V] float32."""
        events = last_events(self._events, start, end, len(self._weight))
        rows, age = np.nonzero(events)
        seen = sparse.csr_array(
            (self._weight[age], (rows, events[rows, age])), shape=(len(start), self._cosine.shape[0])
        )
        return (seen @ self._cosine).toarray()[:, 1:].astype(np.float32, copy=False)
