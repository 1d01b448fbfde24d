"""The denoiser's own blocks, learnt from scratch: pre-norm, RMSNorm, attention over all present tokens, SwiGLU.

`Backbone` is what the denoiser asks of blocks, these or those of a pretrained LLM (`llm_blocks`).
"""

from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers.modeling_layers import GradientCheckpointingLayer

from reaseq.behavior.configuration import ReaSeqDenoiserConfig


@dataclass(frozen=True)
class KeysValues:
    """What one block's tokens are attended by: keys and values, each [B, heads, T, d/heads]."""

    keys: Tensor
    values: Tensor

    def replace(self, places: Tensor, keys: Tensor, values: Tensor) -> None:
        """In place, those of the tokens at `places` int64 [B, T'] by keys and values [B, heads, T', d/heads]."""
        row = torch.arange(len(places), device=places.device)[:, None]
        for kept, new in ((self.keys, keys), (self.values, values)):
            kept.transpose(1, 2)[row, places] = new.transpose(1, 2)  # a token's lie together: copied as one piece


class Backbone(Protocol):
    """Blocks, first to last, between the embedding h⁰ and the heads; every present token sees every other."""

    depth: int
    unasked: float
    """Share of the last block's work that a token costs in a forward that was not asked for it (`wanted`)."""

    def __call__(
        self, x: Tensor, present: Tensor | None, wanted: Tensor | None = None, kept: list[KeysValues] | None = None
    ) -> Tensor:
        """
        Args:
            x: float32 [B, T, d].
            present: bool [B, T], tokens that may be attended to; None: all.
            wanted: int64 [B, T'], tokens to put out; None: all.
            kept: each block's keys and values are appended to it.

        Returns: float32 [B, T', d].
        """

    def resumed(self, x: Tensor, kept: list[KeysValues], places: Tensor, present: Tensor | None) -> Tensor:
        """x [B, T', d], the tokens at `places` int64 [B, T'] alone: their keys and values replace the kept ones there,
        in place, and they attend to all that is kept and `present` bool [B, T]."""


class Block(GradientCheckpointingLayer):
    def __init__(self, config: ReaSeqDenoiserConfig):
        super().__init__()
        width, inner = config.hidden_size, config.intermediate_size
        self.heads = config.num_attention_heads
        self.attention_norm = nn.RMSNorm(width, eps=config.rms_norm_eps)
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.attention_out = nn.Linear(width, width, bias=False)
        self.mlp_norm = nn.RMSNorm(width, eps=config.rms_norm_eps)
        self.gate_up = nn.Linear(width, 2 * inner, bias=False)
        self.mlp_out = nn.Linear(inner, width, bias=False)
        self.dropout = nn.Dropout(config.dropout)

    def forward(
        self, x: Tensor, keys: Tensor | None, wanted: Tensor | None = None, *, causal: bool = False
    ) -> tuple[Tensor, KeysValues]:
        """x [B, T, d]; keys bool [B, 1, 1, T]; `wanted` int64 [B, T', 1]: tokens to put out, all if None; `causal` lets
        a token see none after it. Gives them with the keys and values of all."""
        batch, tokens, width = x.shape
        split = (self.heads, width // self.heads)
        normed = self.attention_norm(x)
        if wanted is None:
            query, key, value = self.qkv(normed).view(batch, tokens, 3, *split).permute(2, 0, 3, 1, 4)
        else:
            index = wanted.expand(-1, -1, width)
            x = x.gather(1, index)
            query = F.linear(normed.gather(1, index), self.qkv.weight[:width]).unflatten(-1, split).transpose(1, 2)
            key, value = F.linear(normed, self.qkv.weight[width:]).view(batch, tokens, 2, *split).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=keys, is_causal=causal)
        return self._after(x, mixed), KeysValues(key, value)

    def resumed(self, x: Tensor, kept: KeysValues, places: Tensor, keys: Tensor | None) -> Tensor:
        """x [B, T', d], the tokens at `places` int64 [B, T'] alone: their keys and values replace the kept ones there,
        in place, and they attend to all that is kept."""
        split = (self.heads, x.shape[-1] // self.heads)
        query, key, value = self.qkv(self.attention_norm(x)).unflatten(-1, (3, *split)).permute(2, 0, 3, 1, 4)
        kept.replace(places, key, value)
        return self._after(x, F.scaled_dot_product_attention(query, kept.keys, kept.values, attn_mask=keys))

    def _after(self, x: Tensor, mixed: Tensor) -> Tensor:
        x = x + self.dropout(self.attention_out(mixed.transpose(1, 2).flatten(2)))
        gate, up = self.gate_up(self.mlp_norm(x)).chunk(2, -1)
        added: Tensor = self.dropout(self.mlp_out(F.silu(gate) * up))
        return x + added


class Blocks(nn.ModuleList):
    """As many blocks as the configuration says; a `Backbone`."""

    def __init__(self, config: ReaSeqDenoiserConfig):
        super().__init__(Block(config) for _ in range(config.num_hidden_layers))
        width = config.hidden_size
        self.depth = config.num_hidden_layers
        self.unasked = 2 * width / (4 * width + 3 * config.intermediate_size)  # keys and values alone are computed

    @property
    def each(self) -> list[Block]:
        return [block for block in self if isinstance(block, Block)]

    def forward(
        self, x: Tensor, present: Tensor | None, wanted: Tensor | None = None, kept: list[KeysValues] | None = None
    ) -> Tensor:
        keys = None if present is None else present[:, None, None]
        index = None if wanted is None else wanted[..., None]
        for number, block in enumerate(self.each, 1):
            x, read = block(x, keys, index if number == self.depth else None)
            if kept is not None:
                kept.append(read)
        return x

    def resumed(self, x: Tensor, kept: list[KeysValues], places: Tensor, present: Tensor | None) -> Tensor:
        keys = None if present is None else present[:, None, None]
        for block, read in zip(self.each, kept, strict=True):
            x = block.resumed(x, read, places, keys)
        return x
