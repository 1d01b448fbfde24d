"""The denoiser: a transformer without a causal mask that fills in the masked codes of behaviour slots.

Masked diffusion after LLaDA (arXiv 2502.09992), over item codes as in LLaDA-Rec and DiffGRM. Blocks are pre-norm:
RMSNorm, attention over all present slots, SwiGLU. A slot has a recency bucket and a time gap instead of an index, so an
all-[MASK] slot can be put anywhere. Several slots share a bucket; each token therefore also gets a projection of its
own slot's mean code embedding, without which the codes of neighbouring slots could not be told apart.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers import initialization as init
from transformers.utils import logging as transformers_logging

from reaseq.behavior.configuration import ReaSeqDenoiserConfig
from reaseq.behavior.errors import BehaviorError
from reaseq.behavior.slots import SlotBatch

INITIAL_HEAD, INITIAL_CONTEXT_GAIN = 0.3, 6.0
"""Scales of what the blocks say and of the context: an unfitted model prefers items like the history's over noise."""
LEAST_WEIGHT = 1e-6
"""What the context divides by where nothing is visible."""
MAX_LATENT_SCALE = 100.0
INITIAL_LATENT_SCALE = 1 / 0.07


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
        codes = self.of_codes(batch.codes)
        known = (batch.present[:, :, None] & (batch.codes != self.code.shape[1] - 1))[..., None]
        known = known * self.weight(batch.recency)[:, :, None, None]
        slot = self.recency(batch.recency) + self.gap(batch.gap) + self.action(batch.action)
        slot = slot + self.slot(codes.mean(2))
        x = codes + self.level + slot[:, :, None]
        return x, (codes * known).sum(1, keepdim=True), known.sum(1, keepdim=True)


