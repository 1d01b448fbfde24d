"""Batches of requests for training and scoring, from flat arrays with no per-row Python.

A request's candidates share one context (user, events seen, time), so its user tensors are built once. Requests are
laid out as a grid [U, C]: one row a context, one cell a candidate; a request of more than `GRID` candidates takes
several rows. An epoch shuffles requests, sorts each pool of batches by the number of candidates and by history length,
so that little of a batch is padding, and shuffles the batches; all of it follows from the seed alone.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from reaseq.data.dataset import EventLog, Impressions
from reaseq.data.ranges import numbered
from reaseq.parallel import Ranks
from reaseq.ranking.features import FeatureLimits, Histories, Inferences, Profiles, Tensors, assemble_users
from reaseq.ranking.inferences import InferenceTable
from reaseq.ranking.shards import Shards
from reaseq.schema import VECTOR_DIM

GRID = 8
"""Candidates per grid row."""
POOL = 64
"""Batches that are sorted by history length together."""
POOL_BLOCKS = 64
"""Blocks of the log that are in memory, and shuffled, together: about a million impressions, forty megabytes."""


@dataclass(frozen=True)
class Batch:
    """U contexts and their candidates."""

    users: Tensors  # as of `assemble_users`, trimmed to this batch
    candidates: np.ndarray  # [U, C] int64
    valid: np.ndarray  # [U, C] bool
    rate: np.ndarray | None  # [U, C] float32, click rates as they stood; None: those at the end of training
    labels: np.ndarray  # [N] float32, valid cells in order
    rows: np.ndarray  # [N] int64, row numbers of the impressions


def share(batch: Batch, forgotten: np.ndarray, ranks: Ranks) -> tuple[Batch, np.ndarray]:
    """A process's grid rows of a batch and of its dropout mask [U, C]."""
    if ranks.alone:
        return batch, forgotten
    mine = ranks.places(len(batch.valid)) >= 0
    cells = np.broadcast_to(mine[:, None], batch.valid.shape)[batch.valid]
    part = replace(
        batch,
        users={name: values[mine] for name, values in batch.users.items()},
        candidates=batch.candidates[mine],
        valid=batch.valid[mine],
        rate=None if batch.rate is None else batch.rate[mine],
        labels=batch.labels[cells],
        rows=batch.rows[cells],
    )
    return part, forgotten[mine]


class Contexts:
    """User tensors of any (user, end, timestamp), from the event log and the inference table.

    Args:
        log: the events.
        category_index: [V+1] int64, top category of each item, 0 for none.
        inferences: None leaves the inferred inputs empty.
        limits: lengths of the fixed axes.
        items: [E] the log's items in the numbering of another vocabulary, 0 where it lacks one; None: the log's own.
    """

    def __init__(
        self,
        log: EventLog,
        category_index: np.ndarray,
        inferences: InferenceTable | None,
        limits: FeatureLimits,
        items: np.ndarray | None = None,
    ):
        self.log = log
        self._items = log.items if items is None else items
        self.inferences = inferences
        self.limits = limits
        self._categories = categories_so_far(log, category_index)

    def tensors(self, user: np.ndarray, end: np.ndarray, timestamp: np.ndarray, trim: bool = True) -> Tensors:
        """`assemble_users` of contexts that see the events before `end` of `user` (-1: none), all int64 [U]."""
        start = np.where(user >= 0, self.log.offsets[user.clip(0)], 0)
        end = np.where(user >= 0, end, 0)
        events = end - start
        last = (end - 1).clip(0)
        there = events > 0
        empty = not len(self.log.items)
        profiles = Profiles(
            events=events,
            categories=events if empty else np.where(there, self._categories[last], 0),
            first=events if empty else np.where(there, self.log.timestamps[np.where(there, start, 0)], 0),
            last=events if empty else np.where(there, self.log.timestamps[last], 0),
        )
        histories = Histories(self._items, self.log.timestamps, start, end)
        return assemble_users(histories, profiles, self._inferences(user, timestamp), timestamp, self.limits, trim)

    def release(self) -> None:
        """Let go of what was read of inferences that are mapped from disk."""
        if self.inferences is not None:
            self.inferences.release()

    def _inferences(self, user: np.ndarray, timestamp: np.ndarray) -> Inferences:
        table = self.inferences
        if table is None:
            nothing = np.zeros(len(user), np.int64)
            return Inferences(nothing[:0], np.zeros((0, VECTOR_DIM), np.float32), nothing[:0], nothing, nothing)
        return Inferences(table.items, table.vectors, table.confidence, *table.spans(user, timestamp))


