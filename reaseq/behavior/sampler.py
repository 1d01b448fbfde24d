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
from reaseq.behavior.kept_history import Branches, Computed
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
        """Fill in the inserted slots.

        Args:
            inserted: slots of B users.
            keys: int64 [B], from which each user's noise follows; the same key, the same noise.
        """
        model, computed = self.model, Computed()
        batch, index = inserted.batch.to(model.device), inserted.index.to(model.device)
        turn = torch.from_numpy(np.asarray(keys, np.int64)).to(index.device)
        branches = Branches(model, batch, index, guided=self.guidance > 0, computed=computed)
        codes = branches.inserted.codes
        levels, tokens = codes.shape[2], codes[0].numel()
        order = index  # of each user's codes, those still masked first; there is none yet
        states = torch.zeros(())  # [B, S', L, d]: hidden states at the step that settled a slot's first code
        for step in range(self.steps):
            masked = codes == model.config.mask_code
            hidden = self._hidden(branches, codes, order, step)
            # The heads are affine, so guiding hidden states and then reading them guides log-probabilities.
            guided = torch.lerp(hidden[1], hidden[0], 1 + self.guidance) if len(hidden) > 1 else hidden[0]
            choice, confidence = self._draw(guided, masked, step, turn)
            order = _by_confidence(confidence, masked)
            settled = order[:, : self._masked(tokens, step) - self._masked(tokens, step + 1)]
            states = torch.where(masked.all(-1)[..., None, None], hidden[0], states)
            codes = codes.flatten(1).scatter(1, settled, choice.flatten(1).gather(1, settled)).view_as(codes)
        self.forwards += computed.forwards
        lengths = inserted.batch.present.sum(1) * levels
        self.dense_forwards += computed.dense_forwards(lengths, model.config.num_hidden_layers)
        return Sampled(codes.cpu(), model.latent(states).cpu())

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

    def _hidden(self, branches: Branches, codes: Tensor, order: Tensor, step: int) -> Tensor:
        """[G, B, S', L, d]; those of masked codes are this step's."""
        keep = self.refresh > 1
        if step == 0:
            return branches.first(keep=keep)
        if step % self.refresh == 0:
            return branches.dense(codes, keep=keep)
        before, now = (self._masked(codes[0].numel(), each) for each in (step - 1, step))
        return branches.partial(codes, order[:, :before], before - now)

    def _masked(self, tokens: int, step: int) -> int:
        """How many of a user's codes are masked before this step."""
        return tokens - tokens * step // self.steps


def _by_confidence(confidence: Tensor, masked: Tensor) -> Tensor:
    """Places int64 [B, S'·L] of the masked codes, the most confident first, ties in order; those of the others last."""
    return confidence.masked_fill(~masked, -torch.inf).flatten(1).argsort(dim=1, descending=True, stable=True)
