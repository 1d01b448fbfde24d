"""Cases: users at one snapshot, what was inferred of them, and what they did that the visible log does not hold.

Three truths give cases: a category hidden from the log (`hiding`), the synthetic world's behaviours beyond the log, and
the log's own future. A truth's item is one that the user had not taken before; the catalogue is what occurred in the
visible log before the snapshot, and is the same for every method.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from reaseq.artifacts import Artifact
from reaseq.data.dataset import Dataset, EventLog
from reaseq.data.ranges import elements
from reaseq.evaluation.claims.hiding import Bools, Hidden, Ints, categories_of
from reaseq.ranking.inferences import InferenceTable
from reaseq.representation.vectors import ItemVectors

USERS, OTHERS = 0x0CA5, 0x07E5  # streams of random numbers drawn from the seed


@dataclass(frozen=True)
class Cases:
    """N users at one snapshot; row-aligned arrays."""

    log: EventLog
    """What was visible at the snapshot, of all users."""
    user: Ints  # [N] index into the log's users, distinct
    items: Ints  # [N, M] inferred, most confident first, 0 for none
    latents: NDArray[np.float32]  # [N, M, 128] ẑ of each, zeros for none
    truth: Bools  # [N, V+1]
    region: Bools  # [N, V+1] items of the categories that the truth lies in

    @cached_property
    def known(self) -> Bools:
        """[V+1] items that occur in the visible log."""
        seen = np.zeros(self.truth.shape[1], bool)
        seen[self.log.items] = True
        return seen

    def spans(self) -> tuple[Ints, Ints]:
        """Start and end of each user's visible history in the log."""
        return self.log.offsets[self.user], self.log.offsets[self.user + 1]

    def history(self) -> Bools:
        """[N, V+1] items in each user's visible history."""
        taken = np.zeros(self.truth.shape, bool)
        row, place = elements(*self.spans())
        taken[row, self.log.items[place]] = True
        return taken

    def of_another_user(self, seed: int) -> "Cases":
        """The same cases, each with the inferences of another of these users (its own where it is alone)."""
        order = np.random.default_rng([seed, OTHERS]).permutation(len(self.user))
        other = np.empty_like(order)
        other[order] = np.roll(order, 1)
        return replace(self, items=self.items[other], latents=self.latents[other])

    def at(self, rows: slice | Ints) -> "Cases":
        """These rows of the cases."""
        names = ("user", "items", "latents", "truth", "region")
        return replace(self, **{name: getattr(self, name)[rows] for name in names})

    def __len__(self) -> int:
        return len(self.user)


def hidden_cases(data: Dataset, hidden: Hidden, inferred: Artifact) -> Cases:
    """What was inferred of users whose category is hidden; users that got nothing stay in, with nothing."""
    table = InferenceTable.read(inferred, data, 0.0)
    items, latents = _padded(table, *_rows_of(table, hidden.user))
    region = categories_of(data)[hidden.category] if len(hidden.user) else hidden.truth
    return Cases(hidden.log, hidden.user, items, latents, hidden.truth, region)


def beyond_log_cases(data: Dataset, inferred: Artifact, *, users: int, seed: int) -> list[Cases]:
    """What the synthetic world's users did where the platform does not look, at or after each snapshot of theirs and
    before their next one; no case where the world is not known."""
    table = data.beyond_log()
    if table is None:
        return []
    return _later_cases(
        data,
        inferred,
        data.log.user_index(table.column("user_id")),
        data.index_of(table.column("item_id")),
        table.column("timestamp").cast(pa.int64()).to_numpy(),
        users=users,
        seed=seed,
    )


def future_cases(data: Dataset, inferred: Artifact, *, users: int, seed: int) -> list[Cases]:
    """What users' logs hold at or after each snapshot of theirs and before their next one, in validation or test: item
    vectors were aligned on what users did in training."""
    log, held = data.log, ~data.log.train
    events = log.users[held], log.items[held].astype(np.int64), log.timestamps[held]
    return _later_cases(data, inferred, *events, users=users, seed=seed)


