"""One user's log and what was inferred of it, in one order of time."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

import numpy as np

from reaseq.data.dataset import Dataset
from reaseq.evaluation.behaviors.inferred import Inferred, diversity, known
from reaseq.representation.vectors import ItemVectors

Kind = Literal["log", "inferred", "later"]
LATER, BEYOND = "taken later", "taken beyond the log"


@dataclass(frozen=True)
class Entry:
    """One behaviour. `log`: seen by the inference; `inferred`; `later`: in the log, but not seen by the inference."""

    time: int  # µs; of an inferred one, that of its slot
    kind: Kind
    item_id: str
    title: str
    category: str
    confidence: float | None = None
    new_category: bool = False
    """Inferred, and no seen behaviour is of its category."""
    truth: str = ""
    """Of an inferred one: `LATER` if the user's log holds it after the snapshot, `BEYOND` if the synthetic world knows
    that the user had it where the platform does not look; else empty, which proves nothing."""


@dataclass(frozen=True)
class Timeline:
    """A user's behaviours, newest first, at the latest snapshot that inferred something of them."""

    user_id: str
    entries: tuple[Entry, ...]
    snapshot: int | None = None  # µs; None: nothing was inferred, and all entries are of the log
    new_items: float | None = None
    """Share of the inferred items that the seen log lacks."""
    new_categories: float | None = None
    """Share of the inferred items of a category that the seen log lacks."""
    diversity: float | None = None
    """1 - mean cosine between the inferred items; None if there is but one."""
    beyond: int | None = None
    """Behaviours of the user beyond the log; None where nobody knows."""

    def of(self, kind: Kind) -> list[Entry]:
        return [entry for entry in self.entries if entry.kind == kind]


def timeline(data: Dataset, vectors: ItemVectors, inferred: Inferred, user: int) -> Timeline:
    """The user's timeline.

    Args:
        data: that everything was made from.
        vectors: of its items.
        inferred: of the run.
        user: index into the log's users.
    """
    log, user_id = data.log, str(data.log.user_ids[user])
    span = slice(int(log.offsets[user]), int(log.offsets[user + 1]))
    items, times = log.items[span].tolist(), log.timestamps[span].tolist()
    mine = inferred.only(inferred.user == user)
    if not len(mine.user):
        return Timeline(user_id, _newest_first([_entry(data, i, t, "log") for i, t in zip(items, times, strict=True)]))
    mine = mine.only(mine.snapshot == mine.snapshot.max())
    snapshot = int(mine.snapshot[0])
    facts = known(mine, data)
    seen = data.visible[span] & (log.timestamps[span] < snapshot)
    kinds: list[Kind] = ["log" if each else "later" for each in seen]
    later = set(np.asarray(items)[~seen].tolist())
    entries = [_entry(data, i, t, kind) for i, t, kind in zip(items, times, kinds, strict=True)]
    for n, item in enumerate(mine.item.tolist()):
        had = facts.beyond is not None and bool(facts.beyond[n])
        entries.append(
            _entry(
                data,
                item,
                int(mine.slot[n]),
                "inferred",
                confidence=float(mine.confidence[n]),
                new_category=bool(facts.new_category[n]),
                truth=LATER if item in later else BEYOND if had else "",
            )
        )
    spread = float(diversity(mine, vectors.z)[0])
    return Timeline(
        user_id,
        _newest_first(entries),
        snapshot,
        new_items=float(facts.new_item.mean()),
        new_categories=float(facts.new_category.mean()),
        diversity=None if np.isnan(spread) else spread,
        beyond=_number_beyond(data, user),
    )


def shortened(entries: Sequence[Entry], logged: int) -> list[Entry | int]:
    """The entries, newest first, of which a long log is left out: kept are all inferred ones with their neighbours, the
    `logged` last that the inference saw, and half as many of those that came next. A number says how many are missing
    at its place."""
    kept = [n for n, entry in enumerate(entries) if entry.kind == "log"][:logged]
    kept += [n for n, entry in enumerate(entries) if entry.kind == "later"][::-1][: logged // 2]
    kept += [n + k for n, entry in enumerate(entries) if entry.kind == "inferred" for k in (-1, 0, 1)]
    shown: list[Entry | int] = []
    last = -1
    for n in sorted({n for n in kept if 0 <= n < len(entries)}):
        if n > last + 1:
            shown.append(n - last - 1)
        shown.append(entries[n])
        last = n
    if last + 1 < len(entries):
        shown.append(len(entries) - last - 1)
    return shown


def day(microseconds: float) -> str:
    """The UTC date of a moment: `2020-11-07`."""
    return f"{datetime.fromtimestamp(microseconds / 1e6, UTC):%Y-%m-%d}"


def _entry(data: Dataset, item: int, time: int, kind: Kind, **rest: float | bool | str) -> Entry:
    at = item - 1
    return Entry(time, kind, data.item_ids[at], data.titles[at], data.top_categories[at], **rest)  # type: ignore[arg-type]


def _newest_first(entries: list[Entry]) -> tuple[Entry, ...]:
    order = sorted(range(len(entries)), key=lambda n: (entries[n].time, n))
    return tuple(entries[n] for n in reversed(order))


def _number_beyond(data: Dataset, user: int) -> int | None:
    table = data.beyond_log()
    return None if table is None else int((data.log.user_index(table.column("user_id")) == user).sum())
