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
from reaseq.behavior.kept_history import Branch, Work
from reaseq.behavior.noise import UserNoise
from reaseq.behavior.slots import Inserted
from reaseq.config import BehaviorConfig

TIE_BREAK = 1e-3
"""Slots with equal buckets have equal predictions; this much noise on log-confidence decides which is settled first."""


@dataclass(frozen=True)
class Sampled:
    """What was filled in, for B users × S' inserted slots.

    codes int64 [B, S', L]; latent float32 [B, S', 128], unit length: ẑ at the step that settled the slot's first code.
    It has read the history and what other slots had settled, and none of the slot's own codes, which are draws: what is
    probable in the slot is not what is probable once a code was drawn there.
    """

    codes: Tensor
    latent: Tensor


class BehaviorSampler(Protocol):
    """Fills in slots that were inserted: reverse diffusion here, one code after the other in `generation`."""

    forwards: int
    """Forwards of a batch so far, both branches counted."""
    dense_forwards: float
    """What was computed so far, in forwards of a user's whole sequence, summed over users."""
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
        refresh: steps from one dense step to the next; 1 computes everything at every step, see `kept_history`.
    """

    def __init__(
        self,
        model: ReaSeqDenoiser,
        *,
        slots: int,
        steps: int,
        guidance: float,
        temperature: float,
        seed: int,
        refresh: int = 1,
    ):
        self.model = model
        self.steps, self.guidance, self.temperature = steps, guidance, temperature
        self.refresh = refresh
        self.forwards, self.sequential, self.dense_forwards = 0, steps, 0.0
        self.inside = slots // 3
        config = model.config
        self._noise = UserNoise((steps, slots, config.levels, config.codebook_size), seed, model.device)

    @classmethod
    def of(cls, model: ReaSeqDenoiser, config: BehaviorConfig, seed: int) -> "Sampler":
        """As the configuration says."""
        return cls(
            model,
            slots=config.inferred + config.spare_slots,
            steps=config.reverse_steps,
            guidance=config.guidance,
            temperature=config.temperature,
            seed=seed,
            refresh=config.cache_refresh,
        )

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
        mask_code = self.model.config.mask_code
        turn = torch.from_numpy(np.asarray(keys, np.int64)).to(index.device)
        work = Work()
        given = Branch(self.model, batch, index, work)
        free = Branch(self.model, alone, None, work) if self.guidance > 0 else None
        codes = alone.codes
        masked = codes == mask_code
        latents = torch.zeros(users, slots, self.model.config.vector_size, device=codes.device)
        for step in range(self.steps):
            recent, masked = masked, codes == mask_code
            hidden = self._hidden(given, codes, recent, step)  # [B, S', L, d]
            guided = hidden
            if free is not None:  # heads are linear: this is what guidance of log-probabilities comes to
                guided = torch.lerp(self._hidden(free, codes, recent, step), hidden, 1 + self.guidance)
            choice, confidence = self._draw(guided, masked, step, turn)
            keep = _most_confident(confidence, masked, slots * levels * (step + 1) // self.steps)
            codes = torch.where(keep, choice, codes)
            untouched = masked.all(-1)[..., None]
            latents = torch.where(untouched, self.model.latent(hidden), latents)
        self.forwards += work.forwards
        tokens = inserted.batch.present.sum(1) * levels
        self.dense_forwards += work.dense_forwards(tokens, self.model.config.num_hidden_layers)
        return Sampled(codes.cpu(), latents.cpu())

    def _draw(self, hidden: Tensor, masked: Tensor, step: int, keys: Tensor) -> tuple[Tensor, Tensor]:
        """A code for everything that is masked, int64 [B, S', L], and its log-probability, with ties broken."""
        choice = torch.zeros(masked.shape, dtype=torch.long, device=masked.device)
        confidence = torch.zeros(masked.shape, device=masked.device)
        for level, logits in enumerate(self.model.masked_logits(hidden, masked)):
            user, slot = torch.nonzero(masked[:, :, level], as_tuple=True)
            noise = self._noise.at(step, keys[user], slot, level)
            drawn = (torch.add(logits, noise, alpha=self.temperature) if self.temperature > 0 else logits).argmax(-1)
            log_prob = logits.gather(-1, drawn[:, None])[:, 0] - logits.logsumexp(-1)
            choice[user, slot, level] = drawn
            confidence[user, slot, level] = log_prob + TIE_BREAK * noise[:, 0]
        return choice, confidence

    def _hidden(self, branch: Branch, codes: Tensor, recent: Tensor, step: int) -> Tensor:
        keep = self.refresh > 1
        if step % self.refresh == 0:
            return (
                branch.first(codes, keep=keep) if step == 0 and branch.index is None else branch.dense(codes, keep=keep)
            )
        inserted = codes.shape[1] * codes.shape[2]
        return branch.partial(codes, recent, inserted - inserted * (step - 1) // self.steps)


def _most_confident(confidence: Tensor, masked: Tensor, settled: int) -> Tensor:
    """The masked codes to keep, so that `settled` codes of each row are settled in all; ties go to the first."""
    users = len(masked)
    wanted = settled - (~masked).flatten(1).sum(1, keepdim=True)
    order = confidence.masked_fill(~masked, -torch.inf).flatten(1).argsort(dim=1, descending=True, stable=True)
    rank = torch.empty_like(order).scatter_(
        1, order, torch.arange(order.shape[1], device=order.device).expand(users, -1)
    )
    return ((rank < wanted) & masked.flatten(1)).view(masked.shape)
