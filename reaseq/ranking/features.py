"""Feature assembly: what is known of a user and a list of candidates → the input tensors of `reaseq_ranker`.

`assemble` builds one request online from a feature-store row of strings; training builds thousands of contexts from the
event log. Both end in `assemble_users`, which works on ragged arrays of item indices, so that training and serving
can't drift apart. Numpy only: a request pays microseconds here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import repeat
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from reaseq.ranking.errors import RankingError
from reaseq.schema import VECTOR_DIM

HOUR = 3_600_000_000  # microseconds
DAY = 24 * HOUR
PROFILE = ("log1p_events", "log1p_days_since_first", "log1p_days_since_last", "log1p_categories")

Tensors = dict[str, np.ndarray]


@dataclass(frozen=True)
class FeatureLimits:
    """Greatest lengths of the model's axes."""

    short: int  # T, behaviours of the short history
    long: int  # H, behaviours that the long branch searches
    inferred: int  # M, inferred behaviours
    levels: int = 4  # L, codes of an item
    trimmed: bool = False
    """Whether a request's user axes end where its user's behaviours do, so that it pays for no padding. Graphs from
    before this setting want them padded to the limits."""

    def specs(self) -> list[tuple[str, str, list[int | str]]]:
        """(name, numpy dtype, shape) of each model input, in the model's order; letters stand for dynamic axes."""
        short, long, inferred = ("T", "H", "M") if self.trimmed else (self.short, self.long, self.inferred)
        return [
            ("candidates", "int64", ["C"]),
            ("history", "int64", [1, short]),
            ("history_age", "float32", [1, short]),
            ("long_history", "int64", [1, long]),
            ("inferred", "int64", [1, inferred]),
            ("inferred_vectors", "float32", [1, inferred, VECTOR_DIM]),
            ("inferred_confidence", "float32", [1, inferred]),
            ("profile", "float32", [1, len(PROFILE)]),
            ("cold_index", "int64", ["C"]),
            ("cold_vectors", "float32", ["K", VECTOR_DIM]),
            ("cold_codes", "int64", ["K", self.levels]),
            ("cold_category", "int64", ["K"]),
        ]


@dataclass(frozen=True)
class UserRow:
    """What the feature store holds of a user; lists are most recent (or, for inferences, most confident) first."""

    history_items: Sequence[str] = ()
    history_times: Sequence[int] = ()  # microseconds
    events: int = 0  # behaviours in the log, all time
    categories: int = 0  # distinct top categories among them
    first_time: int = 0  # microseconds
    last_time: int = 0
    inferred_items: Sequence[str] = ()
    inferred_vectors: np.ndarray = field(default_factory=lambda: np.zeros((0, VECTOR_DIM), np.float32))  # [m, 128]
    inferred_confidence: Sequence[float] = ()


@dataclass(frozen=True)
class ColdItem:
    """Knowledge of an item that is newer than the model."""

    z: np.ndarray  # [128] float, unit length
    codes: Sequence[int]  # L codes, -1 for none
    category: str = ""  # top category; one that the model doesn't know counts as none


class Vocabulary:
    """Item ids and category names as the model's indices: 1, 2, … in order; 0 is unknown."""

    def __init__(self, item_ids: Sequence[str], categories: Sequence[str]):
        self.item_ids = tuple(item_ids)
        self.categories = tuple(categories)
        self._items = {name: index for index, name in enumerate(self.item_ids, start=1)}
        self._categories = {name: index for index, name in enumerate(self.categories, start=1)}

    @classmethod
    def read(cls, path: Path, categories: Sequence[str]) -> "Vocabulary":
        """From a bundle's `vocabulary.parquet`."""
        return cls(pq.read_table(path, columns=["item_id"]).column(0).to_pylist(), categories)

    def __len__(self) -> int:
        return len(self.item_ids)

    def items(self, ids: Sequence[str]) -> np.ndarray:
        """Indices of the items, int64, 0 where unknown."""
        return np.fromiter(map(self._items.get, ids, repeat(0)), np.int64, len(ids))

    def category(self, name: str) -> int:
        return self._categories.get(name, 0)


