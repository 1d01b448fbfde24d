"""Generating behaviours with the autoregressive decoder: asked as the sampler is, and answering as it does.

One code after the other, so S'·L forwards that wait for each other, all but the first of one token. Guidance, where it
is on, is that of the sampler: the unconditional branch has read the start token and what was generated.
"""

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from reaseq.behavior.autoregressive import Decoding, ReaSeqDecoder
from reaseq.behavior.errors import BehaviorError
from reaseq.behavior.noise import UserNoise
from reaseq.behavior.sampler import Sampled
from reaseq.behavior.slots import Inserted, SlotBatch


class Generator:
    """Fills in slots after the end of a history, from the first to the last, and counts the forwards it takes.

    Args:
        model: in eval mode.
        slots: generated per user.
        guidance: w; 0 does without the unconditional branch.
        temperature: of the Gumbel noise on the choice of a code, 0 takes the most probable. seed: of that noise.
    """

    inside = 0
    """Slots between behaviours: none, since what is generated there would know nothing of what came after it."""

    def __init__(self, model: ReaSeqDecoder, *, slots: int, guidance: float, temperature: float, seed: int):
        self.model = model
        self.guidance, self.temperature = guidance, temperature
        self.forwards, self.dense_forwards = 0, 0.0
        self.sequential = slots * model.config.levels
        shape = (1, slots, model.config.levels, model.config.codebook_size)
        self._noise = UserNoise(shape, seed, model.device)

    @torch.no_grad()
    def sample(self, inserted: Inserted, keys: np.ndarray) -> Sampled:
        """As `Sampler.sample`.

        Raises:
            BehaviorError: a slot stands between behaviours.
        """
        history, alone = _split(inserted)
        history, alone = history.to(self.model.device), alone.to(self.model.device)
        noise = self._noise.of(0, torch.from_numpy(np.asarray(keys, np.int64)).to(self.model.device))
        branches = [Decoding(self.model, history, alone)]
        if self.guidance > 0:
            branches.append(Decoding(self.model, history.take(history.recency[:, :0]), alone))
        self.forwards += len(branches)
        slots, levels = alone.codes.shape[1:]
        codes, latents = [], []
        for slot in range(slots):
            latents.append(self.model.latent(branches[0].opening))
            for level in range(levels):
                log_probs = self._log_probs(branches, level)
                if self.temperature > 0:
                    log_probs = log_probs + self.temperature * noise[:, slot, level]
                codes.append(log_probs.argmax(-1))
                if len(codes) < slots * levels:  # nothing is predicted from the last one
                    self.forwards += len(branches)
                    for branch in branches:
                        branch.read(codes[-1], slot, level)
        free = (len(branches) - 1) * slots / inserted.batch.present.sum(1).double()
        self.dense_forwards += (1 + free).sum().item()  # a row is read once, token by token, start for the last code
        settled = torch.stack(codes, 1).view(len(keys), slots, levels)
        return Sampled(settled.cpu(), torch.stack(latents, 1).cpu())

    def _log_probs(self, branches: list[Decoding], level: int) -> Tensor:
        given, *free = (self.model.level_logits(branch.hidden, level).log_softmax(-1) for branch in branches)
        if not free:
            return given
        return ((1 + self.guidance) * given - self.guidance * free[0]).log_softmax(-1)


def _split(inserted: Inserted) -> tuple[SlotBatch, SlotBatch]:
    """The history, with absent slots at its end, and the slots to generate."""
    batch, index = inserted.batch, inserted.index
    count = batch.present.sum(1) - index.shape[1]
    if not torch.equal(index, count[:, None] + torch.arange(index.shape[1])):
        raise BehaviorError("a decoder generates after the end of a history; insert the slots with inside=0.")
    column = torch.arange(int(count.max()))
    there = column < count[:, None]
    history = batch.take(column.expand(len(count), -1))
    codes = history.codes.masked_fill(~there[..., None], 0)
    return replace(history, codes=codes, present=there), batch.take(index)
