"""What training minimises: weighted cross-entropy of masked codes, and of the items that masked slots' latents mean."""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from reaseq.behavior.catalogue import Catalogue
from reaseq.behavior.denoiser import ReaSeqDenoiser
from reaseq.behavior.dropout import take_rows
from reaseq.behavior.slots import SlotBatch
from reaseq.parallel import Ranks

LATENT_TARGETS = 1024
"""Most masked slots of a batch that the latent loss looks at."""
MOST_ITEMS = 16_384
"""Items that a softmax runs over; of a larger catalogue it runs over every n-th item and the batch's own."""


@dataclass(frozen=True)
class Loss:
    code: Tensor
    """Σ_k CE_k / p_k / |x|, mean over samples."""
    latent: Tensor
    """Mean cross-entropy of the true item: a decoder's over all slots, a denoiser's over wholly masked ones, as those
    are that inference fills in."""


def masked_loss(
    model: ReaSeqDenoiser,
    batch: SlotBatch,
    masked: Tensor,
    weight: Tensor,
    items: Tensor,
    catalogue: Catalogue,
    ranks: Ranks = Ranks(),
) -> Loss:
    """What the denoiser's predictions of masked codes, and of the items of wholly masked slots, cost.

    Args:
        batch: true slots; `present` says what is visible.
        masked, weight: bool and float32 [B, S, L].
        items: int64 [B, S], true item of each slot; catalogue: has them all, on the model's device.
        ranks: the processes that share the batch; the loss of each is its rows' part, and their sum is the whole.
    """
    noisy = SlotBatch(
        codes=batch.codes.masked_fill(masked, model.config.mask_code),
        recency=batch.recency,
        gap=batch.gap,
        action=batch.action.masked_fill(masked.any(2), 0),  # an unknown behaviour's action is not known either
        present=batch.present,
    )
    total = len(batch.codes)
    mine = ranks.rows(total)
    if len(mine) == 0:  # all take part in every forward; what this process computes counts nothing
        mine, weight = np.zeros(1, np.int64), torch.zeros_like(weight)
    take_rows(model, total, mine)
    slots, codes = masked.all(2), batch.codes
    if not ranks.alone:
        rows = torch.from_numpy(mine).to(codes.device)
        noisy, codes, masked, weight = noisy.rows(rows), codes[rows], masked[rows], weight[rows]
    hidden = model(noisy)
    code = hidden.new_zeros(())
    for level, logits in enumerate(model.masked_logits(hidden, masked)):
        here = masked[:, :, level]
        loss = F.cross_entropy(logits, codes[:, :, level][here], reduction="none")
        code = code + (loss * weight[:, :, level][here]).sum()
    latent = item_loss(model, hidden, slots, items, catalogue, ranks)
    return Loss(code / total, latent)


def item_loss(
    model: ReaSeqDenoiser,
    hidden: Tensor,
    slots: Tensor,
    items: Tensor,
    catalogue: Catalogue,
    ranks: Ranks = Ranks(),
) -> Tensor:
    """Mean cross-entropy of the true item under `score_catalogue`, over slots bool [B, S] of hidden states
    [B, S, L, d], or of this process's rows of them. Of more than `LATENT_TARGETS` slots every n-th counts; the softmax
    runs over the catalogue, or, of one larger than `MOST_ITEMS`, over every n-th of its items and the targets. There a
    candidate counts by the inverse of its probability to be one, as in sampled softmax (Jean et al., arXiv 1412.2007):
    frequent items are targets of nearly every batch, and would seem less likely than they are."""
    wanted = items[slots]
    if len(wanted) == 0:
        return hidden.new_zeros(())
    stride = -(-len(wanted) // LATENT_TARGETS)
    target = catalogue.position(wanted[::stride].contiguous())
    number, mine = len(target), torch.ones_like(target, dtype=torch.bool)
    if ranks.alone:
        states = hidden[slots][::stride]
    else:
        row, slot = slots.nonzero()[::stride].T
        row = torch.from_numpy(ranks.places(len(slots))).to(row.device)[row]  # among this process's
        mine = row >= 0
        states = hidden[row[mine], slot[mine]]
    latent = model.latent(states)
    z, prior = catalogue.z, catalogue.log_prior
    if len(z) > MOST_ITEMS:
        every = -(-len(z) // MOST_ITEMS)
        drawn = torch.arange(int(target.sum()) % every, len(z), every, device=target.device)  # differs by batch
        used, place = torch.unique(torch.cat([target, drawn]), return_inverse=True)
        missed = (1 - 1 / every) * (1 - prior[used].exp()) ** (number - 1)
        z, prior, target = z[used], prior[used] - (1 - missed).log(), place[:number]
    logits = model.latent_scale * latent @ z.T + prior
    return F.cross_entropy(logits, target[mine], reduction="sum") / number
