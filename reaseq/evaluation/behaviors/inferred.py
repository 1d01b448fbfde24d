"""The inferred behaviours of a run as flat arrays, and what the log and the world know of each of them.

Which events count. An inference at a snapshot saw events before it; whatever item they hold is in its history. What
came of it is asked of its *window*: the events that it did not see and that lie before the run's next snapshot, or, for
the last one, before the end of the log. (In a leave-one-out split, held-out events are never seen, whenever they are.)
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from reaseq.artifacts import Artifact
from reaseq.data.dataset import Dataset
from reaseq.evaluation.errors import EvaluationError
from reaseq.evaluation.metrics import Floats, Ints

Bools = NDArray[np.bool_]
COLUMNS = ["user_id", "snapshot", "item_ids", "confidence", "slot_times"]
_END = np.iinfo(np.int64).max


@dataclass(frozen=True)
class Inferred:
    """I behaviours inferred in R rows, one row per user and snapshot, most confident first within a row."""

    snapshots: Ints  # [S] µs, ascending, of the run
    user: Ints  # [R] index into the log's users
    snapshot: Ints  # [R] µs
    row: Ints  # [I] ascending
    item: Ints  # [I] 1 or more
    confidence: Floats  # [I] in (0, 1]
    slot: Ints  # [I] µs

    @classmethod
    def read(cls, artifact: Artifact, data: Dataset) -> "Inferred":
        """Read the table; users without any event and items that the catalogue lacks are left out.

        Raises:
            EvaluationError: nothing is left.
        """
        table = artifact.table("inferred_behaviors.parquet", COLUMNS).combine_chunks()
        user = data.log.user_index(table.column("user_id"))
        snapshot = table.column("snapshot").cast(pa.int64()).to_numpy()
        items = table.column("item_ids").combine_chunks()
        item = data.index_of(items.flatten())
        row = np.repeat(np.arange(table.num_rows), np.asarray(items.value_lengths()))
        kept = (item > 0) & (user[row] >= 0)
        if not kept.any():
            raise EvaluationError(
                f"{artifact.path} holds no inferred behaviours: no user had behavior.min_events behaviours before a "
                "snapshot, or no item was consistent enough. Lower behavior.min_events or bring a longer log."
            )
        rows, place = np.unique(row[kept], return_inverse=True)
        return cls(
            snapshots=np.unique([*artifact.facts.get("snapshots", ()), *snapshot]).astype(np.int64),
            user=user[rows],
            snapshot=snapshot[rows],
            row=place,
            item=item[kept],
            confidence=_flat(table, "confidence")[kept].astype(np.float64),
            slot=_flat(table, "slot_times").astype(np.int64)[kept],
        )

    def only(self, rows: Bools) -> "Inferred":
        """The marked rows, [R]."""
        kept = rows[self.row]
        return Inferred(
            snapshots=self.snapshots,
            user=self.user[rows],
            snapshot=self.snapshot[rows],
            row=(np.cumsum(rows) - 1)[self.row[kept]],
            item=self.item[kept],
            confidence=self.confidence[kept],
            slot=self.slot[kept],
        )

    def mean_of_rows(self, values: NDArray[np.generic]) -> Floats:
        """[R] mean of a value [I] over each row."""
        number = np.bincount(self.row, minlength=len(self.user))
        return np.bincount(self.row, weights=values.astype(float), minlength=len(self.user)) / number


@dataclass(frozen=True)
class Known:
    """What is known of each inferred behaviour; see the module for what a window is."""

    new_item: Bools  # [I] not in the history. True throughout: grounding never offers what the log holds
    new_category: Bools  # [I] no item of the history is of its category; False for one without a category
    taken: Bools  # [I] the window holds the item
    same_category: Bools  # [I] the window holds an item of its category
    beyond: Bools | None  # [I] the user had it where the platform does not look, at any time; None: nobody knows
    events: Ints  # [R] in the row's window
    logged: Ints  # [G+1] events of the rows' histories by category, 0 for none


def known(inferred: Inferred, data: Dataset) -> Known:
    """Hold every inferred behaviour against the log, and against what the synthetic world knows beyond it."""
    log, category = data.log, data.category_index
    mine = np.isin(log.users, inferred.user)
    user, item, time = log.users[mine], log.items[mine].astype(np.int64), log.timestamps[mine]
    owner, of = inferred.user[inferred.row], category[inferred.item]
    new_item, new_category, taken, same = (np.zeros(len(inferred.item), bool) for _ in range(4))
    events, logged = np.zeros(len(inferred.user), np.int64), np.zeros(len(data.category_names) + 1, np.int64)
    ends = [*inferred.snapshots[1:].tolist(), _END]
    for snapshot, end in zip(inferred.snapshots.tolist(), ends, strict=True):
        rows, here = inferred.snapshot == snapshot, inferred.snapshot[inferred.row] == snapshot
        seen = data.visible[mine] & (time < snapshot)
        window = ~seen & (time < end)

        def among(events: Bools, taken: Ints, asked: Ints, here: Bools = here) -> Bools:
            """Whether these events of the asked behaviour's user hold what is asked."""
            width = int(max(taken.max(initial=0), asked.max(initial=0))) + 1
            return np.isin(owner[here] * width + asked[here], user[events] * width + taken[events])

        new_item[here] = ~among(seen, item, inferred.item)
        new_category[here] = ~among(seen, category[item], of)
        taken[here] = among(window, item, inferred.item)
        same[here] = among(window, category[item], of)
        events[rows] = np.bincount(user[window], minlength=len(log.user_ids))[inferred.user[rows]]
        asked = seen & np.isin(user, inferred.user[rows])
        logged += np.bincount(category[item[asked]], minlength=len(logged))
    named = of > 0
    return Known(new_item, new_category & named, taken, same & named, _beyond(inferred, data), events, logged)


def _beyond(inferred: Inferred, data: Dataset) -> Bools | None:
    table = data.beyond_log()
    if table is None:
        return None
    width = len(data.item_ids) + 1
    had = data.log.user_index(table.column("user_id")) * width + data.index_of(table.column("item_id"))
    return np.isin(inferred.user[inferred.row] * width + inferred.item, had)


def _flat(table: pa.Table, name: str) -> NDArray[np.generic]:
    values = table.column(name).combine_chunks().flatten()
    return np.asarray(values.cast(pa.int64()) if pa.types.is_timestamp(values.type) else values)


def diversity(inferred: Inferred, z: NDArray[np.float32]) -> Floats:
    """[R] 1 - mean cosine between the items of a row; nan for a row of one. `z` [V+1, 128], of unit length."""
    number = np.bincount(inferred.row, minlength=len(inferred.user)).astype(float)
    total = np.zeros((len(number), z.shape[1]))
    np.add.at(total, inferred.row, z[inferred.item])
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(number > 1, 1 - ((total**2).sum(1) - number) / (number * (number - 1)), np.nan)
