"""Grounding: from what a slot's codes and latent say to items that exist.

An item's score in a slot is the geometric mean of two distributions over items: the product of its codes'
probabilities, and the softmax of cosines between ẑ and z. Free generation invents items that no catalogue has; here the
nearest items to ẑ, and one that has just the slot's codes, are the only candidates.
"""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

SHORTLIST = 32
"""Nearest items to a slot's ẑ that are scored."""
LEAST_CONFIDENCE = 1e-6
MOST_SIMILARITIES = 1 << 25
"""Cosines held in memory at once; users beyond that are grounded in turn."""


@dataclass(frozen=True)
class Catalogue:
    """Items that may be inferred, in ascending order of their index.

    items int64 [C]; z float32 [C, 128], unit length; codes int64 [C, L]; novelty float32 [C] in (0, 1].
    """

    items: Tensor
    z: Tensor
    codes: Tensor
    novelty: Tensor

    @classmethod
    def known_before(cls, items: np.ndarray, z: np.ndarray, codes: np.ndarray) -> "Catalogue":
        """The items that occur in a log (`items` int [E], of events before the snapshot).

        Novelty is self-information relative to that of an item seen once (Zhou et al., PNAS 2010), (0, 1].
        """
        seen, count = np.unique(items, return_counts=True)
        total = max(int(count.sum()), 2)
        novelty = np.log2(total / count) / np.log2(total)
        return cls(
            items=torch.from_numpy(seen.astype(np.int64)),
            z=torch.from_numpy(np.ascontiguousarray(z[seen])),
            codes=torch.from_numpy(np.ascontiguousarray(codes[seen])),
            novelty=torch.from_numpy(np.maximum(novelty, 1e-3).astype(np.float32)),
        )

    def position(self, items: Tensor) -> Tensor:
        """Position of item indices in the catalogue; C where it does not have them."""
        if len(self.items) == 0:
            return torch.zeros_like(items)
        place = torch.searchsorted(self.items, items).clamp(max=len(self.items) - 1)
        return torch.where(self.items[place] == items, place, len(self.items))

    def to(self, device: torch.device | str) -> "Catalogue":
        return Catalogue(*(t.to(device) for t in (self.items, self.z, self.codes, self.novelty)))


@dataclass(frozen=True)
class Rules:
    """How a user's items are chosen out of the candidates."""

    inferred: int
    mmr_lambda: float
    consistency_floor: float
    """Least cosine between an item and the mean z of the user's behaviours."""


@dataclass(frozen=True)
class Grounded:
    """B users × M: items int64 (0 = none), slot int64, confidence float32, best first."""

    items: Tensor
    slot: Tensor
    confidence: Tensor


def score_catalogue(latent: Tensor, log_probs: Tensor, catalogue: Catalogue, scale: float) -> Tensor:
    """Log-score [n, C] of every item in n slots; latent [n, 128], log_probs [n, L, K]."""
    near = F.log_softmax(scale * latent @ catalogue.z.T, -1)
    code = torch.zeros_like(near)
    for level in range(log_probs.shape[1]):
        code += log_probs[:, level, catalogue.codes[:, level]]
    return (near + code) / 2


