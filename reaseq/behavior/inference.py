"""Inferring behaviours for the users of one snapshot, chunk by chunk; finished chunks survive a killed process."""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from reaseq import progress
from reaseq.artifacts import whole
from reaseq.behavior.catalogue import Catalogue, Posterior
from reaseq.behavior.grounding import Grounded, Rules, consistency_floors, ground
from reaseq.behavior.sampler import BehaviorSampler
from reaseq.behavior.shortlists import SHORTLIST, Shortlists, WholeCatalogue
from reaseq.behavior.slots import Inserted, gather_sequences, insert_masks
from reaseq.config import BehaviorConfig
from reaseq.data import EventLog
from reaseq.representation import ItemVectors
from reaseq.schema import INFERRED_BEHAVIORS, TIMESTAMP

FORWARDS = b"forwards"


@dataclass(frozen=True, eq=False)
class View:
    """What may be seen at a snapshot: the log before it and the catalogue that occurs in it."""

    number: int
    snapshot: int  # µs
    log: EventLog
    catalogue: Catalogue

    @classmethod
    def at(cls, number: int, snapshot: int, log: EventLog, vectors: ItemVectors, category: np.ndarray) -> "View":
        before = log.before(snapshot)
        known = Catalogue.known_before(before.items, vectors.z, vectors.codes, category)
        return cls(number, snapshot, before, known)


@dataclass(frozen=True)
class Inferrer:
    """Everything that inference needs beside a view."""

    sampler: BehaviorSampler
    vectors: ItemVectors
    item_ids: list[str]
    rules: Rules
    config: BehaviorConfig
    version: str

    def shortlists(self, view: View) -> Shortlists:
        """Of a view's catalogue, for this denoiser. To be made once for all users of the view: for a large catalogue an
        index is learned."""
        return open_shortlists(view.catalogue, Posterior.of(self.sampler.model), self.config)

    def chunks(self, view: View, users: np.ndarray) -> list[np.ndarray]:
        """Users with enough events before the snapshot, ordered by length of history, in chunks of `infer_batch`."""
        count = np.diff(view.log.offsets)[users]
        able = count >= max(self.config.min_events, 1)
        return by_length(users[able], count[able], self.config)

    def inserted(self, view: View, users: np.ndarray) -> Inserted:
        """The last behaviours of users (indices) before the snapshot, with the slots to fill in."""
        starts, ends = view.log.offsets[users], view.log.offsets[users + 1]
        recent = gather_sequences(view.log, np.maximum(starts, ends - self.config.max_slots), ends)
        slots, mask_code = self.config.inferred + self.config.spare_slots, self.sampler.model.config.mask_code
        return insert_masks(recent, self.vectors.codes, mask_code, slots, self.sampler.inside, now=view.snapshot)

    def infer(self, view: View, users: np.ndarray, shortlists: Shortlists) -> pa.Table:
        """Rows of `INFERRED_BEHAVIORS` for users (indices) of the view, whose shortlists these are; users left with no
        item have no row."""
        before = self.sampler.forwards
        log, inserted = view.log, self.inserted(view, users)
        sampled = self.sampler.sample(inserted, noise_keys(log.user_ids[users], view.snapshot))
        grounded = ground(
            sampled.latent,
            sampled.codes,
            torch.from_numpy(gather_sequences(log, log.offsets[users], log.offsets[users + 1]).items),
            shortlists,
            self.rules,
        )
        table = self._rows(view, users, grounded, sampled.latent, inserted.times)
        return table.replace_schema_metadata({FORWARDS: str(self.sampler.forwards - before)})

    def _rows(
        self, view: View, users: np.ndarray, grounded: Grounded, latent: torch.Tensor, times: np.ndarray
    ) -> pa.Table:
        items, slot = grounded.items.numpy(), grounded.slot.numpy()
        there = items > 0  # chosen ones stand first, since confidence of the others is 0
        filled = there.any(1)
        items, slot, there, users = items[filled], slot[filled], there[filled], users[filled]
        ends = np.concatenate([[0], there.sum(1).cumsum()]).astype(np.int32)
        row = np.nonzero(there)[0]
        vectors = latent.numpy()[filled][row, slot[there]].astype(np.float16)
        width = vectors.shape[1]

        def lists(values: pa.Array) -> pa.ListArray:
            return pa.ListArray.from_arrays(pa.array(ends), values)

        columns = {
            "user_id": pa.array(view.log.user_ids[users].tolist(), pa.string()),
            "snapshot": pa.array(np.full(len(users), view.snapshot), TIMESTAMP),
            "item_ids": lists(pa.array([self.item_ids[i - 1] for i in items[there]], pa.string())),
            "vectors": lists(pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), width)),
            "confidence": lists(pa.array(grounded.confidence.numpy()[filled][there])),
            "slot_times": lists(pa.array(times[filled][row, slot[there]], TIMESTAMP)),
            "version": pa.array([self.version] * len(users), pa.string()),
        }
        return pa.table(columns).cast(INFERRED_BEHAVIORS)


