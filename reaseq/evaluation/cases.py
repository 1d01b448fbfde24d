"""Single items, users and impressions, picked by rule, for a person to judge whether the figures make sense."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from reaseq.data.dataset import Dataset, EventLog
from reaseq.evaluation.metrics import Floats, Ints, wins
from reaseq.evaluation.scorecard import ScoredSplit

_ITEMS = 6
_USERS = 4
_CHANGED = 5
_SHORTEST, _LONGEST = 4, 40  # events of a user that is shown
_LISTED = 8  # titles per list
_RECENT = 3  # titles of the history beside a case
_LEAST_NEGATIVES = 4  # an impression compared with fewer says little


@dataclass(frozen=True)
class ItemCase:
    """An item and what was reasoned about it."""

    item_id: str
    title: str
    category: str
    status: str
    training_events: int
    item_text: str
    demand_text: str


@dataclass(frozen=True)
class InferredItem:
    title: str
    category: str
    confidence: float
    truth: str
    """`taken later` if the user took it after the snapshot (or it was held out, in leave-one-out), `taken beyond the
    log` if the synthetic world knows that the user took it where the platform does not look; else empty, which proves
    nothing."""


@dataclass(frozen=True)
class UserCase:
    """The end of a user's log beside what was inferred from it."""

    user_id: str
    events: int
    log: tuple[tuple[str, str], ...]  # (title, category), most recent first
    inferred: tuple[InferredItem, ...]


@dataclass(frozen=True)
class ChangedCase:
    """A positive of the test split, and the share of the user's negatives that each model puts below it."""

    user_id: str
    item_id: str
    title: str
    category: str
    training_events: int
    history: int
    id: float
    full: float
    item_text: str
    """What was reasoned about the item; empty for one that is represented by its title."""
    recent: tuple[str, ...]
    """Titles of what the user took last before, most recent first."""


