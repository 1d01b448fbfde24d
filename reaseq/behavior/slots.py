"""Slots: what the denoiser reads. One slot is one behaviour: its item's codes, how recent it is, the time gap before it
and its action. Here sequences become slots, and all-[MASK] slots are put between and after them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from reaseq.behavior.configuration import FUTURE_BUCKETS, GAP_BUCKETS

MINUTE = 60_000_000  # µs
DEFAULT_GAP = 7 * 24 * 60 * MINUTE
"""Between slots after the end, for a user whose behaviours all have the same time."""


class Log(Protocol):
    """What is read of `reaseq.data.dataset.EventLog`."""

    @property
    def offsets(self) -> np.ndarray: ...
    @property
    def items(self) -> np.ndarray: ...
    @property
    def timestamps(self) -> np.ndarray: ...
    @property
    def actions(self) -> np.ndarray: ...


@dataclass(frozen=True)
class SlotBatch:
    """B sequences of up to S slots; absent slots stand at the end of their row.

    codes int64 [B, S, L] (K = [MASK]), recency, gap and action int64 [B, S] (buckets), present bool [B, S].
    """

    codes: Tensor
    recency: Tensor
    gap: Tensor
    action: Tensor
    present: Tensor

    @property
    def present_tokens(self) -> Tensor | None:
        """Bool [B, S·L]: tokens that may be attended to; None: all, which is faster than a mask that says so."""
        return None if bool(self.present.all()) else self.present.repeat_interleave(self.codes.shape[2], 1)

    def to(self, device: torch.device | str) -> "SlotBatch":
        return SlotBatch(**{f.name: getattr(self, f.name).to(device) for f in fields(self)})

    def rows(self, index: Tensor) -> "SlotBatch":
        """The sequences at `index` int64 [B']."""
        return SlotBatch(**{f.name: getattr(self, f.name)[index] for f in fields(self)})

    def take(self, index: Tensor) -> "SlotBatch":
        """The slots at `index` int64 [B, S'], with buckets as they are."""
        wide = index[..., None].expand(*index.shape, self.codes.shape[-1])
        rest = {name: getattr(self, name).gather(1, index) for name in ("recency", "gap", "action", "present")}
        return SlotBatch(codes=self.codes.gather(1, wide), **rest)


@dataclass(frozen=True)
class Sequences:
    """Padded behaviours of B users, oldest first: items [B, N] (0 = absent), times µs [B, N], gap and action [B, N]."""

    items: np.ndarray
    times: np.ndarray
    gap: np.ndarray
    action: np.ndarray

    @property
    def present(self) -> np.ndarray:
        return self.items > 0

    @property
    def rank(self) -> np.ndarray:
        """Rank from the end, 0 = newest; below 0 where absent."""
        return self.present.sum(1, keepdims=True) - 1 - np.arange(self.items.shape[1])


def gap_bucket(gap: np.ndarray) -> np.ndarray:
    """Bucket of a time gap in µs; see `GAP_BUCKETS`."""
    minutes = np.maximum(gap, 0) / MINUTE
    return np.minimum(1 + np.log2(1 + minutes).astype(np.int64), GAP_BUCKETS - 1)


def recency_bucket(rank: np.ndarray) -> np.ndarray:
    """Bucket of ranks from the last known behaviour, which has rank 0; slots after it have negative ranks and buckets
    of their own, so that it makes no difference to a history how many there are."""
    past = FUTURE_BUCKETS + np.floor(2 * np.log2(1 + np.maximum(rank, 0)))
    future = np.minimum(np.floor(2 * np.log2(np.maximum(-rank, 1))), FUTURE_BUCKETS - 1)
    return np.where(rank < 0, future, past).astype(np.int64)


def gather_sequences(log: Log, starts: np.ndarray, ends: np.ndarray) -> Sequences:
    """Events [start, end) of the log, one row each; a row must not cross from one user to the next."""
    index = starts[:, None] + np.arange(int((ends - starts).max(initial=1)))
    present = index < ends[:, None]
    index = np.where(present, index, starts[:, None])
    times = log.timestamps[index]
    first = log.offsets[np.searchsorted(log.offsets, starts, side="right") - 1]
    before = log.timestamps[np.maximum(index - 1, 0)]
    gap = np.where(index == first[:, None], 0, gap_bucket(times - before))
    items = np.where(present, log.items[index], 0).astype(np.int64)
    action = log.actions[index].astype(np.int64) + 1
    return Sequences(items, np.where(present, times, 0), np.where(present, gap, 0), np.where(present, action, 0))


def slot_batch(sequences: Sequences, codes: np.ndarray, known: np.ndarray | None = None) -> SlotBatch:
    """Unmasked slots.

    Args:
        sequences: of B users.
        codes: int64 [V+1, L] of the item vectors.
        known: bool [B, S], slots of which something will stay visible; recency is counted from the last of them. None:
            all that are present.
    """
    present = sequences.present
    rank = sequences.rank
    if known is not None:
        rank = rank - np.where(known, rank, present.sum(1, keepdims=True)).min(1, keepdims=True)
    return SlotBatch(
        codes=torch.from_numpy(np.maximum(codes[sequences.items], 0)),
        recency=torch.from_numpy(np.where(present, recency_bucket(rank), 0)),
        gap=torch.from_numpy(sequences.gap),
        action=torch.from_numpy(sequences.action),
        present=torch.from_numpy(present),
    )


@dataclass(frozen=True)
class Inserted:
    """Slots of B users with S' all-[MASK] slots each: where they are (`index` int64 [B, S']) and when (µs, [B, S'])."""

    batch: SlotBatch
    index: Tensor
    times: np.ndarray


def insert_masks(
    sequences: Sequences,
    codes: np.ndarray,
    mask_code: int,
    slots: int,
    inside: int | None = None,
    now: int | None = None,
) -> Inserted:
    """Add `slots` [MASK] slots to each user: `inside` of them (a third if None) halfway into the largest time gaps, the
    others after the end at steps of the user's median gap, none before the time `now` (µs). Where there are fewer gaps,
    the rest goes after the end.

    Args:
        sequences: [B, N], at least one event each.
        codes: int64 [V+1, L], of each item index.
        mask_code: what stands for [MASK] in the inserted slots' codes.

    Returns:
        A batch [B, S], S at most N + `slots`, in order of time, absent slots at the end; S' is `slots`.
    """
    inside = slots // 3 if inside is None else inside
    present, times = sequences.present, sequences.times
    users, width = present.shape
    count = present.sum(1)
    gaps = np.where(present[:, 1:], np.diff(times, axis=1), 0)  # gap j lies between events j and j+1
    order = np.argsort(-gaps, axis=1, kind="stable")
    filled = np.zeros(gaps.shape, bool)
    np.put_along_axis(filled, order[:, :inside], True, axis=1)
    filled &= gaps > 0
    after = slots - filled.sum(1)

    rows = np.arange(users)
    last = times[rows, count - 1]
    step = np.array([np.median(g[g > 0]) if (g > 0).any() else DEFAULT_GAP for g in gaps]).astype(np.int64)
    number = np.arange(slots)
    first = last + step if now is None else np.maximum(last + step, now)
    columns: Sequence[np.ndarray] = (  # position in time order; absent ones go to the very end
        np.where(present, 2 * np.arange(width), 4 * (width + slots)),
        np.where(filled, 2 * np.arange(width - 1) + 1, 4 * (width + slots)),
        np.where(number < after[:, None], 2 * width + number, 4 * (width + slots)),
    )
    position = np.argsort(np.concatenate(columns, axis=1), axis=1, kind="stable")[:, : int(count.max()) + slots]

    def merge(events: np.ndarray, inside: np.ndarray, behind: np.ndarray) -> np.ndarray:
        return np.take_along_axis(np.concatenate([events, inside, behind], axis=1), position, axis=1)

    halfway = times[:, :-1] + gaps // 2
    nothing, none = np.zeros(gaps.shape, np.int64), np.zeros((users, slots), np.int64)
    is_mask = merge(np.zeros(present.shape, bool), filled, number < after[:, None])
    merged = Sequences(
        items=merge(sequences.items, nothing, none),
        times=merge(times, halfway, first[:, None] + step[:, None] * number),
        gap=merge(sequences.gap, nothing, none),
        action=merge(sequences.action, nothing, none),
    )
    there = np.arange(is_mask.shape[1]) < (count + slots)[:, None]
    moved = is_mask.copy()  # slots whose predecessor is not the one they had in the log
    moved[:, 1:] |= is_mask[:, :-1]
    since = np.diff(merged.times, axis=1, prepend=merged.times[:, :1])
    gap = np.where(there, np.where(moved, gap_bucket(since), merged.gap), 0)
    rank = (count + slots - after)[:, None] - 1 - np.arange(is_mask.shape[1])
    filled_codes = np.where(is_mask[..., None], mask_code, np.maximum(codes[merged.items], 0))
    index = np.argsort(~is_mask, axis=1, kind="stable")[:, :slots]
    batch = SlotBatch(
        codes=torch.from_numpy(filled_codes.astype(np.int64)),
        recency=torch.from_numpy(np.where(there, recency_bucket(rank), 0)),
        gap=torch.from_numpy(gap),
        action=torch.from_numpy(np.where(there, merged.action, 0)),
        present=torch.from_numpy(there),
    )
    return Inserted(batch, torch.from_numpy(index), np.take_along_axis(merged.times, index, axis=1))
