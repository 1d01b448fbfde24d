"""Placebos and controls: the same shapes, without the meaning. An effect that a placebo shows too is none.

    placebo inferences   random items, popular items, item-to-item neighbours of the log, another user's inferences
    controls             inferences of shuffled items, vectors of random direction, codes of other items
    upper bound          the truth: what the user really did, before the snapshot, where the log does not look

Inferences keep rows and snapshots of the real ones, and see no event at or after their snapshot. They keep lengths and
confidences too, so that they differ in nothing but what was inferred, with two exceptions: another user's come with
lengths and confidences of their own, and the truth is as long as it is known, with confidence 1.
"""

from dataclasses import replace

import numpy as np
import pyarrow as pa
from scipy.sparse import csr_array

from reaseq.data.dataset import Dataset, EventLog
from reaseq.data.ranges import elements
from reaseq.evaluation.errors import EvaluationError
from reaseq.ranking.inferences import InferenceTable
from reaseq.representation.vectors import ItemVectors

STREAM = 0xB1A5
INFERENCES = ("own", "random", "popular", "item_to_item", "another_user", "shuffled_items", "truth")
VECTORS = ("own", "random", "permuted_codes")
RECENT = 10
"""Last behaviours of a user whose neighbours the item-to-item placebo takes."""
_ROWS = 1024  # users whose neighbours are looked up at a time


def place_inferences(
    kind: str, table: InferenceTable, dataset: Dataset, vectors: ItemVectors, seed: int
) -> InferenceTable:
    """The inferences, a placebo for them, or the truth.

    Args:
        kind: one of `INFERENCES`.
        table: the real inferences.
        dataset: of the same items.
        vectors: whose z a placebo's items get as their latent.
        seed: of the draws.

    Raises:
        EvaluationError: the truth is asked for, and the dataset does not know it.
    """
    rng = np.random.default_rng([seed, STREAM, INFERENCES.index(kind)])
    match kind:
        case "own":
            return table
        case "another_user":
            return _another_user(table, rng)
        case "truth":
            return _truth(table, dataset, vectors)
        case "random":
            items = rng.integers(1, len(dataset.item_ids) + 1, len(table.items))
        case "popular":
            items = _popular(table, dataset.log, len(dataset.item_ids), rng)
        case "item_to_item":
            items = _item_to_item(table, dataset.log, len(dataset.item_ids), rng)
        case "shuffled_items":
            items = np.append(0, 1 + rng.permutation(len(dataset.item_ids)))[table.items]
        case _:
            raise ValueError(f"no such inferences: {kind}")
    return replace(table, items=items, vectors=vectors.z[items].astype(np.float16))


def place_vectors(kind: str, vectors: ItemVectors, seed: int) -> ItemVectors:
    """The item vectors, or a control for them; `kind` is one of `VECTORS`."""
    rng = np.random.default_rng([seed, STREAM, 100 + VECTORS.index(kind)])
    if kind == "random":
        z = rng.normal(size=vectors.z.shape).astype(np.float32)
        z *= np.linalg.norm(vectors.z, axis=1, keepdims=True) / np.linalg.norm(z, axis=1, keepdims=True)
        return replace(vectors, z=z, codes=np.full_like(vectors.codes, -1))
    if kind == "permuted_codes":
        codes = vectors.codes.copy()
        codes[1:] = rng.permutation(codes[1:])
        return replace(vectors, codes=codes)
    return vectors


def _another_user(table: InferenceTable, rng: np.random.Generator) -> InferenceTable:
    """Each row gets the inferences of another row of its snapshot."""
    rank = table.keys % (len(table.snapshots) + 1)
    source = np.arange(len(table.keys))
    for snapshot in np.unique(rank):
        rows = rng.permutation(np.flatnonzero(rank == snapshot))
        source[rows] = np.roll(rows, 1)
    flat = _slots(table, source)
    return replace(
        table,
        items=table.items[flat],
        vectors=np.asarray(table.vectors[flat]),
        confidence=table.confidence[flat],
        offsets=np.append(0, np.cumsum(np.diff(table.offsets)[source])),
    )