class Block(nn.Module):
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
    ) -> tuple[Tensor, "KeysValues"]:
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

    def resumed(self, x: Tensor, kept: "KeysValues", places: Tensor, keys: Tensor | None) -> Tensor:
        """x [B, T', d], the tokens at `places` int64 [B, T'] alone: their keys and values replace the kept ones there,
        in place, and they attend to all that is kept."""
        split = (self.heads, x.shape[-1] // self.heads)
        query, key, value = self.qkv(self.attention_norm(x)).unflatten(-1, (3, *split)).permute(2, 0, 3, 1, 4)
        index = places[:, None, :, None].expand_as(key)
        kept.keys.scatter_(2, index, key)
        kept.values.scatter_(2, index, value)
        return self._after(x, F.scaled_dot_product_attention(query, kept.keys, kept.values, attn_mask=keys))

    def _after(self, x: Tensor, mixed: Tensor) -> Tensor:
        x = x + self.dropout(self.attention_out(mixed.transpose(1, 2).flatten(2)))
        gate, up = self.gate_up(self.mlp_norm(x)).chunk(2, -1)
        added: Tensor = self.dropout(self.mlp_out(F.silu(gate) * up))
        return x + added


@dataclass(frozen=True)
class KeysValues:
    """What one block's tokens are attended by: keys and values, each [B, heads, T, d/heads]."""

    keys: Tensor
    values: Tensor


class ReaSeqDenoiser(PreTrainedModel):
    """Slots in, hidden states out; `code_logits` and `latent` read them.

    The heads of the codes are tied to the code embeddings (plus a bias, which learns how frequent a code is). The mean
    of the visible codes is added to the hidden states, so that the blocks learn what differs from item-to-item
    similarity instead of having to find that first.
    """

    config_class: type[ReaSeqDenoiserConfig] = ReaSeqDenoiserConfig
    base_model_prefix = "denoiser"
    main_input_name = "codes"
    _supports_sdpa = True

    config: ReaSeqDenoiserConfig

    def __init__(self, config: ReaSeqDenoiserConfig):
        super().__init__(config)
        self.embedding = SlotEmbedding(config)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.num_hidden_layers))
        self.norm = nn.RMSNorm(config.hidden_size, eps=config.rms_norm_eps)
        self.head = nn.Linear(config.hidden_size, config.hidden_size, bias=False)
        self.context_gain = nn.Parameter(torch.empty(config.levels, 1))
        self.code_bias = nn.Parameter(torch.empty(config.levels, config.codebook_size))
        self.latent_head = nn.Linear(config.hidden_size, config.vector_size, bias=False)
        self.log_scale = nn.Parameter(torch.empty(()))
        self.post_init()

    def forward(self, batch: SlotBatch, wanted: Tensor | None = None, kept: list["KeysValues"] | None = None) -> Tensor:
        """Hidden states [B, S, L, d]; those of absent slots mean nothing. With `wanted` int64 [B, S'] those of these
        slots alone, [B, S', L, d], which saves most of the last block. Each block's keys and values are appended to
        `kept`."""
        x, context = self.embedding(batch)
        sequences, slots, levels, width = x.shape
        keys = None  # a batch without padding needs no mask, and is faster without
        if not bool(batch.present.all()):
            keys = batch.present.repeat_interleave(levels, 1)[:, None, None]
        x = x.view(sequences, slots * levels, width)
        tokens = None
        if wanted is not None:
            tokens = (wanted[..., None] * levels + torch.arange(levels, device=x.device)).flatten(1)[..., None]
        for block in self.layers:
            x, read = block(x, keys, tokens if block is self.blocks[-1] else None)
            if kept is not None:
                kept.append(read)
        return self.head(self.norm(x)).view(sequences, -1, levels, width) + self.context_gain * context

    @property
    def layers(self) -> list[Block]:
        """The blocks, first to last."""
        return [block for block in self.blocks if isinstance(block, Block)]

    def code_logits(self, hidden: Tensor) -> Tensor:
        """[..., L, d] → logits [..., L, K]."""
        heads = self.embedding.code[:, : self.config.codebook_size]
        return torch.einsum("...ld,lkd->...lk", hidden, heads) + self.code_bias

    def masked_logits(self, hidden: Tensor, masked: Tensor) -> list[Tensor]:
        """Per level the logits [n_l, K] of masked positions alone, in row-major order; `masked` is bool [B, S, L]."""
        heads = self.embedding.code[:, : self.config.codebook_size]
        return [
            hidden[:, :, level][masked[:, :, level]] @ heads[level].T + self.code_bias[level]
            for level in range(self.config.levels)
        ]

    def latent(self, hidden: Tensor) -> Tensor:
        """ẑ: [..., L, d] of a slot → unit vectors [..., 128], from the mean of its hidden states."""
        return F.normalize(self.latent_head(hidden.mean(-2)), dim=-1)

    @property
    def latent_scale(self) -> Tensor:
        """Inverse temperature of cosines between ẑ and z."""
        return self.log_scale.exp().clamp(max=MAX_LATENT_SCALE)

    @torch.no_grad()
    def start_from_codebook(self, centroids: Tensor, rotation: Tensor, generator: torch.Generator) -> None:
        """Put RER's knowledge in: code embeddings become the centroids [L, K, 128/L], centred, scaled to unit root mean
        square length per level, under random orthonormal frames into R^d; the latent head starts as the way back,
        through the codebook's rotation [128, 128].

        Raises:
            BehaviorError: the codebook is of another shape than the configuration says.
        """
        levels, size, part = centroids.shape
        if (levels, size) != (self.config.levels, self.config.codebook_size):
            raise BehaviorError(
                f"codebook.safetensors: centroids are {levels} × {size}, the denoiser expects {self.config.levels} × "
                f"{self.config.codebook_size}; make both with the same representation.levels and codebook_size."
            )
        back = torch.zeros_like(self.latent_head.weight)  # [128, d]
        frames = _frames(levels, part, self.config.hidden_size, generator)
        for level, frame in enumerate(frames):
            code = (centroids[level] - centroids[level].mean(0)) @ frame
            length = code.square().sum(-1).mean().sqrt().clamp(min=1e-6)
            self.embedding.code[level, :size].copy_(code / length)
            back[level * part : (level + 1) * part] = length * frame
        self.latent_head.weight.copy_(rotation.T @ back)

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        width = self.config.hidden_size
        if isinstance(module, SlotEmbedding):
            init.normal_(module.code, std=width**-0.5)
            init.normal_(module.level, std=width**-0.5)
            init.zeros_(module.log_weight)
        elif isinstance(module, nn.Embedding):
            init.normal_(module.weight, std=width**-0.5)
        elif isinstance(module, nn.Linear):
            init.normal_(module.weight, std=module.in_features**-0.5)
        elif isinstance(module, nn.RMSNorm):
            init.ones_(module.weight)
        elif isinstance(module, Block):
            depth = (2 * self.config.num_hidden_layers) ** -0.5
            init.normal_(module.attention_out.weight, std=depth * width**-0.5)
            init.normal_(module.mlp_out.weight, std=depth * self.config.intermediate_size**-0.5)
        elif isinstance(module, ReaSeqDenoiser):
            init.zeros_(module.code_bias)
            init.constant_(module.context_gain, INITIAL_CONTEXT_GAIN)
            init.normal_(module.head.weight, std=INITIAL_HEAD * width**-0.5)
            init.constant_(module.log_scale, torch.tensor(INITIAL_LATENT_SCALE).log().item())


