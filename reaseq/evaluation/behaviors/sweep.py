"""Recall of the future by reverse steps R and guidance w: the run's own denoiser, asked anew at the last snapshot.

The truth is what a user's window holds and the history lacks (`inferred` says what a window is); Recall@10 is the share
of a user's truth among the ten most confident inferences, averaged over a sample of users who have any. One seed draws
the users and the sampler's noise for every cell, so cells differ by R and w alone. A run that infers fewer than ten
behaviours a user recalls less than the yardsticks, which always choose ten.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from reaseq import progress
from reaseq.artifacts import Artifact
from reaseq.behavior.fitted import folder_at, open_catalogue, open_inferrer
from reaseq.behavior.inference import Inferrer, View, rules_of
from reaseq.behavior.sampler import Sampler
from reaseq.config import RunConfig
from reaseq.data.dataset import Dataset, EventLog
from reaseq.determinism import deterministic_torch
from reaseq.evaluation.claims.cases import Cases
from reaseq.evaluation.claims.recovery import (
    DECAY,
    POPULARITY,
    RECENT,
    M,
    best_with_new,
    lacking,
    of_spans,
    recall_of_inferred,
)
from reaseq.evaluation.metrics import Ints
from reaseq.ranking.sequential.counting import ItemToItem, Popularity

USERS, STEPS, GUIDANCE = 200, (1, 2, 4, 8), (0.0, 0.5, 1.0, 2.0)
_DRAW, _TIES = 0x5EE9, 0x71E5  # streams of random numbers drawn from the seed
_CONFIDENT = 1.96  # standard errors to each side of a 95 % interval


@dataclass(frozen=True)
class Recall:
    """Mean over the sample's users, with a 95 % interval of that mean."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Sweep:
    """Recall@10 of one sample of users by (R, w)."""

    snapshot: int  # µs
    users: int
    items: float
    """Mean items of the truth."""
    reachable: float
    """Share of the truth that the catalogue held at the snapshot: no recall can exceed it."""
    cells: dict[tuple[int, float], Recall]
    yardsticks: dict[str, Recall]
    """What only counts, with the same share of its items from categories that the history lacks."""
    configured: tuple[int, float]
    """R and w of the run."""

    @property
    def steps(self) -> list[int]:
        return sorted({steps for steps, _ in self.cells})

    @property
    def guidance(self) -> list[float]:
        return sorted({guidance for _, guidance in self.cells})


def sweep(
    config: RunConfig,
    dataset: Artifact,
    item_vectors: Artifact,
    denoiser: Artifact,
    snapshot: int,
    *,
    users: int = USERS,
    steps: Sequence[int] = STEPS,
    guidance: Sequence[float] = GUIDANCE,
) -> Sweep | None:
    """Infer for a sample of users with every R of `steps` and every w of `guidance`, and measure.

    Args:
        config: of the run: its seed, and sections `behavior`, `threads`, `device`.
        dataset, item_vectors, denoiser: of the run.
        snapshot: µs, the run's last.
        users: drawn at most.

    Returns:
        None where no user has anything to recall.

    Raises:
        BehaviorError: the denoiser does not fit the item vectors.
    """
    data, vectors = open_catalogue(dataset, item_vectors)
    if config.device == "cuda" and not torch.cuda.is_available():
        config = config.model_copy(update={"device": "cpu"})
    with deterministic_torch(config.threads, config.seed):
        log = data.visible_log()
        rules = rules_of(config.behavior, log.before(int(denoiser.facts["cut"])), vectors, data.category_index)
        inferrer = open_inferrer(folder_at(denoiser, snapshot), config, data, vectors, rules, "sweep")
        log = log.with_actions(inferrer.sampler.model.config.action_names)
        view = View.at(0, snapshot, log, vectors, data.category_index)
        cases = _cases(data, view.log, config, users)
        if not len(cases):
            return None
        chunks, shortlists = inferrer.chunks(view, cases.user), inferrer.shortlists(view)
        asked = [(r, w, chunk) for r in sorted({*steps}) for w in sorted({*guidance}) for chunk in chunks]
        found: dict[tuple[int, float], list[pa.Table]] = {(r, w): [] for r in steps for w in guidance}
        for r, w, chunk in progress.track(asked, "recall by reverse steps and guidance"):
            found[r, w].append(_asked(inferrer, config.seed, r, w).infer(view, chunk, shortlists))
    truth = cases.truth
    return Sweep(
        snapshot=snapshot,
        users=len(cases),
        items=float(truth.sum(1).mean()),
        reachable=float((truth & cases.known).sum() / truth.sum()),
        cells={cell: _recall(replace(cases, items=_items(tables, cases, data))) for cell, tables in found.items()},
        yardsticks=_yardsticks(cases, data, config),
        configured=(config.behavior.reverse_steps, config.behavior.guidance),
    )