@dataclass(frozen=True)
class Histories:
    """Behaviours of U contexts as spans `[start, end)` of flat arrays in order of time."""

    items: np.ndarray  # [E] int, item index ≥ 1
    times: np.ndarray  # [E] int64 microseconds
    start: np.ndarray  # [U] int64
    end: np.ndarray  # [U] int64


@dataclass(frozen=True)
class Profiles:
    """Statistics of all behaviours of U contexts: counts and times, which become features relative to `now`."""

    events: np.ndarray  # [U] int64
    categories: np.ndarray  # [U] int64
    first: np.ndarray  # [U] int64 microseconds, ignored where there are no events
    last: np.ndarray  # [U] int64 microseconds


@dataclass(frozen=True)
class Inferences:
    """Inferred behaviours of U contexts as spans `[start, end)` of flat arrays, most confident first in each."""

    items: np.ndarray  # [I] int, item index ≥ 1
    vectors: np.ndarray  # [I, 128] float16 or float32
    confidence: np.ndarray  # [I] float32 in (0, 1]
    start: np.ndarray  # [U] int64
    end: np.ndarray  # [U] int64


def assemble_users(
    histories: Histories,
    profiles: Profiles,
    inferences: Inferences,
    now: np.ndarray,
    limits: FeatureLimits,
    trim: bool = False,
) -> Tensors:
    """The user tensors of U contexts.

    Args:
        histories: the behaviours each context may see; the caller has cut off everything later.
        profiles: statistics of the same behaviours.
        inferences: the inferred behaviours each context may see.
        now: [U] int64, microseconds; ages are relative to it, and none is negative.
        limits: lengths of the fixed axes.
        trim: cut each axis to the longest row in the batch (at least 1); padding carries nothing, so scores stay.

    Returns:
        `history` [U, T] int64, `history_age` [U, T] float32, `long_history` [U, H] int64, `inferred` [U, M] int64,
        `inferred_vectors` [U, M, 128] float32, `inferred_confidence` [U, M] float32, `profile` [U, 4] float32.
    """
    longest = max(1, int((histories.end - histories.start).max(initial=0)))
    short, far = (min(limit, longest) if trim else limit for limit in (limits.short, limits.long))
    place = histories.end[:, None] - 1 - np.arange(max(short, far))
    seen = place >= histories.start[:, None]
    items = _take(histories.items, place, seen).astype(np.int64)
    hours = (now[:, None] - _take(histories.times, place[:, :short], seen[:, :short])).clip(0) / HOUR
    count = inferences.end - inferences.start
    widest = min(limits.inferred, max(1, int(count.max(initial=0)))) if trim else limits.inferred
    slot = inferences.start[:, None] + np.arange(widest)
    held = slot < inferences.end[:, None]
    return {
        "history": np.ascontiguousarray(items[:, :short]),
        "history_age": np.where(seen[:, :short], np.log1p(hours), 0).astype(np.float32),
        "long_history": np.ascontiguousarray(items[:, :far]),
        "inferred": _take(inferences.items, slot, held).astype(np.int64),
        "inferred_vectors": _take(inferences.vectors, slot, held).astype(np.float32),
        "inferred_confidence": _take(inferences.confidence, slot, held).astype(np.float32),
        "profile": _profile(profiles, now),
    }


def assemble(
    user: UserRow | None,
    candidates: Sequence[str],
    *,
    now: int,
    vocabulary: Vocabulary,
    limits: FeatureLimits,
    cold: Mapping[str, ColdItem],
) -> Tensors:
    """The model's inputs for one request; names, dtypes and shapes are those of `limits.specs()`.

    Args:
        user: the feature-store row; None is a user of whom nothing is known.
        candidates: item ids, at least one.
        now: time of the request, microseconds; behaviours later than it are left out.
        vocabulary: of the bundle.
        limits: of the bundle.
        cold: knowledge of items that the vocabulary lacks. A candidate in neither is ranked as an item without
            id, vector and category (`cold_index` 0 points at a zero row; real cold rows begin at 1).

    Raises:
        RankingError: there is no candidate, or lists that belong together differ in length.
    """
    if not candidates:
        raise RankingError("a request holds no candidates: give at least one item id in `candidates`.")
    row = user or UserRow()
    index = vocabulary.items(candidates)
    inputs: Tensors = {"candidates": index}
    inputs |= assemble_users(
        _history(row, now, vocabulary, limits),
        Profiles(
            *(np.array([value], np.int64) for value in (row.events, row.categories, row.first_time, row.last_time))
        ),
        _inferences(row, vocabulary),
        np.array([now], np.int64),
        limits,
        limits.trimmed,
    )
    inputs |= _cold_items(candidates, index, vocabulary, limits, cold)
    return {name: inputs[name] for name, _, _ in limits.specs()}


