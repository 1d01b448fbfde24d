"""What a sequential model is trained on: one row per user of the training events, in batches of nearly equal length.

A row is a range of the log. All of its events but the last are read, all but the first are predicted. A user with more
events than a row holds gets several rows that overlap by one event, so that each event is predicted exactly once.
"""

from dataclasses import dataclass

import numpy as np

from reaseq.data.dataset import EventLog
from reaseq.data.ranges import numbered

SORTED_TOGETHER = 16
"""Batches' worth of shuffled rows that are sorted by length together: enough to save the padding, and few enough that
a batch's company still changes from epoch to epoch."""


@dataclass(frozen=True)
class Rows:
    """Ranges [start, end) of `items`, each of 2 to `history + 1` events."""

    items: np.ndarray  # [E] int32, item index
    start: np.ndarray  # [R] int64
    end: np.ndarray  # [R] int64

    @classmethod
    def of(cls, log: EventLog, history: int) -> "Rows":
        """Rows of all users with two events or more, cut from the end backwards.

        Args:
            log: holds training events alone (`EventLog.only_train`).
            history: events that the model reads at most.
        """
        length = np.diff(log.offsets)
        pieces = np.where(length > 1, -(-(length - 1) // history), 0)
        user, number = numbered(pieces)
        end = log.offsets[user + 1] - number * history
        return cls(log.items, np.maximum(end - history - 1, log.offsets[user]), end)

    def __len__(self) -> int:
        return len(self.start)

    @property
    def positions(self) -> int:
        """Events that are predicted in one epoch."""
        return int((self.end - self.start - 1).sum())

    def batches(self, positions: int, rng: np.random.Generator) -> list[np.ndarray]:
        """Row numbers of one epoch's batches, each of at most `positions` padded positions (or a single row)."""
        order = rng.permutation(len(self.start))
        width = (self.end - self.start - 1)[order]
        pool = np.cumsum(width) // (positions * SORTED_TOGETHER)
        by_length = np.lexsort((width, pool))
        order, width, pool = order[by_length], width[by_length], pool[by_length]
        batches, low = [], 0
        for high in range(1, len(order) + 1):
            full = high < len(order) and width[low : high + 1].max() * (high + 1 - low) > positions
            if high == len(order) or full or pool[high] != pool[low]:
                batches.append(order[low:high])
                low = high
        return [batches[i] for i in rng.permutation(len(batches))]

    def gather(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What is read and what is predicted at each position, both int64 [B, W], 0 on the left of short rows."""
        events = last_events(self.items, self.start[rows], self.end[rows], int((self.end - self.start)[rows].max()))
        read = events[:, :-1]
        return read, np.where(read > 0, events[:, 1:], 0)


def last_events(items: np.ndarray, start: np.ndarray, end: np.ndarray, width: int) -> np.ndarray:
    """int64 [B, width]: the last events of each range, oldest first, 0 on the left of what is shorter."""
    place = end[:, None] - np.arange(width, 0, -1)
    inside = place >= start[:, None]
    return np.where(inside, items[np.where(inside, place, 0)] if len(items) else 0, 0).astype(np.int64)
