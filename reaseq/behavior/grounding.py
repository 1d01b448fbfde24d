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

from reaseq.behavior.denoiser import ReaSeqDenoiser

SHORTLIST = 32
"""Most probable items of a slot that are candidates; as many again of categories that the log lacks."""
LEAST_CONFIDENCE = 1e-6
MOST_SIMILARITIES = {"cpu": 1 << 20, "cuda": 1 << 25}
"""Cosines held at once: on a CPU as many as its caches hold, since each is looked at several times."""


@dataclass(frozen=True)
class Catalogue:
    """Items that may be inferred, in ascending order of their index.

    items int64 [C]; z float32 [C, 128], unit length; codes int64 [C, L]; category int64 [C], 0 for none; log_prior
    float32 [C], logarithm of the item's share of events; novelty float32 [C] in (0, 1].
    """

    items: Tensor
    z: Tensor
    codes: Tensor
    category: Tensor
    log_prior: Tensor
    novelty: Tensor

    @classmethod
    def known_before(cls, items: np.ndarray, z: np.ndarray, codes: np.ndarray, category: np.ndarray) -> "Catalogue":
        """The items that occur in a log (`items` int [E], of events before the snapshot); `z`, `codes` and `category`
        are of all items, [V+1, …].

        Novelty is self-information relative to that of an item seen once (Zhou et al., PNAS 2010), (0, 1].
        """
        seen, count = np.unique(items, return_counts=True)
        total = max(int(count.sum()), 2)
        novelty = np.log2(total / count) / np.log2(total)
        return cls(
            items=torch.from_numpy(seen.astype(np.int64)),
            z=torch.from_numpy(np.ascontiguousarray(z[seen])),
            codes=torch.from_numpy(np.ascontiguousarray(codes[seen])),
            category=torch.from_numpy(category[seen].astype(np.int64)),
            log_prior=torch.from_numpy(np.log(count / total).astype(np.float32)),
            novelty=torch.from_numpy(np.maximum(novelty, 1e-3).astype(np.float32)),
        )

    def position(self, items: Tensor) -> Tensor:
        """Position of item indices in the catalogue; C where it does not have them."""
        if len(self.items) == 0:
            return torch.zeros_like(items)
        place = torch.searchsorted(self.items, items).clamp(max=len(self.items) - 1)
        return torch.where(self.items[place] == items, place, len(self.items))

    def to(self, device: torch.device | str) -> "Catalogue":
        return Catalogue(**{name: tensor.to(device) for name, tensor in vars(self).items()})


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


def score_catalogue(latent: Tensor, catalogue: Catalogue, scale: float | Tensor) -> Tensor:
    """Log-posterior [n, C] of every item in n slots, as it was learned; latent [n, 128]."""
    return F.log_softmax(scale * latent @ catalogue.z.T + catalogue.log_prior, -1)


@dataclass(frozen=True)
class Posterior:
    """How a model's ẑ become the log-posteriors that confidence is told by: those of `score_catalogue`, whose logits
    are divided by the temperature that `calibration` chose."""

    scale: float
    temperature: float = 1.0

    @classmethod
    def of(cls, model: ReaSeqDenoiser) -> "Posterior":
        return cls(model.latent_scale.item(), model.config.posterior_temperature)


