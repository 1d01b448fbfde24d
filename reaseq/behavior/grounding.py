"""Grounding: from what a slot's codes and latent say to items that exist.

An item's score in a slot is its posterior: the softmax over the catalogue of cos(ẑ, z)/τ plus the logarithm of the
item's share of events. Without that prior the cosines would have to say what is popular, which z, made of texts, does
not hold. Free generation invents items that no catalogue has; here the most probable items, and one that has just the
slot's codes, are the only candidates. What the codes' own probabilities were is not asked.

A share of the items is kept for categories that the visible log lacks. Of a life elsewhere the log says least, so these
rarely come first by themselves; `masking` teaches the denoiser to fill in a category that is missing altogether.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from reaseq.behavior.catalogue import Catalogue
from reaseq.behavior.shortlists import Shortlists

LEAST_CONFIDENCE = 1e-6
CHOSEN_AT_ONCE = 32
"""Users whose candidates are compared with one another at once: as many as a CPU's caches hold."""


@dataclass(frozen=True)
class Floors:
    """Least cosine between an inferred item and the mean z of the user's behaviours: for items of a category that the
    log holds, and for those of another, which lie further off."""

    held: float
    lacking: float


@dataclass(frozen=True)
class Rules:
    """How a user's items are chosen out of the candidates."""

    inferred: int
    mmr_lambda: float
    floors: Floors
    new_categories: int = 0
    """Least number of items from categories that the log lacks, as far as there are any."""


@dataclass(frozen=True)
class Grounded:
    """B users × M: items int64 (0 = none), slot int64, confidence float32 (the posterior of the item in its slot), best
    first."""

    items: Tensor
    slot: Tensor
    confidence: Tensor


def ground(latent: Tensor, codes: Tensor, history: Tensor, shortlists: Shortlists, rules: Rules) -> Grounded:
    """Choose up to M items for each of B users, at most one per slot, none of them in the history.

    Args:
        latent: ẑ [B, S, 128]; codes: int64 [B, S, L], what the sampler decided for.
        history: item indices int64 [B, N], 0 = none; everything in the user's log before the snapshot.
        shortlists: of the catalogue.
    """
    catalogue = shortlists.catalogue
    known = catalogue.position(history)
    exact, held = _with_codes(codes, catalogue), held_categories(known, catalogue)
    candidates = _candidates(latent, exact, _once(known, catalogue), held, shortlists, rules)
    blocks = torch.arange(len(codes)).split(CHOSEN_AT_ONCE)
    parts = [_choose(Candidates(*(part[at] for part in candidates)), known[at], catalogue, rules) for at in blocks]
    return Grounded(*(torch.cat([getattr(part, name) for part in parts]) for name in ("items", "slot", "confidence")))


class Candidates(NamedTuple):
    """N items for each slot of B users, [B, S, N]: positions in the catalogue int64; log-posteriors float32, -inf where
    there is none; whether its category is one that the log lacks."""

    items: Tensor
    score: Tensor
    new: Tensor


def _candidates(
    latent: Tensor, exact: Tensor, known: Tensor, held: Tensor, shortlists: Shortlists, rules: Rules
) -> Candidates:
    """Per slot the most probable items, the most probable of categories that the log lacks, and the one that has the
    slot's very codes: `exact` int64 [B, S], C where there is none."""
    catalogue = shortlists.catalogue
    items, score, total = shortlists.of(latent, known, held, fresh=rules.new_categories > 0)
    there = exact.clamp(max=len(catalogue.items) - 1)
    listed = ((items == there[..., None]) & (score > -torch.inf)).any(-1)
    able = (exact < len(catalogue.items)) & ~listed & ~(known[:, None] == there[..., None]).any(-1)
    of_exact = shortlists.posterior.logits(latent, catalogue, there[..., None]) - total
    items = torch.cat([items, there[..., None]], -1)
    score = torch.cat([score, of_exact.masked_fill(~able[..., None], -torch.inf)], -1)
    return Candidates(items, score, ~held[torch.arange(len(items))[:, None, None], catalogue.category[items]])