@dataclass(frozen=True, eq=False)
class Work:
    """Users to infer for at a view, and by what."""

    inferrer: Inferrer
    view: View
    users: np.ndarray

    def shortlists(self) -> Shortlists:
        return self.inferrer.shortlists(self.view)


def open_shortlists(catalogue: Catalogue, posterior: Posterior, config: BehaviorConfig) -> Shortlists:
    """Every item of a catalogue of at most `exact_items` is looked at, and a larger one is searched by an index. One
    that is no longer than a shortlist is looked at, too: an index could not be learned from so few items."""
    if len(catalogue.items) <= max(config.exact_items, SHORTLIST):
        return WholeCatalogue(catalogue, posterior)
    from reaseq.behavior.approximate_shortlists import NearItems  # here: faiss is for large catalogues alone

    return NearItems(catalogue, posterior)


def rules_of(config: BehaviorConfig, fitted: EventLog, vectors: ItemVectors, category: np.ndarray) -> Rules:
    """How items are chosen; `fitted` holds the events that the denoiser was fitted on, `category` is int [V+1]."""
    floors = consistency_floors(fitted.items, fitted.offsets, vectors.z, category, config.consistency_percentile)
    return Rules(config.inferred, config.mmr_lambda, floors, round(config.new_category_share * config.inferred))


def by_length(users: np.ndarray, events: np.ndarray, config: BehaviorConfig) -> list[np.ndarray]:
    """The users (indices) in chunks of `infer_batch`, those of similar length of history together, so that little is
    padding; `events` int [n] are of each."""
    users = users[np.lexsort((users, np.minimum(events, config.max_slots)))]
    return [users[low : low + config.infer_batch] for low in range(0, len(users), config.infer_batch)]


def noise_keys(user_ids: np.ndarray, snapshot: int) -> np.ndarray:
    """int64 keys of the sampler's noise, the same in every run and every process."""
    return np.array([zlib.crc32(f"{user}@{snapshot}".encode()) for user in user_ids], np.int64)


def infer_resumably(work: list[Work], scratch: Path) -> tuple[pa.Table, int]:
    """Infer all chunks and give (rows sorted by user and snapshot, forwards).

    Each chunk is written to `scratch` whole or not at all, so a killed process loses one chunk.
    """
    chunks = [
        (each, number, users)
        for each in work
        for number, users in enumerate(each.inferrer.chunks(each.view, each.users))
    ]
    paths = [scratch / f"inferred-{each.view.number:03d}-{number:06d}.parquet" for each, number, _ in chunks]
    done = sum(path.is_file() for path in paths)
    if done:
        progress.note(f"inferring behaviours: {done} of {len(paths)} chunks were there already")
    shortlists = lru_cache(maxsize=1)(Work.shortlists)  # one at a time, since chunks come view by view
    todo = [(path, chunk) for path, chunk in zip(paths, chunks, strict=True) if not path.is_file()]
    for path, (each, _, users) in progress.track(todo, "inferring behaviours", total=len(paths), done=done):
        with whole(path) as partial:
            pq.write_table(each.inferrer.infer(each.view, users, shortlists(each)), partial)
    return collect(paths)


def collect(paths: Sequence[Path]) -> tuple[pa.Table, int]:
    """What chunks hold: (rows sorted by user and snapshot, forwards)."""
    tables = [pq.read_table(path) for path in paths]
    forwards = sum(int((table.schema.metadata or {}).get(FORWARDS, b"0")) for table in tables)
    rows = [table.replace_schema_metadata(None) for table in tables] or [INFERRED_BEHAVIORS.empty_table()]
    return pa.concat_tables(rows).sort_by([("user_id", "ascending"), ("snapshot", "ascending")]), forwards
