"""The `inferred_behaviors` table as flat arrays, and which row an impression may see.

An impression sees its user's latest snapshot that is at least the serving lag older than itself: inferences are made
off the request path, so at request time a younger one would not have been there yet.
"""

import mmap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from reaseq.artifacts import STREAMED, Artifact, sole_writer, whole
from reaseq.data.dataset import Dataset
from reaseq.ranking.errors import RankingError
from reaseq.ranking.features import HOUR
from reaseq.schema import VECTOR_DIM

_ROWS = 2048
"""Rows of the table that are unpacked at a time."""


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
    def read(
        cls, inferred: Artifact, dataset: Dataset, lag_hours: float, folder: Path | None = None
    ) -> "InferenceTable":
        """Read the artifact; rows of users without any event in the log serve nobody and are left out.

        Args:
            inferred: kind "inferred_behaviors".
            dataset: that it was made from.
            lag_hours: least age of a snapshot that an impression sees.
            folder: where the vectors are unpacked to a file that is mapped, not loaded: they are by far the largest
                part, and training must not need memory for all users at once. None: they are loaded.
        """
        kept = _Rows(inferred, dataset)
        vectors = np.zeros((0, VECTOR_DIM), np.float16)
        if folder is None:
            vectors = np.concatenate([vectors, *kept.vectors()])
        elif len(kept.items):  # an empty file can't be mapped
            path = folder / f"inferences-{dataset.artifact.digest[:12]}-{inferred.digest[:12]}.npy"
            with sole_writer(path):
                if not path.is_file():
                    kept.unpack(path)
            vectors = np.load(path, mmap_mode="r", allow_pickle=False)
        return cls(
            items=kept.items,
            vectors=vectors,
            confidence=kept.confidence,
            offsets=kept.offsets,
            snapshots=kept.snapshots,
            keys=kept.keys,
            lag=int(lag_hours * HOUR),
        )

    def release(self) -> None:
        """Let go of what was read of mapped vectors; the next look-up reads it from the file again."""
        mapped = getattr(self.vectors, "_mmap", None)
        if isinstance(mapped, mmap.mmap):
            mapped.madvise(mmap.MADV_DONTNEED)

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


class _Rows:
    """The artifact's rows of known users and their known items, the vectors apart."""

    def __init__(self, inferred: Artifact, dataset: Dataset):
        self._file = inferred.file("inferred_behaviors.parquet")
        table = pq.read_table(self._file, columns=["user_id", "snapshot", "item_ids", "confidence"]).combine_chunks()
        user = dataset.log.user_index(table.column("user_id"))
        times = np.asarray(table.column("snapshot").cast(pa.int64()))
        self.snapshots = np.unique(times)
        keys = user * (len(self.snapshots) + 1) + np.searchsorted(self.snapshots, times) + 1
        if (np.diff(keys[user >= 0]) <= 0).any():
            raise RankingError(
                f"{self._file} is not sorted by user_id and snapshot; infer the behaviours of this dataset again."
            )
        lists = table.column("item_ids").combine_chunks()
        lengths = np.asarray(lists.value_lengths()).astype(np.int64)
        items = dataset.index_of(lists.flatten())
        self._wanted = np.repeat(user >= 0, lengths) & (items > 0)  # [I of the file]
        self.items = items[self._wanted]
        self.confidence = np.asarray(table.column("confidence").combine_chunks().flatten())[self._wanted]
        self.keys = keys[user >= 0]
        ends = np.concatenate([[0], np.cumsum(self._wanted)])[np.cumsum(lengths)]
        self.offsets = np.concatenate([[0], ends[user >= 0]]).astype(np.int64)

    def unpack(self, path: Path) -> None:
        """Write the vectors as one .npy file."""
        with whole(path) as partial, partial.open("wb") as file:
            header = {"descr": "<f2", "fortran_order": False, "shape": (len(self.items), VECTOR_DIM)}
            np.lib.format.write_array_header_1_0(file, header)
            for part in self.vectors():
                file.write(part.tobytes())

    def vectors(self) -> Iterator[np.ndarray]:
        """float16 [·, 128], piece by piece, in the order of `items`."""
        place = 0
        for batch in pq.ParquetFile(self._file, **STREAMED).iter_batches(batch_size=_ROWS, columns=["vectors"]):
            part = np.asarray(batch.column(0).flatten().flatten()).reshape(-1, VECTOR_DIM)
            yield part[self._wanted[place : place + len(part)]]
            place += len(part)
