"""Reading a dataset artifact: the catalogue, the log in compressed rows by user, and impressions with their histories.

Item index = row in items.parquet + 1, and 0 means padding or unknown; there is no other numbering of items anywhere.
NumPy and Arrow only, since the request path may import it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from reaseq.artifacts import STREAMED, Artifact, open_artifact
from reaseq.data.errors import DataError
from reaseq.schema import SPLITS

_LOG_ROWS = 131_072
"""Rows of the log that are decoded at a time."""


@dataclass(frozen=True)
class EventLog:
    """Behaviours in compressed rows: those of user u stand at offsets[u]:offsets[u + 1], oldest first."""

    user_ids: np.ndarray  # [U] str (object), sorted
    offsets: np.ndarray  # [U + 1] int64
    items: np.ndarray  # [E] int32, item index, 1 or more
    timestamps: np.ndarray  # [E] int64 µs
    actions: np.ndarray  # [E] int8, index into action_names, -1 for none of them
    train: np.ndarray  # [E] bool, of the training split
    action_names: tuple[str, ...]

    @property
    def users(self) -> np.ndarray:
        """[E] int64, the user of each event."""
        return np.repeat(np.arange(len(self.user_ids)), np.diff(self.offsets))

    def only_train(self) -> "EventLog":
        """Events of the training split; every user keeps its index."""
        return self.only(self.train)

    def before(self, timestamp: int) -> "EventLog":
        """Events strictly before the moment (µs); every user keeps its index."""
        return self.only(self.timestamps < timestamp)

    def user_index(self, ids: Sequence[str] | np.ndarray | pa.ChunkedArray) -> np.ndarray:
        """[N] int64 indices of the users, -1 where unknown."""
        return _find(ids, pa.array(self.user_ids, pa.string()), -1)

    def with_actions(self, names: Sequence[str]) -> "EventLog":
        """The same events with actions as indices into `names`, -1 where it lacks one."""
        place = _find(self.action_names, pa.array(names, pa.string()), -1).astype(np.int8)
        return replace(self, actions=place[self.actions], action_names=tuple(names))

    def only(self, kept: np.ndarray) -> "EventLog":
        """The events marked in `kept` bool [E]; every user keeps its index."""
        running = np.concatenate([[0], np.cumsum(kept)]).astype(np.int64)
        return EventLog(
            user_ids=self.user_ids,
            offsets=running[self.offsets],
            items=self.items[kept],
            timestamps=self.timestamps[kept],
            actions=self.actions[kept],
            train=self.train[kept],
            action_names=self.action_names,
        )


@dataclass(frozen=True)
class Impressions:
    """Row-aligned arrays of one split, in the order of the table."""

    request_id: np.ndarray  # [N] str (object)
    user: np.ndarray  # [N] int64, index into log.user_ids; -1: the user has no behaviour at all
    item: np.ndarray  # [N] int64, 1 or more
    timestamp: np.ndarray  # [N] int64 µs
    label: np.ndarray  # [N] int8
    end: np.ndarray
    """[N] int64: the visible history is log.items[log.offsets[user]:end]. For user -1, end is the length of the log, so
    that the same expression gives an empty slice."""

    def __len__(self) -> int:
        return len(self.item)


class Dataset:
    """A dataset artifact, opened."""

    def __init__(self, artifact: Artifact):
        self.artifact = artifact
        self.items: pa.Table = artifact.table("items.parquet")
        self.item_ids: list[str] = self.items.column("item_id").to_pylist()
        self.titles: list[str] = self.items.column("title").to_pylist()
        paths = self.items.column("category").to_pylist()
        self.top_categories: list[str] = [path[0] if path else "" for path in paths]
        self.category_names: list[str] = sorted({name for name in self.top_categories if name})
        place = {name: index for index, name in enumerate(self.category_names, start=1)} | {"": 0}
        self.category_index = np.array([0, *(place[name] for name in self.top_categories)], np.int64)  # [V + 1]
        split = artifact.facts["split"]
        self.split_kind: str = split["kind"]
        self.valid_start: int = split["valid_start"]  # µs
        self.test_start: int = split["test_start"]  # µs
        self._ids = pa.array(self.item_ids, pa.string())
        self.log = self._read_log()

    @classmethod
    def open(cls, artifact: Artifact | Path | str) -> "Dataset":
        """Open a dataset artifact, or the folder of one.

        Raises:
            ArtifactError: the folder holds no sound dataset artifact.
        """
        return cls(artifact if isinstance(artifact, Artifact) else open_artifact(artifact, "dataset"))

    @cached_property
    def visible(self) -> np.ndarray:
        """[E] bool: the events of the log that inference may read at all; in leave-one-out, those of training."""
        return self.log.train if self.split_kind == "leave_one_out" else np.ones(len(self.log.items), bool)

    def visible_log(self) -> EventLog:
        """The log of the `visible` events; every user keeps its index."""
        return self.log if self.visible.all() else self.log.only_train()

    def index_of(self, item_ids: Sequence[str] | np.ndarray | pa.ChunkedArray) -> np.ndarray:
        """[N] int64 item indices, 0 where unknown."""
        return _find(item_ids, self._ids, -1) + 1

    def impressions(self, split: str) -> Impressions:
        """The impressions of a split, each with the end of the history that may be seen.

        By time, a history holds the events strictly before the impression; in leave-one-out, those that precede the
        request's positive in the user's sequence.

        Raises:
            DataError: there is no such split.
        """
        # The filter skips row groups: the table is in order of time, and so are the splits.
        return self._decode(
            pq.read_table(self.artifact.file("impressions.parquet"), filters=[("split", "=", _known(split))])
        )

    def shown_to(self, split: str) -> np.ndarray:
        """[N] int64, who each impression of a split was shown to, numbered from 0 as they first appear: unlike
        `Impressions.user`, it tells users without any behaviour apart.

        Raises:
            DataError: there is no such split.
        """
        file, wanted = self.artifact.file("impressions.parquet"), [("split", "=", _known(split))]
        names = pq.read_table(file, columns=["user_id"], filters=wanted).column("user_id")
        return names.combine_chunks().dictionary_encode().indices.to_numpy().astype(np.int64)

    def impression_blocks(self, split: str, rows: int) -> Iterator[Impressions]:
        """The impressions of a split, in order, in blocks of whole requests and about `rows` rows each.

        Raises:
            DataError: there is no such split.
        """
        wanted, kept = pa.scalar(_known(split)), None
        file = pq.ParquetFile(self.artifact.file("impressions.parquet"), **STREAMED)
        for batch in file.iter_batches(batch_size=rows):
            part = pa.Table.from_batches([batch]).filter(pc.equal(batch.column("split"), wanted))
            kept = part if kept is None else pa.concat_tables([kept, part])
            if kept.num_rows < rows:
                continue
            last = kept.column("request_id")[-1]
            whole = pc.index(kept.column("request_id"), last).as_py()  # the last request may go on in the next batch
            if whole:
                yield self._decode(kept.slice(0, whole))
                kept = kept.slice(whole).combine_chunks()
        if kept is not None and kept.num_rows:
            yield self._decode(kept)

    def rows(self, split: str) -> int:
        """Number of impressions of a split.

        Raises:
            DataError: there is no such split.
        """
        file, wanted = pq.ParquetFile(self.artifact.file("impressions.parquet"), **STREAMED), pa.scalar(_known(split))
        batches = file.iter_batches(columns=["split"])
        return sum(pc.sum(pc.equal(batch.column("split"), wanted)).as_py() or 0 for batch in batches)

    def _decode(self, table: pa.Table) -> Impressions:
        users = self.log.user_index(table.column("user_id"))
        items = self.index_of(table.column("item_id"))
        times = _microseconds(table.column("timestamp"))
        labels = table.column("label").to_numpy()
        requests = table.column("request_id")
        end = self._events_before(users, times)
        if self.split_kind == "leave_one_out":
            end = self._end_in_sequence(end, users, items, times, labels, requests)
        end[users < 0] = len(self.log.items)
        return Impressions(requests.to_numpy(), users, items, times, labels, end)

    def beyond_log(self) -> pa.Table | None:
        """What users did where the platform does not look; only the synthetic world knows it."""
        name = "beyond_log.parquet"
        return self.artifact.table(name) if name in self.artifact.manifest.files else None

    def _read_log(self) -> EventLog:
        """The log, batch by batch: as strings it would take many times the memory of its indices."""
        columns = ["user_id", "item_id", "timestamp", "action", "rating", "split"]
        least = self.artifact.facts.get("positive_rating")
        users: list[str] = []
        names: list[str] = []
        parts: list[tuple[np.ndarray, ...]] = [
            (
                np.zeros(0, np.int64),
                np.zeros(0, np.int32),
                np.zeros(0, np.int64),
                np.zeros(0, np.int8),
                np.zeros(0, bool),
            )
        ]
        file = pq.ParquetFile(self.artifact.file("interactions.parquet"), **STREAMED)
        for batch in file.iter_batches(batch_size=_LOG_ROWS, columns=columns):
            table = pa.Table.from_batches([batch])
            if least is not None:
                table = table.filter(
                    pc.fill_null(pc.greater_equal(table.column("rating"), pa.scalar(least, pa.float32())), True)
                )
            if not table.num_rows:
                continue
            encoded = table.column("user_id").combine_chunks().dictionary_encode()
            known = encoded.dictionary.to_pylist()
            again = bool(users) and users[-1] == known[0]  # the table is sorted by user, who may go on in this batch
            place = encoded.indices.to_numpy() + len(users) - again
            users += known[again:]
            actions = table.column("action")
            names += sorted(set(pc.unique(actions).to_pylist()) - set(names))
            parts.append(
                (
                    place,
                    self.index_of(table.column("item_id")).astype(np.int32),
                    _microseconds(table.column("timestamp")),
                    _find(actions, pa.array(names, pa.string()), -1).astype(np.int8),
                    pc.equal(table.column("split"), "train").to_numpy(zero_copy_only=False),
                )
            )
        codes, items, timestamps, taken, train = (np.concatenate(column) for column in zip(*parts, strict=True))
        order = np.argsort(np.array(names, object))
        return EventLog(
            user_ids=np.array(users, object),
            offsets=np.searchsorted(codes, np.arange(len(users) + 1)).astype(np.int64),
            items=items,
            timestamps=timestamps,
            actions=np.argsort(order).astype(np.int8)[taken],
            train=train,
            action_names=tuple(names[place] for place in order),
        )

    def _events_before(self, users: np.ndarray, times: np.ndarray) -> np.ndarray:
        """[N] place in the log just past the user's last event strictly before the time."""
        moments, keys = self._moments
        return np.searchsorted(keys, users * (len(moments) + 1) + np.searchsorted(moments, times))

    @cached_property
    def _moments(self) -> tuple[np.ndarray, np.ndarray]:
        """Distinct times of the log, ascending, and for each event a key of user and rank of its time.

        Ranks of times instead of times: user and rank fit one sorted 64-bit key, so one search answers all rows.
        """
        log = self.log
        ordered = np.sort(log.timestamps)  # by hand: np.unique hashes first, which is slow on as many distinct values
        moments = ordered[np.concatenate([[True], ordered[1:] != ordered[:-1]])] if len(ordered) else ordered
        return moments, log.users * (len(moments) + 1) + np.searchsorted(moments, log.timestamps)

    def _end_in_sequence(
        self,
        end: np.ndarray,
        users: np.ndarray,
        items: np.ndarray,
        times: np.ndarray,
        labels: np.ndarray,
        requests: pa.ChunkedArray,
    ) -> np.ndarray:
        """Move `end` over the events of the same moment that precede the request's positive."""
        log = self.log
        rows = np.flatnonzero((labels == 1) & (users >= 0))
        place, last = end[rows].copy(), log.offsets[users[rows] + 1]
        moving = np.arange(len(rows))
        while len(moving):
            here = place[moving]
            inside = here < last[moving]
            safe = np.where(inside, here, 0)
            tied = inside & (log.timestamps[safe] == times[rows[moving]])
            found = tied & (log.items[safe] == items[rows[moving]])
            lost = ~tied
            place[moving[lost]] = end[rows[moving[lost]]]  # a positive that is not in the log sees what came before it
            place[moving[~found & ~lost]] += 1
            moving = moving[~found & ~lost]
        codes = requests.combine_chunks().dictionary_encode().indices.to_numpy()
        by_request = np.full(codes.max(initial=-1) + 1, -1, np.int64)
        by_request[codes[rows]] = place
        return np.where(by_request[codes] >= 0, by_request[codes], end)


def _known(split: str) -> str:
    if split not in SPLITS:
        raise DataError(f"split {split!r} is unknown; choose one of {', '.join(SPLITS)}.")
    return split


def _find(values: Sequence[str] | np.ndarray | pa.ChunkedArray, among: pa.Array, missing: int) -> np.ndarray:
    array = values if isinstance(values, pa.Array | pa.ChunkedArray) else pa.array(values, pa.string())
    found = pc.fill_null(pc.index_in(array, value_set=among), missing)
    return (
        found.to_numpy(zero_copy_only=False).astype(np.int64)
        if isinstance(found, pa.Array)
        else found.to_numpy().astype(np.int64)
    )


def _microseconds(column: pa.ChunkedArray) -> np.ndarray:
    return column.cast(pa.int64()).to_numpy()
