"""How fast behaviours are inferred, beside what the denoiser's own forwards would allow.

The limit is a machine that does nothing but the forwards that inference counts (`sampler.dense_forwards`), each as fast
as a plain forward of the same batch: no code is chosen, no item is looked for, no row is written. Both are timed chunk
by chunk in turn, so that a busy spell of the machine meets both. What is inferred is dropped.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import psutil
import torch

from reaseq import progress
from reaseq.artifacts import Artifact
from reaseq.behavior.fitted import folder_at, open_catalogue, open_inferrer
from reaseq.behavior.inference import Inferrer, View, rules_of
from reaseq.behavior.shortlists import Shortlists
from reaseq.behavior.stage import snapshot_plan
from reaseq.config import Json, RunConfig
from reaseq.determinism import deterministic_torch
from reaseq.evaluation.errors import EvaluationError

_MIB = 1 << 20


@dataclass
class _Chunk:
    users: int
    slots: int
    seconds: float
    forwards: float
    """Dense forwards that inference did, summed over users."""
    dense_seconds: float
    """Of one dense forward of all its users."""
    memory: int
    """Resident bytes afterwards."""

    @property
    def limit(self) -> float:
        """Seconds that its forwards alone would take."""
        return self.forwards / self.users * self.dense_seconds


def inference_speed(
    config: RunConfig, dataset: Artifact, item_vectors: Artifact, denoiser: Artifact, users: int = 0
) -> Json:
    """Infer for users at the last snapshot, and time it.

    Args:
        config: sections `behavior`, `threads`, `device`.
        dataset, item_vectors, denoiser: artifacts that belong together.
        users: how many, spread over all lengths of history; 0 takes all that have enough events.

    Returns:
        JSON: rows `all users` and `full histories` (those of the longest chunk) with users/s, the limit, and the share
        of it; seconds, and resident memory after the first tenth of the chunks and after the last.

    Raises:
        EvaluationError: no user has enough events before the snapshot.
    """
    (data, vectors), behavior = open_catalogue(dataset, item_vectors), config.behavior
    log, snapshot = data.visible_log(), snapshot_plan(config, data).snapshots[-1]
    with deterministic_torch(config.threads, config.seed):
        rules = rules_of(behavior, log.before(int(denoiser.facts["cut"])), vectors, data.category_index)
        inferrer = open_inferrer(folder_at(denoiser, snapshot), config, data, vectors, rules, "timed")
        log = log.with_actions(inferrer.sampler.model.config.action_names)
        view = View.at(0, snapshot, log, vectors, data.category_index)
        chunks = inferrer.chunks(view, np.arange(len(log.user_ids)))
        if users and chunks:
            every = max(1, round(sum(map(len, chunks)) / users))
            chunks = chunks[::-1][::every][::-1]  # the longest histories are among them
        if not chunks:
            raise EvaluationError(
                f"no user of {dataset.path} has {behavior.min_events} events before the last snapshot: there "
                "is nothing to infer, and so nothing to time."
            )
        shortlists = inferrer.shortlists(view)
        _timed(inferrer, view, shortlists, chunks[0])  # warms up
        done = [
            _timed(inferrer, view, shortlists, chunk)
            for chunk in progress.track(chunks, "timing inference", total=len(chunks))
        ]
    last = _row(done[-1:])
    return {
        "speed": {"all users": _row(done), "full histories": last | {"slots": done[-1].slots}},
        "users": sum(each.users for each in done),
        "seconds": round(sum(each.seconds for each in done), 1),
        "batch": behavior.infer_batch,
        "threads": config.threads,
        "items in the catalogue": len(view.catalogue.items),
        "resident MiB after a tenth of the chunks": round(done[len(done) // 10].memory / _MIB),
        "resident MiB after the last chunk": round(done[-1].memory / _MIB),
    }


def _timed(inferrer: Inferrer, view: View, shortlists: Shortlists, chunk: np.ndarray) -> _Chunk:
    model = inferrer.sampler.model
    before = inferrer.sampler.dense_forwards
    seconds = _seconds(lambda: inferrer.infer(view, chunk, shortlists))
    batch = inferrer.inserted(view, chunk).batch.to(model.device)
    with torch.no_grad():
        dense = _seconds(lambda: model(batch))
    return _Chunk(
        users=len(chunk),
        slots=batch.codes.shape[1],
        seconds=seconds,
        forwards=inferrer.sampler.dense_forwards - before,
        dense_seconds=dense,
        memory=psutil.Process().memory_info().rss,
    )


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - started


def _row(chunks: list[_Chunk]) -> Json:
    users, seconds, limit = (sum(getattr(each, name) for each in chunks) for name in ("users", "seconds", "limit"))
    return {
        "users/s": round(users / seconds, 1),
        "limit, users/s": round(users / limit, 1),
        "share of the limit": round(limit / seconds, 4),
        "dense forwards a user": round(sum(each.forwards for each in chunks) / users, 3),
    }
