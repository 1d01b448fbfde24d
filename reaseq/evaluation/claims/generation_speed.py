"""How long a way of generating behaviours takes: the latency of one user, and the throughput of a full batch."""

import statistics
import time

import numpy as np

from reaseq.behavior.inference import noise_keys
from reaseq.behavior.sampler import BehaviorSampler
from reaseq.behavior.slots import gather_sequences, insert_masks
from reaseq.config import BehaviorConfig, RunConfig
from reaseq.data.dataset import EventLog
from reaseq.determinism import deterministic_torch
from reaseq.evaluation.claims.generation import Generation
from reaseq.evaluation.claims.hiding import Hidden, Ints
from reaseq.representation.vectors import ItemVectors

ALONE, MANY = 1, 256
"""Users of one call, for the latency and for the throughput."""
_REPEATS = 3


def speed(way: Generation, config: RunConfig, vectors: ItemVectors, hidden: Hidden, seed: int) -> dict[str, float]:
    """What a call computes and how long sampling alone takes, without grounding: median of three calls after one to
    warm up.

    Args:
        config: sections `behavior`, `threads`, `device`.
        vectors: for the codes of what users did.
        hidden: whose users are asked for; they are repeated where they are fewer than a batch.
        seed: of the noise.
    """
    behavior = config.behavior
    with deterministic_torch(config.threads, seed):
        sampler = way.sampler(behavior, config.device, seed)
        log = hidden.log.with_actions(sampler.model.config.action_names)
        seconds = {size: _seconds(sampler, behavior, vectors, log, hidden.user, size) for size in (ALONE, MANY)}
    return {
        "sequential steps": sampler.sequential,
        "dense forwards a user": round(sampler.dense_forwards / ((1 + _REPEATS) * (ALONE + MANY)), 3),
        "ms a user, batch of 1": round(1000 * seconds[ALONE], 2),
        "users/s, batch of 256": round(MANY / seconds[MANY], 1),
    }


def _seconds(
    sampler: BehaviorSampler, config: BehaviorConfig, vectors: ItemVectors, log: EventLog, users: Ints, size: int
) -> float:
    taken = []
    for repeat in range(1 + _REPEATS):
        chosen = np.resize(np.roll(users, -repeat * size), size)
        ends = log.offsets[chosen + 1]
        recent = gather_sequences(log, np.maximum(log.offsets[chosen], ends - config.max_slots), ends)
        slots = config.inferred + config.spare_slots
        inserted = insert_masks(recent, vectors.codes, sampler.model.config.mask_code, slots, sampler.inside)
        started = time.perf_counter()
        sampler.sample(inserted, noise_keys(log.user_ids[chosen], 0))
        taken.append(time.perf_counter() - started)
    return statistics.median(taken[1:])