def ground(
    latent: Tensor, log_probs: Tensor, codes: Tensor, history: Tensor, catalogue: Catalogue, scale: float, rules: Rules
) -> Grounded:
    """Choose up to M items for each of B users, at most one per slot, none of them in the history.

    Args:
        latent: ẑ [B, S, 128]; log_probs: [B, S, L, K]; codes: int64 [B, S, L], what the sampler decided for.
        history: item indices int64 [B, N], 0 = none; everything in the user's log before the snapshot.
    """
    block = max(1, MOST_SIMILARITIES // max(1, codes.shape[1] * len(catalogue.items)))
    parts = [
        _ground(latent[at], log_probs[at], codes[at], history[at], catalogue, scale, rules)
        for at in (slice(low, low + block) for low in range(0, len(codes), block))
    ]
    return Grounded(*(torch.cat(column) for column in zip(*parts, strict=True)))


def _ground(
    latent: Tensor, log_probs: Tensor, codes: Tensor, history: Tensor, catalogue: Catalogue, scale: float, rules: Rules
) -> tuple[Tensor, Tensor, Tensor]:
    users, _, levels = codes.shape
    items, score = _candidates(latent, log_probs, codes, history, catalogue, scale)  # [B, S, N]
    confidence = (score / levels).exp().clamp(LEAST_CONFIDENCE, 1.0)
    allowed = score > -torch.inf
    z = catalogue.z[items]  # [B, S, N, 128]
    known = catalogue.position(history)
    behaviours = torch.cat([catalogue.z, catalogue.z.new_zeros(1, catalogue.z.shape[1])])[known]
    mean = F.normalize(behaviours.sum(1), dim=-1)
    allowed &= torch.einsum("bsnd,bd->bsn", z, mean) >= rules.consistency_floor

    worth = (confidence * catalogue.novelty[items]).log()
    least = worth.masked_fill(~allowed, torch.inf).flatten(1).amin(1)[:, None, None]
    most = worth.masked_fill(~allowed, -torch.inf).flatten(1).amax(1)[:, None, None]
    relevance = (worth - least) / (most - least).clamp(min=1e-6)  # 0…1, like the cosines it is traded against
    likeness = torch.zeros_like(relevance)
    rows = torch.arange(users)
    chosen, places, strength = [], [], []
    for step in range(rules.inferred):
        value: Tensor = rules.mmr_lambda * relevance - (1 - rules.mmr_lambda) * likeness
        flat = value.masked_fill(~allowed, -torch.inf).flatten(1)
        top = flat.argmax(1)
        there = flat[rows, top] > -torch.inf
        slot, number = top // items.shape[2], top % items.shape[2]
        item = items[rows, slot, number]
        chosen.append(torch.where(there, catalogue.items[item], 0))
        places.append(slot)
        strength.append(torch.where(there, confidence[rows, slot, number], 0.0))
        similar = torch.einsum("bsnd,bd->bsn", z, catalogue.z[item])
        likeness = similar if step == 0 else torch.maximum(likeness, similar)
        allowed &= items != item[:, None, None]
        allowed[rows, slot] = False
    picked, where, sure = torch.stack(chosen, 1), torch.stack(places, 1), torch.stack(strength, 1)
    order = sure.argsort(dim=1, descending=True, stable=True)
    return picked.gather(1, order), where.gather(1, order), sure.gather(1, order)


def _candidates(
    latent: Tensor, log_probs: Tensor, codes: Tensor, history: Tensor, catalogue: Catalogue, scale: float
) -> tuple[Tensor, Tensor]:
    """Per slot the nearest items and one that has the slot's very codes: positions in the catalogue and log-scores,
    -inf where the item is in the history (or is listed twice)."""
    users, slots, levels = codes.shape
    size = len(catalogue.items)
    near = scale * latent.reshape(users * slots, -1) @ catalogue.z.T  # [B·S, C]
    total = near.logsumexp(1).view(users, slots, 1)
    known = catalogue.position(history)
    logged = torch.zeros(users, size + 1, dtype=torch.bool, device=near.device)
    logged.scatter_(1, known, True)
    logged = logged[:, :size]
    near = near.view(users, slots, size).masked_fill(logged[:, None], -torch.inf)
    nearest, items = near.topk(min(SHORTLIST, size), dim=-1)
    exact = _with_codes(codes, catalogue, log_probs.shape[-1])  # [B, S], C where no item has these codes
    exact_ok = (exact < size) & ~(items == exact[..., None]).any(-1)
    exact = exact.clamp(max=size - 1)
    exact_near = near.gather(2, exact[..., None]).masked_fill(~exact_ok[..., None], -torch.inf)
    items, nearest = torch.cat([items, exact[..., None]], -1), torch.cat([nearest, exact_near], -1)

    code = torch.zeros_like(nearest)
    for level in range(levels):
        code += log_probs[:, :, level].gather(2, catalogue.codes[:, level][items])
    return items, (nearest - total + code) / 2


def _with_codes(codes: Tensor, catalogue: Catalogue, size: int) -> Tensor:
    """Position of the first item with exactly these codes [..., L]; C where there is none. K^L must fit 63 bits."""
    base = torch.tensor(size, device=codes.device) ** torch.arange(codes.shape[-1], device=codes.device)
    key, wanted = (catalogue.codes * base).sum(-1), (codes * base).sum(-1)
    ordered, order = key.sort(stable=True)
    place = torch.searchsorted(ordered, wanted).clamp(max=len(key) - 1)
    return torch.where(ordered[place] == wanted, order[place], len(key))


def consistency_floor(items: np.ndarray, offsets: np.ndarray, z: np.ndarray, percentile: float) -> float:
    """Percentile of cos(mean z of a user's earlier behaviours, z of the next one) over the real pairs of a log; -1
    where there is no pair."""
    vectors = z[items].astype(np.float64)
    cumulated = np.concatenate([np.zeros((1, z.shape[1])), vectors.cumsum(0)])
    index = np.arange(len(items))
    start = offsets[np.searchsorted(offsets, index, side="right") - 1]
    has = index > start
    earlier = cumulated[index[has]] - cumulated[start[has]]
    norm = np.linalg.norm(earlier, axis=1)
    cosine = (earlier * vectors[has]).sum(1) / np.maximum(norm, 1e-12)
    return float(np.percentile(cosine, percentile)) if len(cosine) else -1.0