class RequestBatches:
    """Impressions as batches of whole requests.

    Args:
        impressions: rows of one request stand together.
        contexts: makes the user tensors.
        rate: [N] float32 click rate that each row may see; None: that of the end of training.
    """

    def __init__(self, impressions: Impressions, contexts: Contexts, rate: np.ndarray | None = None):
        self.impressions = impressions
        self.contexts = contexts
        self.rate = rate
        self._first, self._last = _grid_rows(impressions)

    def __len__(self) -> int:
        """Number of impressions."""
        return len(self.impressions.item)

    def plan(self, size: int, rng: np.random.Generator | None) -> list[np.ndarray]:
        """Grid rows of each batch, about `size` impressions each; if `rng` is None, in order of size and length."""
        length = self._history_length()
        # Rows of one request are neighbours, and a request is moved as a whole: keys are drawn per request.
        request = np.cumsum(self._starts_request()) - 1
        count = np.bincount(request, self._last - self._first)[request]
        if rng is None:
            return self._cut(np.lexsort((length, count)), size)
        key = rng.permutation(int(request[-1]) + 1 if len(request) else 0)[request]
        rows = np.argsort(key, kind="stable")
        batches: list[np.ndarray] = []
        for pool in self._cut(rows, size * POOL):
            batches += self._cut(pool[np.lexsort((key[pool], length[pool], count[pool].clip(max=GRID)))], size)
        return [batches[place] for place in rng.permutation(len(batches))]

    def batch(self, rows: np.ndarray, trim: bool = True) -> Batch:
        """The batch of these grid rows."""
        shown = self.impressions
        first, count = self._first[rows], (self._last - self._first)[rows]
        cell = np.arange(int(count.max()))
        valid = cell < count[:, None]
        place = np.where(valid, first[:, None] + cell, 0)
        flat = place[valid]
        return Batch(
            users=self.contexts.tensors(shown.user[first], shown.end[first], shown.timestamp[first], trim),
            candidates=np.where(valid, shown.item[place], 0).astype(np.int64),
            valid=valid,
            rate=None if self.rate is None else np.where(valid, self.rate[place], 0).astype(np.float32),
            labels=shown.label[flat].astype(np.float32),
            rows=flat,
        )

    def _cut(self, rows: np.ndarray, size: int) -> list[np.ndarray]:
        """Consecutive pieces of about `size` impressions; pieces may cut a request whose grid rows are many."""
        if not len(rows):
            return []
        before = np.cumsum((self._last - self._first)[rows]) - (self._last - self._first)[rows]
        return np.split(rows, np.flatnonzero(np.diff(before // size)) + 1)

    def _starts_request(self) -> np.ndarray:
        return _request_starts(self.impressions)[self._first]

    def _history_length(self) -> np.ndarray:
        user = self.impressions.user[self._first]
        events = self.impressions.end[self._first] - self.contexts.log.offsets[user.clip(0)]
        return np.where(user >= 0, events, 0)


class Epochs:
    """Batches of training, drawn from shards: the blocks are shuffled, and `POOL_BLOCKS` of them at a time are mixed.

    Memory is that of one pool, however long the log is; a pool is a random sample of all blocks, so that a batch mixes
    impressions of distant times.

    Args:
        shards: of the training split.
        contexts: makes the user tensors.
        size: impressions per batch.
        rated: whether impressions see click rates.
    """

    def __init__(self, shards: Shards, contexts: Contexts, size: int, rated: bool = False):
        self.shards = shards
        self.contexts = contexts
        self.size = size
        self.rated = rated

    def about(self) -> int:
        """Batches of an epoch, within a few."""
        return -(-self.shards.rows // self.size)

    def pools(self, rng: np.random.Generator) -> Iterator[tuple[RequestBatches, list[np.ndarray]]]:
        """An epoch as pools: the requests of each and the grid rows of its batches. All follows from `rng`."""
        order = rng.permutation(len(self.shards))
        for start in range(0, len(order), POOL_BLOCKS):
            shown = self.shards.read(order[start : start + POOL_BLOCKS])
            pool = RequestBatches(shown.impressions, self.contexts, shown.rate if self.rated else None)
            yield pool, pool.plan(self.size, rng)


def localise(batch: Batch, place: np.ndarray) -> tuple[np.ndarray, Batch]:
    """The batch with item indices replaced by rows of the list of its distinct items.

    Args:
        batch: with item indices.
        place: [V+1] int64, working memory.

    Returns:
        items int64 [n], ascending, first 0 for padding; and the batch that points into them.
    """
    names = ("history", "long_history", "inferred")
    seen = np.zeros(len(place), bool)
    seen[0] = True
    for indices in (batch.candidates, *(batch.users[name] for name in names)):
        seen[indices] = True
    items = np.flatnonzero(seen)
    place[items] = np.arange(len(items))
    users = batch.users | {name: place[batch.users[name]] for name in names}
    return items, replace(batch, users=users, candidates=place[batch.candidates])


def categories_so_far(log: EventLog, category_index: np.ndarray) -> np.ndarray:
    """Distinct top categories among the user's events up to and including each event, int64 [E]."""
    count = len(log.items)
    user = np.repeat(np.arange(len(log.offsets) - 1), np.diff(log.offsets))
    category = category_index[log.items]
    order = np.lexsort((np.arange(count), category, user))
    fresh = np.ones(count, bool)
    fresh[1:] = (np.diff(user[order]) != 0) | (np.diff(category[order]) != 0)
    new = np.zeros(count, np.int64)
    new[order] = fresh & (category[order] > 0)
    total = np.concatenate([[0], np.cumsum(new)])
    return total[1:] - total[log.offsets[user]] if count else new


def _request_starts(shown: Impressions) -> np.ndarray:
    """Bool [N]: rows at which a new request begins; rows of one request stand together and share their context."""
    starts = np.ones(len(shown.item), bool)
    if len(starts):
        starts[1:] = shown.request_id[1:] != shown.request_id[:-1]
        for column in (shown.user, shown.end, shown.timestamp):
            starts[1:] |= np.diff(column) != 0
    return starts


def _grid_rows(shown: Impressions) -> tuple[np.ndarray, np.ndarray]:
    """First and one-past-last impression of each grid row: requests, cut into pieces of at most `GRID`."""
    begin = np.flatnonzero(_request_starts(shown))
    size = np.diff(np.append(begin, len(shown.item)))
    pieces = -(-size // GRID)
    request, piece = numbered(pieces)
    first = begin[request] + piece * GRID
    return first, np.minimum(first + GRID, (begin + size)[request])
