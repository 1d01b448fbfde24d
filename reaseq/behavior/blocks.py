"""The denoiser's own blocks, learnt from scratch: pre-norm, RMSNorm, attention over all present tokens, SwiGLU.

`Backbone` is what the denoiser asks of blocks, these or those of a pretrained LLM (`llm_blocks`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers.modeling_layers import GradientCheckpointingLayer

from reaseq.behavior.configuration import ReaSeqDenoiserConfig
from reaseq.behavior.dropout import Dropout


@dataclass(frozen=True)
class KeysValues:
    """What one block's tokens are attended by: keys and values, each [B, heads, T, d/heads]."""

    keys: Tensor
    values: Tensor

    def put(self, places: Tensor, keys: Tensor, values: Tensor) -> None:
        """Replace those of the tokens at `places` int64 [B, T'], in place."""
        here = (torch.arange(len(places), device=places.device)[:, None], places)
        for kept, new in ((self.keys, keys), (self.values, values)):
            kept.transpose(1, 2).index_put_(here, new.transpose(1, 2))  # whole tokens, not entry by entry


@dataclass(frozen=True)
class Kept:
    """What B sequences kept of a forward, for a call that computes some of their tokens anew: each block's keys and
    values; `places` int64 [B, T'] of these tokens; `present` bool [B, T], None: all."""

    blocks: list[KeysValues]
    places: Tensor
    present: Tensor | None


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

    def resumed(self, x: Tensor, kept: Sequence[Kept], silent: int = 0) -> Tensor:
        """x [ΣB, T', d], the tokens at the places alone, of the first B sequences, of the second, …: their keys and
        values replace the kept ones there, in place, and they attend to all of theirs that is kept and present. The
        first `silent` of each sequence are only attended to; the others are put out, [ΣB, T' - silent, d]."""


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
        self.dropout = Dropout(config.dropout)

    def forward(
        self, x: Tensor, keys: Tensor | None, wanted: Tensor | None = None, *, causal: bool = False
    ) -> tuple[Tensor, KeysValues]:
        """x [B, T, d]; keys bool [B, 1, 1, T]; `wanted` int64 [B, T', 1]: tokens to put out, all if None; `causal` lets
        a token see none after it. Gives them with the keys and values of all."""
        normed, asked = self.attention_norm(x), None
        if wanted is not None:
            index = wanted.expand(-1, -1, x.shape[2])
            x, asked = x.gather(1, index), normed.gather(1, index)
        query, key, value = self._projected(normed, asked)
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=keys, is_causal=causal)
        return self._after(x, mixed), KeysValues(key, value)

    def resumed(self, x: Tensor, kept: KeysValues, places: Tensor, keys: Tensor | None) -> Tensor:
        """x [B, T', d], the tokens at `places` int64 [B, T'] alone: their keys and values replace the kept ones there,
        in place, and they attend to all that is kept."""
        return self.resumed_together(x, [(kept, places, keys)])

    def resumed_together(
        self, x: Tensor, parts: Sequence[tuple[KeysValues, Tensor, Tensor | None]], silent: int = 0
    ) -> Tensor:
        """As `resumed`, of the rows of several at once, x [ΣB, T', d]: attention alone differs between them, and the
        fewer calls the rest takes, the faster are few rows. The first `silent` tokens are not put out."""
        normed = self.attention_norm(x)
        projected = self._projected(normed, normed[:, silent:] if silent else None)
        mixed = []
        for (kept, places, keys), *own in zip(parts, *(each.chunk(len(parts)) for each in projected), strict=True):
            query, key, value = own
            kept.put(places, key, value)
            mixed.append(F.scaled_dot_product_attention(query, kept.keys, kept.values, attn_mask=keys))
        return self._after(x[:, silent:], mixed[0] if len(mixed) == 1 else torch.cat(mixed))

    def _projected(self, normed: Tensor, asked: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """Queries of the tokens that are asked for, None: all, and keys and values of all; [B, heads, T, d/heads]."""
        width = normed.shape[2]
        split = (self.heads, width // self.heads)
        if asked is None:
            query, key, value = self.qkv(normed).unflatten(-1, (3, *split)).permute(2, 0, 3, 1, 4)
        else:
            query = F.linear(asked, self.qkv.weight[:width]).unflatten(-1, split).transpose(1, 2)
            key, value = F.linear(normed, self.qkv.weight[width:]).unflatten(-1, (2, *split)).permute(2, 0, 3, 1, 4)
        return query, key, value

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

    def resumed(self, x: Tensor, kept: Sequence[Kept], silent: int = 0) -> Tensor:
        keys = [None if part.present is None else part.present[:, None, None] for part in kept]
        for number, block in enumerate(self.each):
            parts = [(part.blocks[number], part.places, seen) for part, seen in zip(kept, keys, strict=True)]
            x = block.resumed_together(x, parts, silent if number + 1 == self.depth else 0)
        return x
