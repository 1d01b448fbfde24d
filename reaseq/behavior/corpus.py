"""What the denoiser is fitted on: the users' behaviours before the cut, less the held-out last ones, in batches of
(nearly) equal length."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from reaseq.behavior.slots import Log
from reaseq.data.ranges import numbered

SMALLEST = 2
"""Behaviours a window needs: one to mask and one to infer it from."""
HELD_OUT_SHARE, FEWEST_HELD_OUT, MOST_HELD_OUT = 0.3, 200, 2000
"""Recall over fewer users than this is mostly noise, so small corpora hold out a larger share, yet at most half."""


@dataclass(frozen=True)
class Corpus:
    """Rows of a log that may be learned from: one range of events [start, end) per user.

    `held_start`, `held_at`: for each held-out user the start of the history and the index of the last event before the
    cut, which is in no range.
    """

    log: Log
    starts: np.ndarray
    ends: np.ndarray
    held_start: np.ndarray
    held_at: np.ndarray

    @classmethod
    def of(cls, log: Log, rng: np.random.Generator) -> "Corpus":
        """All events of `log` (which holds none after the cut) but the last one of `HELD_OUT_SHARE` of the users (or of
        more, see there).

        A user can be held out who has three events and whose last item is new to them.
        """
        starts, ends = log.offsets[:-1].copy(), log.offsets[1:].copy()
        able = np.flatnonzero(ends - starts >= SMALLEST + 1)
        able = able[[log.items[ends[u] - 1] not in log.items[starts[u] : ends[u] - 1] for u in able]]
        number = max(int(np.ceil(HELD_OUT_SHARE * len(able))), min(FEWEST_HELD_OUT, len(able) // 2))
        number = min(number, MOST_HELD_OUT)
        held = np.sort(rng.choice(able, number, replace=False)) if number else able
        ends[held] -= 1
        return cls(log, starts, ends, starts[held], ends[held])

    def windows(self, longest: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Cut each user's range into windows of at most `longest` events, at places that differ from draw to draw.

        Returns starts and ends of all windows of at least `SMALLEST` events.
        """
        length = self.ends - self.starts
        first, long = length.copy(), length > longest
        first[long] = rng.integers(1, longest + 1, size=int(long.sum()))  # none for users who come only after the cut
        pieces = 1 + np.maximum(-(-(length - first) // longest), 0)
        user, number = numbered(pieces)
        ends = np.minimum(self.starts[user] + first[user] + number * longest, self.ends[user])
        starts = np.where(number == 0, self.starts[user], self.starts[user] + first[user] + (number - 1) * longest)
        keep = ends - starts >= SMALLEST
        return starts[keep], ends[keep]

    def batches(self, longest: int, slots: int, rng: np.random.Generator) -> list[tuple[np.ndarray, np.ndarray]]:
        """Windows in shuffled batches of at most `slots` slots, sorted by length first, so that little is padding."""
        starts, ends = self.windows(longest, rng)
        length = ends - starts
        order = np.lexsort((rng.random(len(length)), length))
        batches = [
            (starts[order[low:high]], ends[order[low:high]]) for low, high in equal_batches(length[order], slots)
        ]
        return [batches[i] for i in rng.permutation(len(batches))]


def equal_batches(lengths: np.ndarray, slots: int) -> Iterator[tuple[int, int]]:
    """Cut ascending lengths into ranges whose padded size is at most `slots` (or a single row)."""
    low = 0
    for high in range(1, len(lengths) + 1):
        if high == len(lengths) or lengths[high] * (high + 1 - low) > slots:
            yield low, high
            low = high
