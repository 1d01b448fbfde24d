"""What the blocks read: an embedding of every code of every slot, and the context, a mean of those that are visible.

A slot has a recency bucket and a time gap instead of an index. Several slots share a bucket; each token therefore also
gets a projection of its own slot's mean code embedding, without which the codes of neighbouring slots could not be told
apart.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from reaseq.behavior.configuration import ReaSeqDenoiserConfig
from reaseq.behavior.slots import SlotBatch

LEAST_WEIGHT = 1e-6
"""What the context divides by where nothing is visible."""


class SlotEmbedding(nn.Module):
    """h⁰ of every token: code + recency + level + gap + action + the slot's own mean code."""

    def __init__(self, config: ReaSeqDenoiserConfig):
        super().__init__()
        width = config.hidden_size
        self.code = nn.Parameter(torch.empty(config.levels, config.codebook_size + 1, width))
        self.level = nn.Parameter(torch.empty(config.levels, width))
        self.recency = nn.Embedding(config.recency_buckets, width)
        self.gap = nn.Embedding(config.gap_buckets, width)
        self.action = nn.Embedding(len(config.action_names) + 1, width)
        self.slot = nn.Linear(width, width, bias=False)
        self.log_weight = nn.Parameter(torch.empty(config.recency_buckets))

    def of_codes(self, codes: Tensor) -> Tensor:
        """Code embeddings [..., L, d] of codes int64 [..., L]."""
        levels, size, width = self.code.shape
        first = torch.arange(levels, device=codes.device) * size
        return F.embedding(codes + first, self.code.reshape(levels * size, width))

    def weight(self, recency: Tensor) -> Tensor:
        """Of a slot in the context, by its recency bucket; positive."""
        return self.log_weight[recency].exp()

    def forward(self, batch: SlotBatch) -> tuple[Tensor, Tensor]:
        """h⁰ [B, S, L, d], and the context [B, 1, L, d]: per level the mean embedding of the codes that are visible,
        weighed by how recent they are."""
        x, total, known = self.sums(batch)
        return x, total / known.clamp(min=LEAST_WEIGHT)

    def sums(self, batch: SlotBatch) -> tuple[Tensor, Tensor, Tensor]:
        """h⁰, and what the context is the quotient of: sum [B, 1, L, d] and weight [B, 1, L, 1] of visible codes."""
        return self.sums_of(batch.codes, self.about(batch))

    def about(self, batch: SlotBatch) -> tuple[Tensor, Tensor, Tensor]:
        """What is known of slots beside their codes: its embedding [B, S, d], their weight [B, S], and whether they are
        present [B, S]."""
        slot = self.recency(batch.recency) + self.gap(batch.gap) + self.action(batch.action)
        return slot, self.weight(batch.recency), batch.present

    def sums_of(self, codes: Tensor, about: tuple[Tensor, Tensor, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """As `sums`, of codes int64 [B, S, L]."""
        slot, weight, present = about
        embedded = self.of_codes(codes)
        known = (present[:, :, None] & (codes != self.code.shape[1] - 1))[..., None] * weight[:, :, None, None]
        slot = slot + self.slot(embedded.mean(2))
        x = embedded + self.level + slot[:, :, None]
        return x, (embedded * known).sum(1, keepdim=True), known.sum(1, keepdim=True)