def _choose(candidates: Candidates, known: Tensor, catalogue: Catalogue, rules: Rules) -> Grounded:
    """One item after the other, by posterior and by what it adds to those chosen already (MMR: Carbonell & Goldstein,
    SIGIR 1998)."""
    items, score, new = candidates
    users, slots, number = items.shape
    confidence = score.exp().clamp(LEAST_CONFIDENCE, 1.0).flatten(1)
    different, which = _different(items.masked_fill(score == -torch.inf, len(catalogue.items)).flatten(1))
    vectors = torch.cat([catalogue.z, catalogue.z.new_zeros(1, catalogue.z.shape[1])])
    z = vectors[different]  # [B, U, 128]
    likenesses = z @ z.mT  # [B, U, U]
    mean = F.normalize(vectors[known].sum(1), dim=-1)
    floor = torch.where(new, rules.floors.lacking, rules.floors.held).flatten(1)
    score, new = score.flatten(1), new.flatten(1)
    allowed = (score > -torch.inf) & ((z @ mean[..., None])[..., 0].gather(1, which) >= floor)

    rows = torch.arange(users)
    slot = torch.arange(slots).repeat_interleave(number)
    least = score.masked_fill(~allowed, torch.inf).amin(1, keepdim=True)
    most = score.masked_fill(~allowed, -torch.inf).amax(1, keepdim=True)
    relevance = (score - least) / (most - least).clamp(min=1e-6)  # 0…1, like the cosines it is traded against
    likeness = torch.zeros_like(likenesses[:, 0])
    chosen, places, strength = [], [], []
    for step in range(rules.inferred):
        value: Tensor = rules.mmr_lambda * relevance - (1 - rules.mmr_lambda) * likeness.gather(1, which)
        pool = allowed
        if step < rules.new_categories:
            fresh = allowed & new
            pool = torch.where(fresh.any(1, keepdim=True), fresh, allowed)
        flat = value.masked_fill(~pool, -torch.inf)
        top = flat.argmax(1)
        there = flat[rows, top] > -torch.inf
        item = which[rows, top]
        chosen.append(torch.where(there, catalogue.items[items.flatten(1)[rows, top]], 0))
        places.append(slot[top])
        strength.append(torch.where(there, confidence[rows, top], 0.0))
        similar = likenesses[rows, item]
        likeness = similar if step == 0 else torch.maximum(likeness, similar)
        allowed = allowed & (which != item[:, None]) & (slot != slot[top][:, None])
    picked, where, sure = torch.stack(chosen, 1), torch.stack(places, 1), torch.stack(strength, 1)
    order = sure.argsort(dim=1, descending=True, stable=True)
    return Grounded(picked.gather(1, order), where.gather(1, order), sure.gather(1, order))


def _different(values: Tensor) -> tuple[Tensor, Tensor]:
    """The different values of each row of int64 [B, N], ascending, [B, U], shorter rows filled up with their largest;
    and int64 [B, N], which of them each value is. Slots of a user ask for much the same items."""
    ordered, order = values.sort(1)
    rank = torch.zeros_like(ordered)
    rank[:, 1:] = (ordered[:, 1:] != ordered[:, :-1]).cumsum(1)
    different = ordered[:, -1:].repeat(1, int(rank.max()) + 1).scatter_(1, rank, ordered)
    return different, torch.empty_like(rank).scatter_(1, order, rank)


def _once(known: Tensor, catalogue: Catalogue) -> Tensor:
    """Positions [B, N] with C in place of all repetitions, in any order."""
    ordered = known.sort(1).values
    ordered[:, 1:] = ordered[:, 1:].masked_fill(ordered[:, 1:] == ordered[:, :-1], len(catalogue.items))
    return ordered


def held_categories(known: Tensor, catalogue: Catalogue) -> Tensor:
    """[B, categories], those that a behaviour has; `known` positions [B, N], C for none. Items without a category are
    of none that lacks: 0 is always held."""
    category = torch.cat([catalogue.category, catalogue.category.new_zeros(1)])
    held = torch.zeros(len(known), int(category.max()) + 1, dtype=torch.bool, device=known.device)
    held.scatter_(1, category[known], True)
    held[:, 0] = True
    return held


def _with_codes(codes: Tensor, catalogue: Catalogue) -> Tensor:
    """Position of the first item with exactly these codes [..., L]; C where there is none."""
    key, wanted = _numbered(catalogue.codes, codes)
    ordered, order = key.sort(stable=True)
    place = torch.searchsorted(ordered, wanted).clamp(max=len(key) - 1)
    return torch.where(ordered[place] == wanted, order[place], len(key))


def _numbered(known: Tensor, asked: Tensor) -> tuple[Tensor, Tensor]:
    """A number int64 for each tuple of codes, of `known` [C, L] and `asked` [..., L], equal where all codes are."""
    size, levels = 1 + max(int(known.max()), int(asked.max())), asked.shape[-1]
    if size**levels > 1 << 63:  # sorting tuples takes forty times as long as this sum
        number = torch.unique(torch.cat([known, asked.flatten(0, -2)]), dim=0, return_inverse=True)[1]
        return number[: len(known)], number[len(known) :].view(asked.shape[:-1])
    base = torch.tensor(size, device=asked.device) ** torch.arange(levels, device=asked.device)
    return (known * base).sum(-1), (asked * base).sum(-1)


def consistency_floors(
    items: np.ndarray, offsets: np.ndarray, z: np.ndarray, category: np.ndarray, percentile: float
) -> Floors:
    """Percentile of cos(mean z of a user's earlier behaviours, z of the next one) over the real pairs of a log, apart
    for next ones of a category that the earlier ones lack; -1 where there is no pair."""
    vectors = z[items].astype(np.float64)
    cumulated = np.concatenate([np.zeros((1, z.shape[1])), vectors.cumsum(0)])
    index = np.arange(len(items))
    user = np.searchsorted(offsets, index, side="right") - 1
    start = offsets[user]
    key = user * (int(category.max(initial=0)) + 1) + category[items]
    first = np.zeros(len(items), bool)
    first[np.unique(key, return_index=True)[1]] = True
    new = first & (category[items] > 0)
    has = index > start
    earlier = cumulated[index] - cumulated[start]
    cosine = (earlier * vectors).sum(1) / np.maximum(np.linalg.norm(earlier, axis=1), 1e-12)

    def floor(pairs: np.ndarray) -> float:
        return float(np.percentile(cosine[pairs], percentile)) if pairs.any() else -1.0

    return Floors(floor(has & ~new), floor(has & new))