def item_cases(
    knowledge: pa.Table, titles: Sequence[str], categories: Sequence[str], events: Ints, shown: Ints
) -> list[ItemCase]:
    """Items of the test split: the new ones first, then seldom seen and popular ones, and one without knowledge if any.

    Args:
        knowledge: the knowledge table, in items order.
        titles: [V].
        categories: [V] top category.
        events: [V + 1] training events by item index.
        shown: indices of the items shown in the test split.
    """
    status = knowledge.column("status").to_pylist()
    candidates = [int(i) for i in np.unique(shown) if i > 0]
    reasoned = [i for i in candidates if status[i - 1] == "ok"]
    new = [i for i in reasoned if events[i] == 0]
    seen = sorted((i for i in reasoned if events[i] > 0), key=lambda i: (events[i], i))
    other = [i for i in candidates if status[i - 1] != "ok"]
    of_new = _spread(new, _ITEMS // 2)
    chosen = of_new + _spread(seen, _ITEMS - len(of_new) - len(other[:1])) + other[:1]
    rows = knowledge.take(np.array(chosen, np.int64) - 1).to_pylist()
    return [
        ItemCase(
            item_id=row["item_id"],
            title=titles[i - 1],
            category=categories[i - 1],
            status=row["status"],
            training_events=int(events[i]),
            item_text=row["item_text"],
            demand_text=row["demand_text"],
        )
        for i, row in zip(chosen, rows, strict=True)
    ]


def user_cases(
    inferred: pa.Table,
    data: Dataset,
    catalogue: Mapping[str, tuple[str, str]],
    beyond: pa.Table | None = None,
) -> list[UserCase]:
    """Users of the latest snapshot with a log of middling length, spread over the table.

    Args:
        inferred: `inferred_behaviors`, with the columns user_id, snapshot, item_ids and confidence.
        data: that it was made from.
        catalogue: item id → (title, top category).
        beyond: `beyond_log`, where there is one.
    """
    if not inferred.num_rows:
        return []
    snapshot = inferred.column("snapshot").cast(pa.int64())
    latest = pc.max(snapshot).as_py()
    rows = [row for row in inferred.filter(pc.equal(snapshot, latest)).to_pylist() if row["item_ids"]]
    log = data.log
    users = log.user_index([row["user_id"] for row in rows])
    spans = [(row, slice(log.offsets[u], log.offsets[u + 1])) for row, u in zip(rows, users, strict=True) if u >= 0]
    known = [(row, span, data.visible[span] & (log.timestamps[span] < latest)) for row, span in spans]
    middling = [case for case in known if _SHORTEST <= case[2].sum() <= _LONGEST]
    columns = [] if beyond is None else [beyond.column(name).to_pylist() for name in ("user_id", "item_id")]
    hidden = set(zip(*columns, strict=True))
    cases = []
    for row, span, seen in _spread(middling or known, _USERS):
        past = [data.item_ids[i - 1] for i in log.items[span][seen]]
        later = {data.item_ids[i - 1] for i in log.items[span][~seen]}
        found = [pair for pair in zip(row["item_ids"], row["confidence"], strict=True) if pair[0] in catalogue]
        truth = {item: "taken beyond the log" for item, _ in found if (row["user_id"], item) in hidden}
        truth |= dict.fromkeys(later, "taken later")
        cases.append(
            UserCase(
                user_id=row["user_id"],
                events=len(past),
                log=tuple(catalogue[item] for item in past[::-1][:_LISTED]),
                inferred=tuple(InferredItem(*catalogue[i], c, truth.get(i, "")) for i, c in found[:_LISTED]),
            )
        )
    return cases


def changed_cases(
    split: ScoredSplit,
    user_ids: Sequence[str],
    item_ids: Sequence[str],
    catalogue: Mapping[str, tuple[str, str]],
    events: Ints,
    knowledge: pa.Table,
    log: EventLog,
    ends: Ints,
) -> tuple[list[ChangedCase], list[ChangedCase]]:
    """The test positives that the full model moved up most, and those it moved down most, one per user and item.

    Args:
        split: with scores named `id` and `full`.
        user_ids: [N] id of each row's user.
        item_ids: [V].
        catalogue: item id → (title, top category).
        events: [V + 1] training events by item index.
        knowledge: the knowledge table, in items order.
        log: all behaviours.
        ends: [N] one past the last behaviour in `log` that the row's history holds.
    """
    status, texts = (knowledge.column(name).to_pylist() for name in ("status", "item_text"))
    place = {name: wins(split.users, split.labels, split.scores[name]) for name in ("id", "full")}
    _, user = np.unique(split.users, return_inverse=True)
    negatives = np.bincount(user, weights=split.labels == 0)[user]
    change = place["full"] - place["id"]
    # Places tie often where a user has few negatives: then the larger change of score decides, then the row.
    nudge = split.scores["full"].astype(np.float64) - split.scores["id"]
    valid = np.flatnonzero(~np.isnan(change) & (negatives >= min(_LEAST_NEGATIVES, negatives.max(initial=0))))
    order = valid[np.lexsort((valid, -nudge[valid], -change[valid]))]

    def pick(rows: Ints) -> list[ChangedCase]:
        chosen: list[ChangedCase] = []
        taken: set[Any] = set()
        for n in rows.tolist():
            item = item_ids[split.items[n] - 1]
            if user_ids[n] in taken or item in taken:
                continue
            taken |= {user_ids[n], item}
            title, category = catalogue[item]
            values: tuple[Floats, Floats] = place["id"][n], place["full"][n]
            end, history, index = int(ends[n]), int(split.history[n]), int(split.items[n])
            past = log.items[end - min(history, _RECENT) : end][::-1]
            chosen.append(
                ChangedCase(
                    user_id=user_ids[n],
                    item_id=item,
                    title=title,
                    category=category,
                    training_events=int(events[index]),
                    history=history,
                    id=float(values[0]),
                    full=float(values[1]),
                    item_text=texts[index - 1] if status[index - 1] == "ok" else "",
                    recent=tuple(catalogue[item_ids[i - 1]][0] for i in past),
                )
            )
            if len(chosen) == _CHANGED:
                break
        return chosen

    return pick(order[change[order] > 0]), pick(order[change[order] < 0][::-1])


def _spread(values: list[Any], count: int) -> list[Any]:
    """`count` values at equal distances, the first and the last among them."""
    if len(values) <= count:
        return values
    return [values[n] for n in np.linspace(0, len(values) - 1, count).astype(int)]
