"""What training minimises: weighted cross-entropy of masked codes and InfoNCE of masked slots' latents."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from reaseq.behavior.denoiser import ReaSeqDenoiser
from reaseq.behavior.slots import SlotBatch

LATENT_TARGETS = 1024
"""Most masked slots of a batch that the latent loss looks at, and so the number of in-batch negatives."""


@dataclass(frozen=True)
class Loss:
    code: Tensor
    """Σ_k CE_k / p_k / |x|, mean over samples."""
    latent: Tensor
    """Mean InfoNCE over slots with a masked code."""


def masked_loss(
    model: ReaSeqDenoiser, batch: SlotBatch, masked: Tensor, weight: Tensor, items: Tensor, vectors: Tensor
) -> Loss:
    """
    Args:
        batch: true slots; `present` says what is visible.
        masked, weight: bool and float32 [B, S, L].
        items: int64 [B, S], true item of each slot; vectors: z, float32 [V+1, 128].
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
    return Loss(code / len(batch.codes), info_nce(model, hidden, masked.any(2), items, vectors))


def info_nce(model: ReaSeqDenoiser, hidden: Tensor, slots: Tensor, items: Tensor, vectors: Tensor) -> Tensor:
    """Mean InfoNCE of ẑ against the batch's distinct items, over slots bool [B, S] of hidden states [B, S, L, d]."""
    wanted = items[slots]
    if len(wanted) == 0:
        return hidden.new_zeros(())
    stride = -(-len(wanted) // LATENT_TARGETS)
    wanted = wanted[::stride]
    latent = model.latent(hidden[slots][::stride])
    candidates, target = torch.unique(wanted, return_inverse=True)
    similarity = latent @ vectors[candidates].T
    return F.cross_entropy(similarity * model.latent_scale, target)