def _later_cases(
    data: Dataset, inferred: Artifact, user: Ints, item: Ints, timestamp: Ints, *, users: int, seed: int
) -> list[Cases]:
    """Cases of all snapshots from the events (user, item, timestamp), for at most `users` users drawn by seed."""
    table, log = InferenceTable.read(inferred, data, 0.0), data.visible_log()
    ranks = len(table.snapshots) + 1
    rank = np.searchsorted(table.snapshots, timestamp, side="right")
    row = np.searchsorted(table.keys, user * ranks + rank, side="right") - 1
    there = (user >= 0) & (item > 0) & (row >= 0)
    there &= table.keys[row.clip(0)] // ranks == user if len(table.keys) else False
    able = np.unique(user[there])
    drawn = np.random.default_rng([seed, USERS]).permutation(able)[:users]
    there &= np.isin(user, drawn)
    row, item = row[there], item[there]
    number = table.keys[row] % ranks - 1 if len(row) else row
    category = np.zeros((len(data.category_names) + 1, len(data.item_ids) + 1), bool)
    category[data.category_index, np.arange(category.shape[1])] = True
    made = []
    for place in np.unique(number):
        here = number == place
        rows = np.unique(row[here])
        truth = np.zeros((len(rows), len(data.item_ids) + 1), bool)
        truth[np.searchsorted(rows, row[here]), item[here]] = True
        items, latents = _padded(table, table.offsets[rows], table.offsets[rows + 1])
        before = log.before(int(table.snapshots[place]))
        cases = Cases(before, table.keys[rows] // ranks, items, latents, truth, truth)
        truth &= ~cases.history()
        region = ((truth.astype(np.float32) @ category.T.astype(np.float32)) > 0)[:, data.category_index]
        asked = np.flatnonzero(truth.any(1))
        if len(asked):
            made.append(replace(cases, region=region).at(asked))
    return made


def _rows_of(table: InferenceTable, user: Ints) -> tuple[Ints, Ints]:
    return table.spans(user, np.full(len(user), np.iinfo(np.int64).max // 2))


def _padded(table: InferenceTable, start: Ints, end: Ints) -> tuple[Ints, NDArray[np.float32]]:
    place = start[:, None] + np.arange(max(1, int((end - start).max(initial=0))))
    held = place < end[:, None]
    if not len(table.items):
        return np.zeros(place.shape, np.int64), np.zeros((*place.shape, table.vectors.shape[1]), np.float32)
    place = np.where(held, place, 0)
    items = np.where(held, table.items[place], 0)
    return items, table.vectors[place].astype(np.float32) * held[..., None]


def likeness(cases: Cases, vectors: ItemVectors) -> dict[str, NDArray[np.float64]]:
    """Mean cosine of what was inferred to the truth, [N] each: `items` by their z, `latents` by ẑ; nan where nothing
    was inferred."""
    truth = cases.truth.astype(np.float32)
    target = (truth @ vectors.z) / np.maximum(truth.sum(1, keepdims=True), 1)
    there = cases.items > 0
    number = there.sum(1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        items = (vectors.z[cases.items] * there[..., None]).sum(1) / number
        latents = (cases.latents * there[..., None]).sum(1) / number
    return {
        "items": np.einsum("nd,nd->n", items, target, dtype=np.float64),
        "latents": np.einsum("nd,nd->n", latents, target, dtype=np.float64),
    }


def novelty(cases: Cases, data: Dataset, vectors: ItemVectors) -> dict[str, NDArray[np.float64]]:
    """How new and how varied the inferred items are, [N] each; nan where undefined.

    `new_items` and `new_categories`: share that the visible log lacks, by item and by top category. `diversity`: 1 -
    mean cosine between a user's items.
    """
    history = cases.history()
    there = cases.items > 0
    number = there.sum(1).astype(float)
    categories = np.zeros((len(cases), len(data.category_names) + 1), bool)
    row, item = np.nonzero(history)
    categories[row, data.category_index[item]] = True
    rows = np.arange(len(cases))[:, None]
    z = (vectors.z[cases.items] * there[..., None]).sum(1, dtype=np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        cosine = np.where(number > 1, ((z**2).sum(1) - number) / (number * (number - 1)), np.nan)
        return {
            "new_items": (there & ~history[rows, cases.items]).sum(1) / number,
            "new_categories": (there & ~categories[rows, data.category_index[cases.items]]).sum(1) / number,
            "diversity": 1 - cosine,
        }
