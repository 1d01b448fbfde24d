"""What the inferred behaviours of a run are worth, by what came of them: confidence against hits, novelty, diversity.

A *hit* is an inferred item that the user takes in the window of its inference (`inferred` says which events those are);
a *category hit* is one whose window holds any item of its category, one taken before included. Users who do nothing in
a window can hit nothing, however sure an inference is, so calibration looks at the others alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from reaseq.behavior.calibration import expected_error
from reaseq.data.dataset import Dataset
from reaseq.evaluation.behaviors.inferred import Bools, Inferred, Known, diversity, known
from reaseq.evaluation.metrics import Floats
from reaseq.representation.vectors import ItemVectors

BINS = 10
GAP, AFTER = "in a gap of the log", "after its end"
_LISTED = 20  # categories shown one by one


@dataclass(frozen=True)
class Bin:
    """Inferences of similar confidence. All bins hold (nearly) equally many, since most confidences are low."""

    count: int
    least: float
    most: float
    confidence: float  # mean
    hits: int
    category_hits: int


@dataclass(frozen=True)
class Calibrated:
    """Confidence against hits, of inferences whose user did something in the window."""

    bins: tuple[Bin, ...]
    error: float
    """Expected calibration error of confidence as the probability of a hit."""
    category_error: float
    """The same of a category hit."""
    count: int
    left_out: int
    """Inferences of users who did nothing in the window."""


@dataclass(frozen=True)
class Group:
    """Some of the inferences, those of a snapshot or of a place."""

    name: str
    count: int
    confidence: float  # mean
    hits: float  # share
    category_hits: float
    beyond: float | None
    """Share that the user had beyond the log, at any time; None where nobody knows."""
    users: int
    active: int
    """Users with an event in the window."""
    events: float
    """In the window, per active user."""


@dataclass(frozen=True)
class Category:
    """A category and its share of what was inferred and of the events before, of the same users."""

    name: str
    inferred: float
    logged: float


@dataclass(frozen=True)
class Measures:
    """R rows (users at snapshots) of I inferred behaviours."""

    whole: Group
    snapshots: tuple[Group, ...]  # named by their date
    places: tuple[Group, ...]
    calibration: Calibrated
    confidence: dict[str, Floats]  # place → confidences
    new_items: Floats  # [R] share of a row's items that the history lacks
    new_categories: Floats  # [R] share of a row's items of a category that the history lacks
    diversity: Floats  # [R] 1 - mean cosine of a row's items; nan for a row of one
    categories: tuple[Category, ...]
    """The most frequent ones first, the rest as one."""


def measure(inferred: Inferred, data: Dataset, vectors: ItemVectors) -> Measures:
    """Measure all inferences of a run; nothing is inferred anew."""
    facts = known(inferred, data)
    snapshot = inferred.snapshot[inferred.row]
    after = inferred.slot >= snapshot
    places = {GAP: ~after, AFTER: after}
    moments = np.unique(inferred.snapshot).tolist()
    days = [str(np.datetime64(moment, "us").astype("datetime64[m]")).replace("T", " ") for moment in moments]
    return Measures(
        whole=_group("all", np.ones(len(inferred.item), bool), inferred, facts),
        snapshots=tuple(_group(day, snapshot == at, inferred, facts) for day, at in zip(days, moments, strict=True)),
        places=tuple(_group(name, here, inferred, facts) for name, here in places.items()),
        calibration=_calibrated(inferred, facts),
        confidence={name: inferred.confidence[here] for name, here in places.items()},
        new_items=inferred.mean_of_rows(facts.new_item),
        new_categories=inferred.mean_of_rows(facts.new_category),
        diversity=diversity(inferred, vectors.z),
        categories=_categories(inferred, facts, data),
    )


def _group(name: str, here: Bools, inferred: Inferred, facts: Known) -> Group:
    rows = np.unique(inferred.row[here])
    events, user = facts.events[rows], inferred.user[rows]

    def mean(values: Floats | Bools) -> float:
        return float(values[here].mean()) if here.any() else float("nan")

    return Group(
        name=name,
        count=int(here.sum()),
        confidence=mean(inferred.confidence),
        hits=mean(facts.taken),
        category_hits=mean(facts.same_category),
        beyond=None if facts.beyond is None else mean(facts.beyond),
        users=len(np.unique(user)),
        active=len(np.unique(user[events > 0])),
        events=float(events[events > 0].mean()) if (events > 0).any() else 0.0,
    )


def _calibrated(inferred: Inferred, facts: Known) -> Calibrated:
    able = np.flatnonzero(facts.events[inferred.row] > 0)
    confidence, taken, same = inferred.confidence[able], facts.taken[able], facts.same_category[able]
    order = np.argsort(confidence, kind="stable")
    bins = [
        Bin(
            count=len(part),
            least=float(confidence[part].min()),
            most=float(confidence[part].max()),
            confidence=float(confidence[part].mean()),
            hits=int(taken[part].sum()),
            category_hits=int(same[part].sum()),
        )
        for part in np.array_split(order, BINS)
        if len(part)
    ]
    error, category_error = (
        expected_error(confidence, hit, BINS) if len(able) else float("nan") for hit in (taken, same)
    )
    return Calibrated(tuple(bins), error, category_error, len(able), len(inferred.item) - len(able))


def _categories(inferred: Inferred, facts: Known, data: Dataset) -> tuple[Category, ...]:
    counts = np.bincount(data.category_index[inferred.item], minlength=len(facts.logged))
    shares = [counts / max(counts.sum(), 1), facts.logged / max(facts.logged.sum(), 1)]
    names = ["no category", *data.category_names]
    order = np.argsort(-np.maximum(*shares), kind="stable")
    order = order[np.maximum(*shares)[order] > 0]
    first, rest = order[:_LISTED], order[_LISTED:]
    shown = [Category(names[n], float(shares[0][n]), float(shares[1][n])) for n in first.tolist()]
    return (*shown, *_lumped(rest.tolist(), shares))


def _lumped(places: Sequence[int], shares: Sequence[Floats]) -> list[Category]:
    if not places:
        return []
    inferred, logged = (float(share[places].sum()) for share in shares)
    return [Category(f"{len(places)} others", inferred, logged)]