def _cases(data: Dataset, seen: EventLog, config: RunConfig, users: int) -> Cases:
    """Users with enough behaviours before the snapshot and something new after it; nothing is inferred yet."""
    log, width = data.log, len(data.item_ids) + 1
    known = seen.users * width + seen.items
    key = log.users * width + log.items
    able = np.diff(seen.offsets) >= max(config.behavior.min_events, 1)
    # An item that the history lacks was taken at or after the snapshot, or is held out.
    asked = np.flatnonzero(~np.isin(key, known) & able[log.users])
    user = np.random.default_rng([config.seed, _DRAW]).permutation(np.unique(log.users[asked]))[:users]
    user = np.sort(user)
    row = np.full(len(log.user_ids), -1, np.int64)
    row[user] = np.arange(len(user))
    asked = asked[row[log.users[asked]] >= 0]
    truth = np.zeros((len(user), width), bool)
    truth[row[log.users[asked]], log.items[asked]] = True
    nothing = np.zeros((len(user), 1), np.int64)
    return Cases(seen, user, nothing, np.zeros((len(user), 1, 0), np.float32), truth, truth)


def _asked(inferrer: Inferrer, seed: int, steps: int, guidance: float) -> Inferrer:
    config = inferrer.config.model_copy(update={"reverse_steps": steps, "guidance": guidance})
    return replace(inferrer, config=config, sampler=Sampler.of(inferrer.sampler.model, config, seed))


def _items(tables: Sequence[pa.Table], cases: Cases, data: Dataset) -> Ints:
    """[N, M] what was inferred, most confident first, 0 for none."""
    items = np.zeros((len(cases), M), np.int64)
    for table in tables:
        rows = np.searchsorted(cases.user, data.log.user_index(table.column("user_id")))
        for row, found in zip(rows.tolist(), table.column("item_ids").to_pylist(), strict=True):
            items[row, : len(found[:M])] = data.index_of(found[:M])
    return items


def _yardsticks(cases: Cases, data: Dataset, config: RunConfig) -> dict[str, Recall]:
    number, history = len(data.item_ids), config.behavior.max_slots
    missed = lacking(cases, data.category_index)
    allowed = cases.known & ~cases.history()
    allowed[:, 0] = False
    counted: dict[str, Any] = {
        POPULARITY: Popularity(cases.log, number),
        RECENT: ItemToItem(cases.log, cases.log, number, decay=DECAY, history=history),
    }
    rng = np.random.default_rng([config.seed, _TIES])
    new = round(config.behavior.new_category_share * M)
    return {
        name: _recall(
            replace(cases, items=best_with_new(np.where(allowed, of_spans(model)(cases), -np.inf), missed, new, rng))
        )
        for name, model in counted.items()
    }


def _recall(cases: Cases) -> Recall:
    each: NDArray[np.float64] = np.array(list(recall_of_inferred(cases).values()))
    mean = float(each.mean())
    half = _CONFIDENT * float(each.std(ddof=1)) / len(each) ** 0.5 if len(each) > 1 else float("nan")
    return Recall(mean, max(mean - half, 0.0), mean + half)
