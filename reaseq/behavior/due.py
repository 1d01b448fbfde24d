"""Whose behaviours a refresh infers again: who did enough since the last inference, or whose inference is too old.

Users with too short a history get none rather than noise, and everybody else keeps what there is.
"""

from collections import Counter
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from reaseq.artifacts import Artifact
from reaseq.config import RefreshConfig
from reaseq.data import EventLog
from reaseq.schema import REFRESHED_USERS, TIMESTAMP

DAY = 86_400_000_000  # µs
NEVER = -1
USERS = "users.parquet"
"""Table of a refresh: what became of each user, and when each was last inferred for."""


class Outcome(StrEnum):
    """What a refresh did for a user."""

    REFRESHED = "refreshed"
    NOTHING_FOUND = "nothing_found"  # inferred, and no item was consistent enough with the user
    FRESH_ENOUGH = "fresh_enough"
    TOO_FEW_EVENTS = "too_few_events"


@dataclass(frozen=True)
class Standing:
    """Where the U users of a log stand before a refresh.

    user_ids str [U]; events and new_events int64 [U], all of them and those since the last inference; inferred_at int64
    [U], its snapshot in µs or NEVER; able and due bool [U]: enough events for an inference, and in need of one.
    """

    user_ids: np.ndarray
    events: np.ndarray
    new_events: np.ndarray
    inferred_at: np.ndarray
    able: np.ndarray
    due: np.ndarray

    @classmethod
    def at(
        cls, snapshot: int, log: EventLog, inferred_at: np.ndarray, rule: RefreshConfig, least: int = 1
    ) -> "Standing":
        """Where every user of the log stands, and who is due.

        Args:
            snapshot: of the refresh, µs.
            log: events before it.
            inferred_at: int64 [U], see above. That inference saw what lay strictly before it.
            rule: when a user is due.
            least: events that an inference needs whatever the rule says.
        """
        new = log.timestamps >= inferred_at[log.users]
        new_events = np.bincount(log.users[new], minlength=len(log.user_ids)).astype(np.int64)
        events = np.diff(log.offsets)
        able = events >= max(rule.min_events, least)
        old = snapshot - inferred_at >= round(rule.older_than_days * DAY)
        due = able & ((inferred_at == NEVER) | (new_events >= rule.events) | old)
        return cls(log.user_ids, events, new_events, inferred_at, able, due)

    def after(self, snapshot: int, refreshed: pa.ChunkedArray) -> pa.Table:
        """`REFRESHED_USERS` once the due ones were inferred for; `refreshed` holds the ids of those who got a row."""
        got = pc.is_in(pa.array(self.user_ids, pa.string()), value_set=refreshed.combine_chunks()).to_numpy(False)
        outcomes = np.where(self.able, Outcome.FRESH_ENOUGH.value, Outcome.TOO_FEW_EVENTS.value)
        outcomes = np.where(self.due, np.where(got, Outcome.REFRESHED.value, Outcome.NOTHING_FOUND.value), outcomes)
        inferred_at = np.where(self.due, snapshot, self.inferred_at)
        table = pa.table(
            {
                "user_id": pa.array(self.user_ids, pa.string()),
                "outcome": pa.array(outcomes.tolist(), pa.string()),
                "events": self.events,
                "new_events": self.new_events,
                "inferred_at": pa.array(inferred_at, TIMESTAMP, mask=inferred_at == NEVER),
            },
            schema=REFRESHED_USERS,
        )
        return table.filter(pa.array(self.events > 0))  # who comes later is not known yet


def counts(users: pa.Table) -> dict[str, int]:
    """Users by `Outcome`, those with none included."""
    found = Counter(users.column("outcome").to_pylist())
    return {outcome.value: found[outcome.value] for outcome in Outcome}


def last_inferences(known: Artifact, log: EventLog, snapshot: int) -> np.ndarray:
    """When each of the log's users was last inferred for, int64 [U] µs or NEVER.

    Args:
        known: a refresh, whose users table says it also of those for whom nothing was found; or a run's inferences.
        log: gives the users.
        snapshot: inferences after it count for nothing.
    """
    if USERS in known.manifest.files:
        table = known.table(USERS, ["user_id", "inferred_at"]).rename_columns(["user_id", "snapshot"])
    else:
        table = known.table("inferred_behaviors.parquet", ["user_id", "snapshot"])
    times = pc.fill_null(table.column("snapshot").cast(pa.int64()), NEVER).to_numpy()
    users = log.user_index(table.column("user_id"))
    last = np.full(len(log.user_ids), NEVER, np.int64)
    counted = (users >= 0) & (times <= snapshot)
    np.maximum.at(last, users[counted], times[counted])
    return last
