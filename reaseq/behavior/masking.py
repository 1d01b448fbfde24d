"""The three maskings of training, and how much each masked code weighs.

Each is an unbiased estimate of the mean cross-entropy over the codes it may mask, as in LLaDA's bound (arXiv
2502.09992): a code masked with probability p_k weighs 1/p_k/|x|, |x| being the number of codes that the masking may
touch. p_k is floored, so categories that make up less than the floor of a history weigh less than that.

- code level: m ~ U{0…L} codes of each slot; p = m/L.
- behaviour level: whole slots, either a share ρ ~ U(.1, .5) at random or one whole category, p = share of slots masked.
  The category is that of a slot drawn at random, so its probability is its share, which makes 1/p right.
- suffix: the last n ~ U{1…longest} slots; the slot of rank r is masked with p = P(n > r).
"""

from dataclasses import dataclass

import numpy as np

CODE, BEHAVIOR, SUFFIX = 0, 1, 2
SHARES = (0.1, 0.5)

Drawn = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Masked slots (or codes), their probability, and the number of slots that could have been: [B, S], [B, S], [B]."""


@dataclass(frozen=True)
class Masking:
    """masked bool [B, S, L]; weight float32 [B, S, L], 0 where not masked; visible bool [B, S]: slots shown."""

    masked: np.ndarray
    weight: np.ndarray
    visible: np.ndarray


def draw_masking(
    present: np.ndarray,
    category: np.ndarray,
    levels: int,
    rng: np.random.Generator,
    *,
    floor: float,
    history_drop: float,
    longest_suffix: int,
    kinds: tuple[int, ...] = (CODE, BEHAVIOR, SUFFIX),
) -> Masking:
    """Draw a masking for each sample.

    Args:
        present: bool [B, S], slots that exist; each row has at least one, at its start.
        category: int [B, S], top category of each slot's item.
        levels: L.
        floor: least probability that a weight divides by.
        history_drop: share of samples of which only the masked slots stay visible (the unconditional branch).
        longest_suffix: most slots of a suffix.
        kinds: the maskings to choose from, with equal probability.
    """
    count = present.sum(1)
    kind = rng.choice(np.array(kinds), size=len(present))
    masked: np.ndarray
    masked, probability, touchable = _code_level(present, levels, rng)
    for which, drawn in (
        (BEHAVIOR, _behavior_level(present, category, rng)),
        (SUFFIX, _suffix(present, longest_suffix, rng)),
    ):
        rows = (kind == which) & (count > 1)  # a lone behaviour is never taken away whole
        slots, slot_probability, slot_count = drawn
        masked = np.where(rows[:, None, None], slots[:, :, None], masked)
        probability = np.where(rows[:, None, None], slot_probability[:, :, None], probability)
        touchable = np.where(rows, slot_count, touchable)
    weight = masked / np.maximum(probability, floor) / (touchable * levels)[:, None, None]
    targets: np.ndarray = np.any(masked, axis=2)
    alone = (rng.random(len(present)) < history_drop) & np.any(targets, axis=1)
    return Masking(masked, weight.astype(np.float32), np.where(alone[:, None], targets, present))


def _code_level(present: np.ndarray, levels: int, rng: np.random.Generator) -> Drawn:
    size = rng.integers(0, levels + 1, size=present.shape)
    order = rng.random((*present.shape, levels)).argsort(2).argsort(2)
    masked = (order < size[:, :, None]) & present[:, :, None]
    probability = np.broadcast_to((size / levels)[:, :, None], masked.shape)
    return masked, probability, present.sum(1)


def _behavior_level(present: np.ndarray, category: np.ndarray, rng: np.random.Generator) -> Drawn:
    count = present.sum(1)
    share = rng.uniform(*SHARES, size=len(present))
    size = np.clip(np.rint(share * count), 1, np.maximum(count - 1, 1)).astype(np.int64)
    order = np.where(present, rng.random(present.shape), np.inf).argsort(1).argsort(1)
    slots = (order < size[:, None]) & present

    chosen = np.take_along_axis(category, (rng.random(len(present)) * count).astype(np.int64)[:, None], 1)
    domain = (category == chosen) & present
    by_domain = (rng.random(len(present)) < 0.5) & (domain.sum(1) < count)  # from the others
    slots = np.where(by_domain[:, None], domain, slots)
    return slots, np.broadcast_to((slots.sum(1) / count)[:, None], present.shape), count


def _suffix(present: np.ndarray, longest_suffix: int, rng: np.random.Generator) -> Drawn:
    count = present.sum(1)
    longest = np.clip(count - 1, 1, longest_suffix)
    size = 1 + (rng.random(len(present)) * longest).astype(np.int64)
    rank = count[:, None] - 1 - np.arange(present.shape[1])
    slots = (rank < size[:, None]) & present
    return slots, np.clip((longest[:, None] - rank) / longest[:, None], 0.0, 1.0), longest