def ground(
    latent: Tensor, codes: Tensor, history: Tensor, catalogue: Catalogue, posterior: Posterior, rules: Rules
) -> Grounded:
    """Choose up to M items for each of B users, at most one per slot, none of them in the history.

    Args:
        latent: ẑ [B, S, 128]; codes: int64 [B, S, L], what the sampler decided for.
        history: item indices int64 [B, N], 0 = none; everything in the user's log before the snapshot.
    """
    known = catalogue.position(history)
    exact = _with_codes(codes, catalogue)
    most = MOST_SIMILARITIES[latent.device.type]
    blocks = torch.arange(len(codes)).split(max(1, most // max(1, codes.shape[1] * len(catalogue.items))))
    parts = [_candidates(latent[at], exact[at], known[at], catalogue, posterior, rules) for at in blocks]
    return _choose(Candidates(*(torch.cat(column) for column in zip(*parts, strict=True))), known, catalogue, rules)


class Candidates(NamedTuple):
    """N items for each slot of B users, [B, S, N]: positions in the catalogue int64; log-posteriors float32, -inf where
    an item is in the history or listed twice; whether its category is one that the log lacks."""

    items: Tensor
    score: Tensor
    new: Tensor


def _candidates(
    latent: Tensor, exact: Tensor, known: Tensor, catalogue: Catalogue, posterior: Posterior, rules: Rules
) -> Candidates:
    """Per slot the most probable items, the most probable of categories that the log lacks, and the one that has the
    slot's very codes: `exact` int64 [B, S], C where there is none. `known` int64 [B, N]: positions of the history."""
    size = len(catalogue.items)
    cooled = 1 / posterior.temperature
    flat = torch.addmm(
        cooled * catalogue.log_prior, latent.flatten(0, 1), catalogue.z.T, alpha=posterior.scale * cooled
    )
    total = flat.logsumexp(-1).view(*latent.shape[:2], 1)
    logits = flat.view(*latent.shape[:2], size)
    row, place = torch.nonzero(known < size, as_tuple=True)
    logits[row, :, known[row, place]] = -torch.inf
    best, items = logits.topk(min(SHORTLIST, size), dim=-1)
    lists = [(items, best)]
    there = exact.clamp(max=size - 1)[..., None]
    of_exact = logits.gather(2, there)
    lacking = _lacking(known, catalogue)  # [B, C]
    if rules.new_categories:
        best, fresh = logits.masked_fill_(~lacking[:, None], -torch.inf).topk(min(SHORTLIST, size), dim=-1)
        again = (fresh[..., None] == items[:, :, None]).any(-1)
        lists.append((fresh, best.masked_fill(again, -torch.inf)))
    listed = torch.cat([items for items, _ in lists], -1)
    found = (exact[..., None] < size) & ~(listed == there).any(-1, keepdim=True)
    items = torch.cat([listed, there], -1)
    score = torch.cat([*(scores for _, scores in lists), of_exact.masked_fill(~found, -torch.inf)], -1)
    return Candidates(items, score - total, lacking[torch.arange(len(items))[:, None, None], items])


def _choose(candidates: Candidates, known: Tensor, catalogue: Catalogue, rules: Rules) -> Grounded:
    """One item after the other, by posterior and by what it adds to those chosen already (MMR: Carbonell & Goldstein,
    SIGIR 1998)."""
    items, score, new = candidates
    confidence = score.exp().clamp(LEAST_CONFIDENCE, 1.0)
    allowed = score > -torch.inf
    rows = torch.arange(len(items))
    z = catalogue.z[items]  # [B, S, N, 128]
    behaviours = torch.cat([catalogue.z, catalogue.z.new_zeros(1, catalogue.z.shape[1])])[known]
    mean = F.normalize(behaviours.sum(1), dim=-1)
    floor = torch.where(new, rules.floors.lacking, rules.floors.held)
    allowed &= torch.einsum("bsnd,bd->bsn", z, mean) >= floor

    least = score.masked_fill(~allowed, torch.inf).flatten(1).amin(1)[:, None, None]
    most = score.masked_fill(~allowed, -torch.inf).flatten(1).amax(1)[:, None, None]
    relevance = (score - least) / (most - least).clamp(min=1e-6)  # 0…1, like the cosines it is traded against
    likeness = torch.zeros_like(relevance)
    chosen, places, strength = [], [], []
    for step in range(rules.inferred):
        value: Tensor = rules.mmr_lambda * relevance - (1 - rules.mmr_lambda) * likeness
        pool = allowed
        if step < rules.new_categories:
            fresh = allowed & new
            pool = torch.where(fresh.flatten(1).any(1)[:, None, None], fresh, allowed)
        flat = value.masked_fill(~pool, -torch.inf).flatten(1)
        top = flat.argmax(1)
        there = flat[rows, top] > -torch.inf
        slot, number = top // items.shape[2], top % items.shape[2]
        item = items[rows, slot, number]
        chosen.append(torch.where(there, catalogue.items[item], 0))
        places.append(slot)
        strength.append(torch.where(there, confidence[rows, slot, number], 0.0))
        similar = torch.einsum("bsnd,bd->bsn", z, catalogue.z[item])
        likeness = similar if step == 0 else torch.maximum(likeness, similar)
        allowed = allowed & (items != item[:, None, None])
        allowed[rows, slot] = False
    picked, where, sure = torch.stack(chosen, 1), torch.stack(places, 1), torch.stack(strength, 1)
    order = sure.argsort(dim=1, descending=True, stable=True)
    return Grounded(picked.gather(1, order), where.gather(1, order), sure.gather(1, order))


def _lacking(known: Tensor, catalogue: Catalogue) -> Tensor:
    """[B, C] items of a category that no behaviour has; `known` positions [B, N], C for none. Items without a category
    are of none that lacks."""
    category = torch.cat([catalogue.category, catalogue.category.new_zeros(1)])
    held = torch.zeros(len(known), int(category.max()) + 1, dtype=torch.bool, device=known.device)
    held.scatter_(1, category[known], True)
    held[:, 0] = True
    return ~held[:, catalogue.category]


def _with_codes(codes: Tensor, catalogue: Catalogue) -> Tensor:
    """Position of the first item with exactly these codes [..., L]; C where there is none. K^L must fit 63 bits."""
    size = 1 + max(int(codes.max()), int(catalogue.codes.max()))
    base = torch.tensor(size, device=codes.device) ** torch.arange(codes.shape[-1], device=codes.device)
    key, wanted = (catalogue.codes * base).sum(-1), (codes * base).sum(-1)
    ordered, order = key.sort(stable=True)
    place = torch.searchsorted(ordered, wanted).clamp(max=len(key) - 1)
    return torch.where(ordered[place] == wanted, order[place], len(key))


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
