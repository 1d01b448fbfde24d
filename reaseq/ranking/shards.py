"""The impressions of a split as blocks on disk, so that training holds a few of them in memory and never the whole log.

A block is a record batch of an Arrow file: whole requests, in order of time, with users and items as indices, the end
of each visible history, and the click rates that stood when the block began. Blocks are read by number; nothing is
mapped into memory, so what was read and let go is gone.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa

from reaseq.artifacts import sole_writer, whole
from reaseq.data.dataset import Dataset, Impressions
from reaseq.ranking.statistics import click_rate

LAYOUT = 1
BLOCKS, SMALLEST, LARGEST = 64, 1024, 16_384
"""A split is cut into about `BLOCKS` blocks, none smaller or larger (in rows) than these."""

_SCHEMA = pa.schema(
    [
        ("request", pa.int64()),  # running number: rows of one request share it
        ("user", pa.int64()),
        ("item", pa.int64()),
        ("timestamp", pa.int64()),
        ("label", pa.int8()),
        ("end", pa.int64()),
        ("rate", pa.float32()),  # click rate of the item as it stood before the block
    ]
)


@dataclass(frozen=True)
class Shown:
    """Impressions with the click rate that each row may see."""

    impressions: Impressions
    rate: np.ndarray  # [N] float32


class Shards:
    """A split's blocks.

    Args:
        path: the Arrow file.
    """

    def __init__(self, path: Path):
        self.path = path

    @classmethod
    def of(cls, dataset: Dataset, split: str, folder: Path) -> "Shards":
        """The blocks of a split, made on first use and kept in the folder under the dataset's digest."""
        path = folder / f"impressions-{dataset.artifact.digest[:24]}-{split}-{LAYOUT}.arrow"
        with sole_writer(path):
            if not path.is_file():
                with whole(path) as partial:
                    _write(dataset, split, partial)
        return cls(path)

    def __len__(self) -> int:
        """Number of blocks."""
        return len(self._sizes)

    @property
    def rows(self) -> int:
        """Number of impressions."""
        return int(self._sizes.sum())

    def read(self, blocks: Sequence[int] | np.ndarray) -> Shown:
        """These blocks, one after the other."""
        with pa.ipc.open_file(str(self.path)) as reader:
            parts = [reader.get_batch(int(block)) for block in blocks]
        table = pa.Table.from_batches(parts, _SCHEMA)
        columns = {name: table.column(name).to_numpy() for name in _SCHEMA.names}
        rate = columns.pop("rate")
        return Shown(Impressions(request_id=columns.pop("request"), **columns), rate)

    def each(self) -> Iterator[Shown]:
        """Block after block, in order of time."""
        for block in range(len(self)):
            yield self.read([block])

    @cached_property
    def _sizes(self) -> np.ndarray:
        with pa.ipc.open_file(str(self.path)) as reader:
            return np.array([reader.get_batch(place).num_rows for place in range(reader.num_record_batches)], np.int64)


def _write(dataset: Dataset, split: str, path: Path) -> None:
    total = dataset.rows(split)
    size = int(np.clip(total // BLOCKS, SMALLEST, LARGEST))
    counts = [np.zeros(len(dataset.item_ids) + 1, np.int64) for _ in range(2)]
    before = 0
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, _SCHEMA) as writer:
        for shown in dataset.impression_blocks(split, size):
            rate = click_rate(*counts)
            starts = np.append(True, shown.request_id[1:] != shown.request_id[:-1])
            columns = [
                before + np.cumsum(starts),
                shown.user,
                shown.item,
                shown.timestamp,
                shown.label,
                shown.end,
                rate[shown.item],
            ]
            writer.write_batch(pa.record_batch([pa.array(column) for column in columns], schema=_SCHEMA))
            before += int(starts.sum())
            counts[0] += np.bincount(shown.item, minlength=len(counts[0]))
            counts[1] += np.bincount(shown.item[shown.label == 1], minlength=len(counts[1]))


def item_counts(shards: Shards, items: int) -> tuple[np.ndarray, np.ndarray]:
    """Impressions and clicks of each item over all blocks, int64 [V+1] each."""
    shown, taken = np.zeros(items + 1, np.int64), np.zeros(items + 1, np.int64)
    for block in shards.each():
        rows = block.impressions
        shown += np.bincount(rows.item, minlength=items + 1)
        taken += np.bincount(rows.item[rows.label == 1], minlength=items + 1)
    return shown, taken


def negatives_sampled(shards: Shards) -> bool:
    """Whether every request holds one positive and the same number of negatives, as no shop's log does."""
    sizes: set[int] = set()
    for block in shards.each():
        rows = block.impressions
        starts = np.flatnonzero(np.append(True, np.diff(rows.request_id) != 0))
        if (np.add.reduceat(rows.label, starts) != 1).any():
            return False
        sizes |= set(np.diff(np.append(starts, len(rows))).tolist())
    return len(sizes) == 1 and sizes.pop() > 1
