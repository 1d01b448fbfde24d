"""Fitting the autoregressive decoder: the denoiser's stage with another model and objective.

Size, corpus, cut, optimiser, epochs, batches, the draw of held-out users and what is measured on them are the
denoiser's. `Inpainting` asks both for ẑ of a last slot that is [MASK]; the decoder's has read all before it alone.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from reaseq.artifacts import Artifact, Workspace
from reaseq.behavior.autoregressive import ReaSeqDecoder, ReaSeqDecoderConfig
from reaseq.behavior.catalogue import Catalogue
from reaseq.behavior.errors import BehaviorError
from reaseq.behavior.loss import Loss, item_loss
from reaseq.behavior.slots import Sequences, slot_batch
from reaseq.behavior.stage import Learner, fit_learner
from reaseq.behavior.training import Tables
from reaseq.config import BehaviorConfig, RunConfig
from reaseq.parallel import Ranks


def decoding(
    model: ReaSeqDecoder,
    sequences: Sequences,
    tables: Tables,
    catalogue: Catalogue,
    config: BehaviorConfig,
    rng: np.random.Generator,
    ranks: Ranks = Ranks(),
) -> Loss:
    """The decoder's objective: mean cross-entropy of every code given those before it, mean over samples, and of
    the item that every slot's ẑ means.

    A random number of last slots, all of them included, look as generated ones do: recency is counted from the last one
    before them, and their actions are not told.

    Raises:
        BehaviorError: there are several processes; none of them would leave rows to the others.
    """
    if not ranks.alone:
        raise BehaviorError(f"a decoder is fitted by one process, and there are {ranks.world}; start one.")
    known = np.arange(sequences.items.shape[1]) < rng.integers(0, sequences.present.sum(1, keepdims=True) + 1)
    whole = slot_batch(sequences, tables.codes, known)
    batch = replace(whole, action=whole.action.masked_fill(torch.from_numpy(~known), 0)).to(model.device)
    hidden = model(batch)
    weight = (1.0 / (batch.present.sum(1) * model.config.levels))[:, None].expand(batch.present.shape)[batch.present]
    code = hidden.new_zeros(())
    there = batch.present[..., None].expand(batch.codes.shape)
    for level, logits in enumerate(model.masked_logits(hidden, there)):
        target = batch.codes[:, :, level][batch.present]
        code = code + (F.cross_entropy(logits, target, reduction="none") * weight).sum()
    items = torch.from_numpy(sequences.items).to(model.device)
    return Loss(code / len(batch.codes), item_loss(model, hidden, batch.present, items, catalogue))


DECODER = Learner("decoder", ReaSeqDecoder, ReaSeqDecoderConfig, decoding, serves=False)


def fit_decoder(
    config: RunConfig, dataset: Artifact, item_vectors: Artifact, out: Path, workspace: Workspace
) -> Artifact:
    """Fit the decoder on the events that `fit_denoiser` fits the denoiser on; makes a "decoder" artifact.

    Raises:
        BehaviorError: as `fit_denoiser`.
    """
    return fit_learner(DECODER, config, dataset, item_vectors, out, workspace)
