"""What the autoregressive decoder is fitted on, and the measure that its best epoch is chosen by."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from reaseq.behavior.autoregressive import ReaSeqDecoder
from reaseq.behavior.catalogue import Catalogue, score_catalogue
from reaseq.behavior.generation import Generator
from reaseq.behavior.inpainting import Inpainting
from reaseq.behavior.loss import Loss, item_loss
from reaseq.behavior.slots import Sequences, gather_sequences, insert_masks, slot_batch
from reaseq.behavior.training import Tables
from reaseq.config import BehaviorConfig


def decoding(
    model: ReaSeqDecoder,
    sequences: Sequences,
    tables: Tables,
    catalogue: Catalogue,
    config: BehaviorConfig,
    rng: np.random.Generator,
) -> Loss:
    """The decoder's objective: mean cross-entropy of every code given those before it, mean over samples, and of
    the item that every slot's ẑ means.

    The actions of a random number of last slots are not told, as those of generated slots are not.
    """
    whole = slot_batch(sequences, tables.codes)
    told = 1 + (rng.random(len(sequences.items)) * sequences.present.sum(1)).astype(np.int64)
    action = whole.action.masked_fill(torch.from_numpy(np.arange(sequences.items.shape[1]) >= told[:, None]), 0)
    batch = replace(whole, action=action).to(model.device)
    hidden = model(batch)
    weight = (1.0 / (batch.present.sum(1) * model.config.levels))[:, None].expand(batch.present.shape)[batch.present]
    code = hidden.new_zeros(())
    there = batch.present[..., None].expand(batch.codes.shape)
    for level, logits in enumerate(model.masked_logits(hidden, there)):
        target = batch.codes[:, :, level][batch.present]
        code = code + (F.cross_entropy(logits, target, reduction="none") * weight).sum()
    items = torch.from_numpy(sequences.items).to(model.device)
    return Loss(code / len(batch.codes), item_loss(model, hidden, batch.present, items, catalogue))


@dataclass(frozen=True)
class NextBehavior(Inpainting):
    """Recall@10 of the held-out last behaviour, its codes generated greedily after the history.

    Items are scored as the denoiser's are: by their posterior, given the ẑ that the states of the generated codes make.
    """

    @torch.no_grad()
    def scores(self, model: Any, starts: np.ndarray, at: np.ndarray) -> Tensor:
        history = gather_sequences(self.corpus.log, np.maximum(starts, at + 1 - self.longest), at)
        inserted = insert_masks(history, self.codes, model.config.mask_code, 1, inside=0)
        sampled = Generator(model, slots=1, guidance=0.0, temperature=0.0, seed=0).sample(inserted, np.zeros(len(at)))
        return score_catalogue(sampled.latent[:, 0], self.catalogue, model.latent_scale.item())
