"""The `inferred_behaviors` table as flat arrays, and which row an impression may see.

An impression sees its user's latest snapshot that is at least the serving lag older than itself: inferences are made
off the request path, so at request time a younger one would not have been there yet.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from reaseq.artifacts import Artifact
from reaseq.data.dataset import Dataset
from reaseq.ranking.features import HOUR
from reaseq.schema import VECTOR_DIM

_COLUMNS = ["user_id", "snapshot", "item_ids", "vectors", "confidence"]


@dataclass(frozen=True)
class InferenceTable:
    """R rows, one per user and snapshot; inferred items the catalogue lacks are left out, as they are online."""

    items: np.ndarray  # [I] int64, item index ≥ 1
    vectors: np.ndarray  # [I, 128] float16
    confidence: np.ndarray  # [I] float32
    offsets: np.ndarray  # [R+1] int64
    snapshots: np.ndarray  # [S] int64 microseconds, distinct, ascending
    keys: np.ndarray  # [R] int64, ascending: user index · (S+1) + rank of the snapshot (from 1)
    lag: int  # microseconds

    @classmethod
    def read(cls, inferred: Artifact, dataset: Dataset, lag_hours: float) -> "InferenceTable":
        """Read the artifact; rows of users without any event in the log serve nobody and are left out."""
        table = inferred.table("inferred_behaviors.parquet", _COLUMNS).combine_chunks()
        user = dataset.log.user_index(table.column("user_id").to_pylist())
        times = np.asarray(table.column("snapshot").cast(pa.int64()))
        snapshots = np.unique(times)
        keys = user * (len(snapshots) + 1) + np.searchsorted(snapshots, times) + 1
        order = np.argsort(np.where(user >= 0, keys, np.iinfo(np.int64).max), kind="stable")[: int((user >= 0).sum())]
        lists = table.column("item_ids").combine_chunks()
        lengths = np.asarray(lists.value_lengths()).astype(np.int64)
        starts = np.concatenate([[0], np.cumsum(lengths)])[:-1]
        lengths, starts = lengths[order], starts[order]
        flat = np.repeat(starts - np.concatenate([[0], np.cumsum(lengths)])[:-1], lengths) + np.arange(lengths.sum())
        items = dataset.index_of(lists.flatten().to_pylist())[flat]
        vectors = table.column("vectors").combine_chunks().flatten().flatten()
        known = items > 0
        kept = np.concatenate([[0], np.cumsum(known)])
        return cls(
            items=items[known],
            vectors=np.asarray(vectors).reshape(-1, VECTOR_DIM)[flat[known]],
            confidence=np.asarray(table.column("confidence").combine_chunks().flatten())[flat[known]],
            offsets=kept[np.concatenate([[0], np.cumsum(lengths)])],
            snapshots=snapshots,
            keys=keys[order],
            lag=int(lag_hours * HOUR),
        )

    def spans(self, user: np.ndarray, timestamp: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Spans `[start, end)` of `items` that the contexts may see; empty where there is no snapshot yet.

        Args:
            user: [U] int64 index into the log's users, -1 for none.
            timestamp: [U] int64 microseconds.
        """
        if not len(self.keys):
            return np.zeros(len(user), np.int64), np.zeros(len(user), np.int64)
        age_rank = np.searchsorted(self.snapshots, timestamp - self.lag, side="right")
        row = np.searchsorted(self.keys, user * (len(self.snapshots) + 1) + age_rank, side="right") - 1
        row = np.where(user >= 0, row, -1)
        found = (row >= 0) & (self.keys[row.clip(0)] // (len(self.snapshots) + 1) == user)
        row = row.clip(0)
        return np.where(found, self.offsets[row], 0), np.where(found, self.offsets[row + 1], 0)

    def holds(self, user: np.ndarray, timestamp: np.ndarray, item: np.ndarray) -> np.ndarray:
        """Whether each impression's target item is among the inferred items it sees, bool [N]."""
        start, end = self.spans(user, timestamp)
        found = np.zeros(len(user), bool)
        for slot in range(int((end - start).max(initial=0))):  # at most M steps
            place = start + slot
            there = place < end
            found |= there & (self.items[np.where(there, place, 0)] == item)
        return found
