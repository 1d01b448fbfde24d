"""An autoregressive decoder of behaviours: what the denoiser is measured against.

It has the denoiser's weights, name by name and shape by shape, and reads the same slots, but from left to right: slots
in order of time, the L codes of a slot in order of level, each code predicted from those before it (after TIGER, arXiv
2305.05065, without an encoder). A start token, which reads as the closing token of an all-[MASK] slot, stands first.

ẑ of a slot is read where its first code is predicted, from what stands before the slot: as with the denoiser, what is
probable in a slot is not what is probable once a code was drawn there. A slot's time gap, which the denoiser is told,
too, is read with the last code of the slot before, so that ẑ and all codes are predicted from it; its action is read
with its own last code, so that none of them is.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from reaseq.behavior.blocks import Block, Blocks, KeysValues
from reaseq.behavior.configuration import ReaSeqDenoiserConfig
from reaseq.behavior.denoiser import ReaSeqDenoiser
from reaseq.behavior.embedding import LEAST_WEIGHT
from reaseq.behavior.slots import SlotBatch


class ReaSeqDecoderConfig(ReaSeqDenoiserConfig):
    """That of the denoiser."""

    model_type = "reaseq_decoder"

    def __init__(self, **kwargs: Any):  # transformers gives a class without one the fields of a dataclass
        super().__init__(**kwargs)


class ReaSeqDecoder(ReaSeqDenoiser):
    """Slots in, 1 + L hidden states of each out: that of ẑ, and those that predict its codes.

    The one that predicts a code has read every code before that one and no other; that of ẑ, none of the slot's own.
    """

    config_class = ReaSeqDecoderConfig
    base_model_prefix = "decoder"

    blocks: Blocks

    def forward(self, batch: SlotBatch, wanted: Tensor | None = None, kept: list[KeysValues] | None = None) -> Tensor:
        """[B, S, 1 + L, d]; those of absent slots, which stand at the end, mean nothing. Else as of the denoiser."""
        x = self.tokens(batch, F.pad(batch.gap, (0, 1)))[:, :-1]  # nothing follows the last one
        for block in self.layers:
            x, read = block(x, None, causal=True)
            if kept is not None:
                kept.append(read)
        said = self.head(self.norm(x)).view(*batch.codes.shape, -1)
        context = self.context_gain * self._context(batch)
        hidden = torch.cat([said[:, :, :1] + context.mean(2, keepdim=True), said + context], 2)
        if wanted is None:
            return hidden
        return hidden.gather(1, wanted[..., None, None].expand(-1, -1, *hidden.shape[2:]))

    @property
    def layers(self) -> list[Block]:
        """The blocks, first to last."""
        return self.blocks.each

    def tokens(self, batch: SlotBatch, gap: Tensor) -> Tensor:
        """h⁰ of the start token and of every code [B, 1 + S·L, d]; `gap` int64 [B, S + 1] is that of each slot and of
        the one that follows them."""
        codes = self.embedding.of_codes(batch.codes)
        lower = codes.new_ones(*[self.config.levels] * 2).tril()
        seen = lower / lower.sum(1, keepdim=True)  # row n takes the mean of the first n
        x = codes + self.embedding.level + self.embedding.recency(batch.recency)[:, :, None]
        x = x + self.embedding.slot(torch.einsum("ml,bsld->bsmd", seen, codes))
        x[:, :, -1] += self.closing(gap[:, 1:], batch.action)
        empty = self.embedding.code[:, self.config.mask_code]
        start = empty[-1] + self.embedding.level[-1] + self.embedding.slot(empty.mean(0))
        start = start + self.embedding.gap(gap[:, :1])
        return torch.cat([start, x.flatten(1, 2)], 1)

    def closing(self, next_gap: Tensor, action: Tensor) -> Tensor:
        """What the last token of a slot says beside its code, of the next slot and of its own: [..., d] of buckets
        [...]."""
        added: Tensor = self.embedding.gap(next_gap) + self.embedding.action(action)
        return added

    def latent(self, hidden: Tensor) -> Tensor:
        """ẑ: [..., 1 + L, d] of a slot → unit vectors [..., 128], from the first."""
        return F.normalize(self.latent_head(hidden[..., 0, :]), dim=-1)

    def code_logits(self, hidden: Tensor) -> Tensor:
        """[..., 1 + L, d] → logits [..., L, K]."""
        return super().code_logits(hidden[..., 1:, :])

    def masked_logits(self, hidden: Tensor, masked: Tensor) -> list[Tensor]:
        """Of [B, S, 1 + L, d]; the rest as of the denoiser."""
        return super().masked_logits(hidden[:, :, 1:], masked)

    def level_logits(self, hidden: Tensor, level: int) -> Tensor:
        """[..., d] that predict this level → [..., K]."""
        return hidden @ self.embedding.code[level, : self.config.codebook_size].T + self.code_bias[level]

    def _context(self, batch: SlotBatch) -> Tensor:
        """Per slot and level the mean embedding of that level's codes in the slots before, weighed as the denoiser's
        are."""
        embedded = self.embedding.of_codes(batch.codes)
        weight = self.embedding.weight(batch.recency)[:, None] * embedded.new_ones(*[embedded.shape[1]] * 2).tril(-1)
        weight = weight / weight.sum(-1, keepdim=True).clamp(min=LEAST_WEIGHT)
        return torch.einsum("bts,bsld->btld", weight, embedded)


class Decoding:
    """B sequences in the course of being generated, with the keys and values of what was read.

    `hidden` [B, d] predicts the next code, and `opening` [B, 1, d] is the state of its slot's ẑ. A row's tokens stand
    in the cache where they stand in the row, so that what is computed is what a forward of the whole row would.
    """

    opening: Tensor

    def __init__(self, model: ReaSeqDecoder, history: SlotBatch, slots: SlotBatch):
        """Read the history in one forward.

        Args:
            model: in eval mode.
            history: [B, N], absent slots at the end; none may be [MASK].
            slots: [B, S'], when the slots to generate are; their codes are not read.
        """
        self.model, self.slots = model, slots
        levels = model.config.levels
        count = history.present.sum(1)
        x = model.tokens(history, F.pad(history.gap, (0, 1)).scatter(1, count[:, None], slots.gap[:, :1]))
        self.width = x.shape[1] + slots.codes.shape[1] * levels
        self._kept: list[KeysValues] = []
        for block in model.layers:
            x, read = block(x, None, causal=True)
            self._kept.append(KeysValues(*(_with_room(part, self.width) for part in (read.keys, read.values))))
        self._last = count * levels
        self._place = torch.arange(self.width, device=x.device)
        weight = history.present * model.embedding.weight(history.recency)
        known = model.embedding.of_codes(history.codes) * weight[:, :, None, None]
        self._sum, self._weight = known.sum(1), weight.sum(1)  # [B, L, d], [B]
        self._open: list[Tensor] = []  # embeddings of the codes of the slot that is being generated
        rows = torch.arange(len(x), device=x.device)
        self._predict(x[rows, self._last], level=0)

    def read(self, codes: Tensor, slot: int, level: int) -> None:
        """Read the code int64 [B] of this slot and level; `hidden` then predicts the one after it, which there must
        be."""
        model, embedding = self.model, self.model.embedding
        code = embedding.code[level][codes]
        self._open.append(code)
        x = code + embedding.level[level] + embedding.recency(self.slots.recency[:, slot])
        x = x + embedding.slot(torch.stack(self._open).mean(0))
        following = (level + 1) % model.config.levels
        if following == 0:
            x = x + model.closing(self.slots.gap[:, slot + 1], self.slots.action[:, slot])
            weight = model.embedding.weight(self.slots.recency[:, slot])
            self._sum = self._sum + weight[:, None, None] * torch.stack(self._open, 1)
            self._weight = self._weight + weight
            self._open = []
        self._last = self._last + 1
        keys = (self._place <= self._last[:, None])[:, None, None]
        x = x[:, None]
        for block, kept in zip(model.layers, self._kept, strict=True):
            x = block.resumed(x, kept, self._last[:, None], keys)
        self._predict(x[:, 0], following)

    def _predict(self, x: Tensor, level: int) -> None:
        said = self.model.head(self.model.norm(x))
        context = self._sum / self._weight.clamp(min=LEAST_WEIGHT)[:, None, None] * self.model.context_gain
        self.hidden = said + context[:, level]
        if level == 0:
            self.opening = said[:, None] + context.mean(1, keepdim=True)


def _with_room(part: Tensor, width: int) -> Tensor:
    room = part.new_zeros(*part.shape[:2], width, part.shape[3])
    room[:, :, : part.shape[2]] = part
    return room