def _history(row: UserRow, now: int, vocabulary: Vocabulary, limits: FeatureLimits) -> Histories:
    if len(row.history_items) != len(row.history_times):
        raise RankingError(
            f"a user row holds {len(row.history_items)} `history_items` and {len(row.history_times)} `history_times`: "
            "they belong together one by one; materialise the user history again."
        )
    reach = max(limits.long, limits.short)
    items, times = vocabulary.items(row.history_items), np.asarray(row.history_times, np.int64)
    kept = (items > 0) & (times <= now)
    items, times = items[kept][:reach][::-1], times[kept][:reach][::-1]
    return Histories(items, times, np.zeros(1, np.int64), np.array([len(items)]))


def _inferences(row: UserRow, vocabulary: Vocabulary) -> Inferences:
    vectors = np.asarray(row.inferred_vectors).reshape(-1, VECTOR_DIM)
    confidence = np.asarray(row.inferred_confidence, np.float32)
    items = vocabulary.items(row.inferred_items)
    if not len(items) == len(vectors) == len(confidence):
        raise RankingError(
            f"a user row holds {len(items)} `inferred_items`, {len(vectors)} `inferred_vectors` and {len(confidence)} "
            "`inferred_confidence`: they belong together one by one; materialise the inferred behaviours again."
        )
    known = items > 0
    return Inferences(
        items[known], vectors[known], confidence[known], np.zeros(1, np.int64), np.array([int(known.sum())])
    )


def _cold_items(
    candidates: Sequence[str],
    index: np.ndarray,
    vocabulary: Vocabulary,
    limits: FeatureLimits,
    cold: Mapping[str, ColdItem],
) -> Tensors:
    rows: dict[str, int] = {}
    place = np.zeros(len(candidates), np.int64)
    for position in np.flatnonzero(index == 0).tolist():
        name = candidates[position]
        if name in cold:
            place[position] = rows.setdefault(name, len(rows) + 1)
    vectors = np.zeros((len(rows) + 1, VECTOR_DIM), np.float32)
    codes = np.full((len(rows) + 1, limits.levels), -1, np.int64)
    category = np.zeros(len(rows) + 1, np.int64)
    for name, at in rows.items():
        item = cold[name]
        if np.shape(item.z) != (VECTOR_DIM,) or len(item.codes) != limits.levels:
            raise RankingError(
                f"cold item {name!r}: `z` has shape {np.shape(item.z)} and there are {len(item.codes)} `codes`, this "
                f"ranker needs {VECTOR_DIM} values and {limits.levels} codes; embed the item with the ranker's own "
                "item_vectors version."
            )
        vectors[at], codes[at], category[at] = item.z, item.codes, vocabulary.category(item.category)
    return {"cold_index": place, "cold_vectors": vectors, "cold_codes": codes, "cold_category": category}


def _profile(profiles: Profiles, now: np.ndarray) -> np.ndarray:
    there = profiles.events > 0
    days = [np.where(there, (now - times).clip(0), 0) / DAY for times in (profiles.first, profiles.last)]
    columns = np.stack([profiles.events, *days, np.where(there, profiles.categories, 0)], axis=1)
    return np.log1p(columns).astype(np.float32)


def _take(values: np.ndarray, place: np.ndarray, held: np.ndarray) -> np.ndarray:
    """`values[place]`, zero where not held; `values` may be empty."""
    if not len(values):
        return np.zeros(place.shape + values.shape[1:], values.dtype)
    taken = values[np.where(held, place, 0)]
    taken[~held] = 0
    return taken