def _truth(table: InferenceTable, dataset: Dataset, vectors: ItemVectors) -> InferenceTable:
    """Each row gets the last behaviours beyond the log that its user had before its snapshot, at most as many as the
    fullest row of `table` holds, with full confidence. What a perfect inference of the past would say: no real one can
    be expected to lift the ranker by more."""
    known = dataset.beyond_log()
    if known is None:
        raise EvaluationError(
            f"{dataset.artifact.path} has no beyond_log.parquet: what its log hides is not known, so no arm can be "
            "trained on it. The synthetic world knows."
        )
    user = dataset.log.user_index(known.column("user_id"))
    item = dataset.index_of(known.column("item_id"))
    time = known.column("timestamp").cast(pa.int64()).to_numpy()
    kept = (user >= 0) & (item > 0)
    order = np.lexsort((time[kept], user[kept]))
    user, item, time = user[kept][order], item[kept][order], time[kept][order]
    ranks = len(table.snapshots) + 1
    # events before the snapshot of rank r sort below key user · ranks + r
    key = user * ranks + np.searchsorted(table.snapshots, time, side="right")
    ends = np.searchsorted(key, table.keys)
    starts = np.maximum(ends - int(np.diff(table.offsets).max(initial=0)), np.searchsorted(user, table.keys // ranks))
    ends = np.maximum(ends, starts)
    offsets = np.append(0, np.cumsum(ends - starts))
    items = item[elements(starts, ends)[1]]
    confidence = np.ones(len(items), np.float32)
    return replace(
        table, items=items, vectors=vectors.z[items].astype(np.float16), confidence=confidence, offsets=offsets
    )


def _snapshot_rows(table: InferenceTable) -> list[tuple[int, np.ndarray]]:
    """(snapshot, rows) pairs."""
    rank = table.keys % (len(table.snapshots) + 1)
    return [(int(time), np.flatnonzero(rank == place)) for place, time in enumerate(table.snapshots, start=1)]


def _popular(table: InferenceTable, log: EventLog, count: int, rng: np.random.Generator) -> np.ndarray:
    """Items drawn as often as they were taken before the snapshot."""
    items = np.zeros_like(table.items)
    for snapshot, rows in _snapshot_rows(table):
        taken = np.bincount(log.items[log.timestamps < snapshot], minlength=count + 1).astype(float)
        for_rows = _slots(table, rows)
        items[for_rows] = rng.choice(count + 1, len(for_rows), p=taken / taken.sum())
    return items


def _item_to_item(table: InferenceTable, log: EventLog, count: int, rng: np.random.Generator) -> np.ndarray:
    """The items taken most often together with the user's last behaviours (by cosine), and not yet by the user.

    Where the log knows too few neighbours, popular items fill up.
    """
    items = _popular(table, log, count, rng)
    most = int(np.diff(table.offsets).max(initial=1))
    for snapshot, rows in _snapshot_rows(table):
        past = log.before(snapshot)
        taken = _matrix(past.users, past.items, len(past.user_ids), count)
        norm = np.sqrt(np.maximum(np.asarray(taken.sum(axis=0)).ravel(), 1))
        unit = (taken / norm[None, :]).tocsr()
        users = table.keys[rows] // (len(table.snapshots) + 1)
        for start in range(0, len(rows), _ROWS):
            some = users[start : start + _ROWS]
            recent = _recent(past, some, count)
            scores = np.asarray(((recent / norm[None, :]) @ taken.T @ unit).todense())
            scores[(taken[some] > 0).nonzero()] = -1.0
            best = np.argpartition(-scores, most, axis=1)[:, :most]
            value = np.take_along_axis(scores, best, axis=1)
            order = np.argsort(-value, axis=1, kind="stable")
            best, value = np.take_along_axis(best, order, axis=1), np.take_along_axis(value, order, axis=1)
            for place, row in enumerate(rows[start : start + _ROWS]):
                span = slice(table.offsets[row], table.offsets[row + 1])
                length = span.stop - span.start
                found = value[place, :length] > 0
                items[span] = np.where(found, best[place, :length], items[span])
    return items


def _recent(past: EventLog, users: np.ndarray, count: int) -> csr_array:
    """[n, V+1], 1 for each of the users' last behaviours."""
    place = past.offsets[users + 1][:, None] - 1 - np.arange(RECENT)
    there = place >= past.offsets[users][:, None]
    rows = np.broadcast_to(np.arange(len(users))[:, None], place.shape)[there]
    return _matrix(rows, past.items[place[there]], len(users), count)


def _matrix(rows: np.ndarray, items: np.ndarray, height: int, count: int) -> csr_array:
    matrix = csr_array((np.ones(len(rows), np.float32), (rows, items)), shape=(height, count + 1))
    matrix.sum_duplicates()
    matrix.data[:] = 1
    return matrix


def _slots(table: InferenceTable, rows: np.ndarray) -> np.ndarray:
    """Places of all items of these rows, row after row."""
    return elements(table.offsets[:-1][rows], table.offsets[1:][rows])[1]