def _frames(levels: int, part: int, width: int, generator: torch.Generator) -> list[Tensor]:
    """Orthonormal rows [part, d] per level; orthogonal between levels, too, where d has room for them all."""
    if width >= levels * part:
        whole = torch.linalg.qr(torch.randn(width, levels * part, generator=generator)).Q.T
        return list(whole.split(part))
    if width >= part:
        return [torch.linalg.qr(torch.randn(width, part, generator=generator)).Q.T for _ in range(levels)]
    return [torch.linalg.qr(torch.randn(part, width, generator=generator)).Q for _ in range(levels)]


Model = TypeVar("Model", bound=ReaSeqDenoiser)


def place(model: Model, device: str) -> Model:
    """Move the model to a device, in place. (`PreTrainedModel.to` is wrapped so that its type is lost.)"""
    nn.Module.to(model, torch.device(device))
    return model


@contextmanager
def _no_bars() -> Iterator[None]:
    """Hugging Face draws a bar for each file; ours are told through `reaseq.progress`."""
    shown = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            transformers_logging.enable_progress_bar()


def save_denoiser(model: ReaSeqDenoiser, folder: Path) -> None:
    """Write `config.json` and `model.safetensors`."""
    with _no_bars():
        model.save_pretrained(folder)


def load_denoiser(folder: Path) -> ReaSeqDenoiser:
    """A saved denoiser, ready to infer.

    Raises:
        BehaviorError: the folder holds none.
    """
    return load_model(folder, ReaSeqDenoiser)


def load_model(folder: Path, kind: type[Model]) -> Model:
    """A saved model of this very class, ready to infer.

    Raises:
        BehaviorError: the folder holds none.
    """
    try:
        with _no_bars():
            loaded: Any = kind.from_pretrained(folder, local_files_only=True, output_loading_info=True)
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise BehaviorError(f"no denoiser can be loaded from {folder} ({error}); fit it again.") from error
    model: Model
    model, report = loaded
    wrong = sorted(map(str, [*report["missing_keys"], *report["unexpected_keys"], *report["mismatched_keys"]]))
    if wrong:
        raise BehaviorError(f"denoiser {folder}: weights {', '.join(wrong)} are not those of this model; fit it again.")
    said = model.config.architectures
    if said != [kind.__name__]:  # a denoiser and a decoder have weights of the same names and shapes
        raise BehaviorError(f"{folder} holds a model of {said}, and {kind.__name__} is wanted.")
    return model.eval()
