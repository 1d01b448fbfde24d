"""What training minimises: weighted cross-entropy of masked codes, and of the items that masked slots' latents mean."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from reaseq.behavior.catalogue import Catalogue
from reaseq.behavior.denoiser import ReaSeqDenoiser
from reaseq.behavior.slots import SlotBatch

LATENT_TARGETS = 1024
"""Most masked slots of a batch that the latent loss looks at."""
MOST_ITEMS = 16_384
"""Items that a softmax runs over; of a larger catalogue it runs over every n-th item and the batch's own."""


@dataclass(frozen=True)
class Loss:
    code: Tensor
    """Σ_k CE_k / p_k / |x|, mean over samples."""
    latent: Tensor
    """Mean cross-entropy of the true item over slots that are wholly masked, as those are that inference fills in."""


def masked_loss(
    model: ReaSeqDenoiser, batch: SlotBatch, masked: Tensor, weight: Tensor, items: Tensor, catalogue: Catalogue
) -> Loss:
    """
    Args:
        batch: true slots; `present` says what is visible.
        masked, weight: bool and float32 [B, S, L].
        items: int64 [B, S], true item of each slot; catalogue: has them all, on the model's device.
    """
    noisy = SlotBatch(
        codes=batch.codes.masked_fill(masked, model.config.mask_code),
        recency=batch.recency,
        gap=batch.gap,
        action=batch.action.masked_fill(masked.any(2), 0),  # an unknown behaviour's action is not known either
        present=batch.present,
    )
    hidden = model(noisy)
    code = hidden.new_zeros(())
    for level, logits in enumerate(model.masked_logits(hidden, masked)):
        here = masked[:, :, level]
        loss = F.cross_entropy(logits, batch.codes[:, :, level][here], reduction="none")
        code = code + (loss * weight[:, :, level][here]).sum()
    return Loss(code / len(batch.codes), item_loss(model, hidden, masked.all(2), items, catalogue))


def item_loss(model: ReaSeqDenoiser, hidden: Tensor, slots: Tensor, items: Tensor, catalogue: Catalogue) -> Tensor:
    """Mean cross-entropy of the true items under `score_catalogue`, over slots bool [B, S] of hidden states
    [B, S, L, d]. Of more than `LATENT_TARGETS` slots every n-th counts; the softmax runs over the catalogue, or, of one
    larger than `MOST_ITEMS`, over every n-th of its items and the targets. There a candidate counts by the inverse of
    its probability to be one, as in sampled softmax (Jean et al., arXiv 1412.2007): frequent items are targets of
    nearly every batch, and would seem less likely than they are."""
    wanted = items[slots]
    if len(wanted) == 0:
        return hidden.new_zeros(())
    stride = -(-len(wanted) // LATENT_TARGETS)
    target = catalogue.position(wanted[::stride].contiguous())
    latent = model.latent(hidden[slots][::stride])
    z, prior = catalogue.z, catalogue.log_prior
    if len(z) > MOST_ITEMS:
        every = -(-len(z) // MOST_ITEMS)
        drawn = torch.arange(int(target.sum()) % every, len(z), every, device=target.device)  # differs by batch
        used, place = torch.unique(torch.cat([target, drawn]), return_inverse=True)
        missed = (1 - 1 / every) * (1 - prior[used].exp()) ** (len(target) - 1)
        z, prior, target = z[used], prior[used] - (1 - missed).log(), place[: len(target)]
    return F.cross_entropy(model.latent_scale * latent @ z.T + prior, target)
