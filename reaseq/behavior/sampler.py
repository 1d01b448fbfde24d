"""The sampler: reverse diffusion of inserted [MASK] slots.

R steps; each predicts all masked codes, keeps the most confident and masks the rest again (low-confidence re-masking of
LLaDA, arXiv 2502.09992). Guidance: (1+w)·log f(x|history) - w·log f(x|∅), the unconditional branch reading the inserted
slots alone (classifier-free guidance, arXiv 2207.12598); it takes away what is merely popular.

A user's result does not depend on who else is in the batch: noise is drawn from (seed, user's key), and absent slots
are never attended to.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from reaseq.behavior.denoiser import ReaSeqDenoiser
from reaseq.behavior.noise import UserNoise
from reaseq.behavior.slots import Inserted, SlotBatch

TIE_BREAK = 1e-3
"""Slots with equal buckets have equal predictions; this much noise on log-confidence decides which is settled first."""


@dataclass(frozen=True)
class Sampled:
    """What was filled in, for B users × S' inserted slots.

    codes int64 [B, S', L]; log_probs float32 [B, S', L, K]: the (guided) distribution each code was settled from;
    latent float32 [B, S', 128]: ẑ at the step that settled the slot's last code, unit length.
    """

    codes: Tensor
    log_probs: Tensor
    latent: Tensor


class BehaviorSampler(Protocol):
    """Fills in slots that were inserted: reverse diffusion here, one code after the other in `generation`."""

    forwards: int
    """Forwards of a batch so far, both branches counted."""
    sequential: int
    """Forwards of one call that wait for each other."""

    @property
    def model(self) -> ReaSeqDenoiser: ...
    @property
    def inside(self) -> int:
        """Slots it wants between behaviours; the others come after the end."""

    def sample(self, inserted: Inserted, keys: np.ndarray) -> Sampled: ...


class Sampler:
    """Fills in inserted slots and counts the forwards it takes.

    Args:
        model: in eval mode.
        slots: inserted per user. steps: R. guidance: w; 0 does without the unconditional branch.
        temperature: of the Gumbel noise on the choice of a code, 0 takes the most probable. seed: of that noise.
    """

    def __init__(
        self, model: ReaSeqDenoiser, *, slots: int, steps: int, guidance: float, temperature: float, seed: int
    ):
        self.model = model
        self.steps, self.guidance, self.temperature = steps, guidance, temperature
        self.forwards, self.sequential = 0, steps
        self.inside = slots // 3
        config = model.config
        self._noise = UserNoise((steps, slots, config.levels, config.codebook_size), seed, model.device)

    @torch.no_grad()
    def sample(self, inserted: Inserted, keys: np.ndarray) -> Sampled:
        """
        Args:
            inserted: slots of B users.
            keys: int64 [B], from which each user's noise follows; the same key, the same noise.
        """
        batch, index = inserted.batch.to(self.model.device), inserted.index.to(self.model.device)
        alone = batch.take(index)
        users, slots, levels = alone.codes.shape
        size, mask_code = self.model.config.codebook_size, self.model.config.mask_code
        turn = torch.from_numpy(np.asarray(keys, np.int64)).to(index.device)
        codes = alone.codes
        settled = alone.codes.new_full((users, slots, levels, size), 0, dtype=torch.float32)
        latents = settled.new_zeros(users, slots, self.model.config.vector_size)
        rows = torch.arange(users, device=index.device)[:, None]
        for step in range(self.steps):
            masked = codes == mask_code
            full = batch.codes.clone()
            full[rows, index] = codes
            hidden = self._forward(batch, full, index)  # [B, S', L, d]
            log_probs = self.model.code_logits(hidden).log_softmax(-1)
            if self.guidance > 0:
                free = self._unconditional(alone, codes, step)
                log_probs = ((1 + self.guidance) * log_probs - self.guidance * free).log_softmax(-1)
            noise = self._noise.of(step, turn)
            choice = (log_probs + self.temperature * noise if self.temperature > 0 else log_probs).argmax(-1)
            confidence = log_probs.gather(-1, choice[..., None])[..., 0] + TIE_BREAK * noise[..., 0]
            keep = _most_confident(confidence, masked, slots * levels * (step + 1) // self.steps)
            codes = torch.where(keep, choice, codes)
            settled = torch.where(keep[..., None], log_probs, settled)
            open_slots = masked.any(-1)[..., None]
            latents = torch.where(open_slots, self.model.latent(hidden), latents)
        return Sampled(codes.cpu(), settled.cpu(), latents.cpu())

    def _forward(self, batch: SlotBatch, codes: Tensor, wanted: Tensor | None = None) -> Tensor:
        self.forwards += 1
        hidden: Tensor = self.model(SlotBatch(codes, batch.recency, batch.gap, batch.action, batch.present), wanted)
        return hidden

    def _unconditional(self, alone: SlotBatch, codes: Tensor, step: int) -> Tensor:
        """Log-probabilities without history. While all is masked, users with the same buckets share one row."""
        if step > 0:
            return self.model.code_logits(self._forward(alone, codes)).log_softmax(-1)
        buckets, row = torch.unique(torch.cat([alone.recency, alone.gap], 1), dim=0, return_inverse=True)
        recency, gap = buckets.split(alone.gap.shape[1], 1)
        masked = codes[:1].expand(len(buckets), -1, -1)
        shared = SlotBatch(masked, recency, gap, torch.zeros_like(gap), torch.ones_like(gap, dtype=torch.bool))
        return self.model.code_logits(self._forward(shared, masked)).log_softmax(-1)[row]


def _most_confident(confidence: Tensor, masked: Tensor, settled: int) -> Tensor:
    """The masked codes to keep, so that `settled` codes of each row are settled in all; ties go to the first."""
    users = len(masked)
    wanted = settled - (~masked).flatten(1).sum(1, keepdim=True)
    order = confidence.masked_fill(~masked, -torch.inf).flatten(1).argsort(dim=1, descending=True, stable=True)
    rank = torch.empty_like(order).scatter_(
        1, order, torch.arange(order.shape[1], device=order.device).expand(users, -1)
    )
    return ((rank < wanted) & masked.flatten(1)).view(masked.shape)
