"""When inferences are made and for whom: no inference that accompanies an impression has seen an event at or after its
snapshot, and the denoiser was fitted on events before the first snapshot only."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from reaseq.behavior.errors import BehaviorError

HOUR = 3_600_000_000  # µs


@dataclass(frozen=True)
class Schedule:
    """cut: the denoiser learns from events before it; snapshots: ascending times, the first one the cut; refit: the
    first snapshot after training, up to which a denoiser may be fitted further (µs)."""

    cut: int
    snapshots: tuple[int, ...]
    refit: int


def schedule(train_times: np.ndarray, fit_share: float, number: int, later: Iterable[int]) -> Schedule:
    """Place the snapshots.

    Args:
        train_times: int64 µs, times of all training events.
        fit_share: share of them before the cut.
        number: snapshots in the training period, at equal shares of events from the cut on.
        later: snapshots after it: the starts of validation and test, or one after all training events.

    Raises:
        BehaviorError: there are no training events.
    """
    if len(train_times) == 0:
        raise BehaviorError(
            "interactions.parquet has no event with split 'train'; check data.valid_start and the shares."
        )
    ordered = np.sort(train_times)
    shares = fit_share + (1 - fit_share) * np.arange(number) / number
    times = [int(ordered[min(int(share * len(ordered)), len(ordered) - 1)]) for share in shares]
    cut = max(times[0], int(ordered[0]) + 1)  # there is something to learn from
    later = sorted(later)
    refit = max(cut, later[0] if later else int(ordered[-1]) + 1)
    return Schedule(cut, tuple(sorted({cut, *(t for t in [*times, *later] if t > cut)})), refit)


def serving_pairs(snapshots: tuple[int, ...], users: np.ndarray, times: np.ndarray, lag_hours: float) -> np.ndarray:
    """The (user, snapshot number) pairs that impressions look up: for each the latest snapshot that is at least the lag
    older. Users of -1 and impressions before the first snapshot have none. int64 [n, 2], unique, sorted."""
    number = np.searchsorted(np.array(snapshots), times - round(lag_hours * HOUR), side="right") - 1
    keep = (number >= 0) & (users >= 0)
    pairs = np.stack([users[keep], number[keep]], 1).astype(np.int64)
    return np.unique(pairs, axis=0)
