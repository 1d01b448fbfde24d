"""SASRec: causal self-attention over the items a user took, scored against the item embeddings themselves.

After Kang & McAuley (arXiv 1808.09781), with layer normalisation before each block. Trained here with cross-entropy
over the whole catalogue at every position, with which SASRec is no worse than BERT4Rec (arXiv 2309.07602, 2308.07192).
Rows are padded on the left and positions counted from the end, so a score depends on the row alone, not on its batch.
"""

import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn
from torch.nn import functional as F

WIDTH_OF_FEED_FORWARD = 4  # times d_model
INITIAL_SCALE = 0.02  # standard deviation of weights before training


class SasRecSpec(BaseModel):
    """All that is needed to build the network anew."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    items: int
    d_model: int
    layers: int
    heads: int
    history: int
    dropout: float
    temperature: float
    """Of cosine scores; 0 means dot products."""


class Block(nn.Module):
    """Attention and feed-forward, each added to its input."""

    def __init__(self, spec: SasRecSpec):
        super().__init__()
        self.heads, self.dropout = spec.heads, spec.dropout
        width = spec.d_model
        self.before_attention, self.before_feed_forward = nn.LayerNorm(width), nn.LayerNorm(width)
        self.mixed, self.joined = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.wide = nn.Linear(width, WIDTH_OF_FEED_FORWARD * width)
        self.narrow = nn.Linear(WIDTH_OF_FEED_FORWARD * width, width)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """[B, W, d] → [B, W, d]; `mask` [B, 1, W, W] is True where a position may look."""
        rows, width, _ = x.shape
        query, key, value = (
            self.mixed(self.before_attention(x)).view(rows, width, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        )
        dropout = self.dropout if self.training else 0.0
        attended = F.scaled_dot_product_attention(query, key, value, attn_mask=mask, dropout_p=dropout)
        x = x + F.dropout(self.joined(attended.transpose(1, 2).reshape(rows, width, -1)), dropout)
        return x + F.dropout(self.narrow(F.gelu(self.wide(self.before_feed_forward(x)))), dropout)


class SasRec(nn.Module):
    """Freshly initialised from torch's random state."""

    def __init__(self, spec: SasRecSpec):
        super().__init__()
        self.spec = spec
        self.items = nn.Embedding(spec.items + 1, spec.d_model, padding_idx=0)
        self.positions = nn.Embedding(spec.history, spec.d_model)  # row k: k events before the last one read
        self.blocks = nn.ModuleList(Block(spec) for _ in range(spec.layers))
        self.last = nn.LayerNorm(spec.d_model)
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Embedding):
                nn.init.normal_(module.weight, std=INITIAL_SCALE)
        with torch.no_grad():
            self.items.weight[0] = 0

    @property
    def device(self) -> torch.device:
        return self.items.weight.device

    def forward(self, read: Tensor) -> Tensor:
        """Hidden states [B, W, d], scaled so that `candidates()` is multiplied as it is.

        Args:
            read: int64 [B, W ≤ history], item indices, oldest first, 0 on the left of short rows. States at padding
                have no meaning.
        """
        width = read.shape[1]
        place = torch.arange(width - 1, -1, -1, device=read.device)
        x = self.items(read) + self.positions(place)
        x = F.dropout(x, self.spec.dropout if self.training else 0.0)
        causal = torch.ones(width, width, dtype=torch.bool, device=read.device).tril()
        itself = torch.eye(width, dtype=torch.bool, device=read.device)  # a padded position looks at something, too
        mask = (causal & ((read > 0)[:, None, :] | itself)).unsqueeze(1)
        for block in self.blocks:
            x = block(x, mask)
        x = self.last(x)
        return x if not self.spec.temperature else F.normalize(x, dim=-1) / self.spec.temperature

    def candidates(self) -> Tensor:
        """[V, d]: what hidden states are multiplied with; row i belongs to item i + 1."""
        table = self.items.weight[1:]
        return table if not self.spec.temperature else F.normalize(table, dim=-1)

    @torch.no_grad()
    def scores(self, read: Tensor, candidates: Tensor) -> Tensor:
        """[B, V] scores of all items after each row; column i belongs to item i + 1. A row without events scores 0.

        Args:
            read: as for `forward`.
            candidates: `candidates()`, taken once for many rows.
        """
        scores = self(read)[:, -1] @ candidates.T
        scores[read[:, -1] == 0] = 0.0
        return scores
