"""The denoiser: a transformer without a causal mask that fills in the masked codes of behaviour slots.

Masked diffusion after LLaDA (arXiv 2502.09992), over item codes as in LLaDA-Rec and DiffGRM. A slot has a recency
bucket and a time gap instead of an index, so an all-[MASK] slot can be put anywhere. The blocks between embedding and
heads are its own (`blocks`) or those of a pretrained decoder LLM (`llm_blocks`).
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers import initialization as init
from transformers.utils import logging as transformers_logging

from reaseq.behavior.blocks import Backbone, Block, Blocks, Kept, KeysValues
from reaseq.behavior.configuration import ReaSeqDenoiserConfig
from reaseq.behavior.embedding import SlotEmbedding
from reaseq.behavior.errors import BehaviorError
from reaseq.behavior.llm_blocks import LlmBlocks
from reaseq.behavior.slots import SlotBatch

INITIAL_HEAD, INITIAL_CONTEXT_GAIN = 0.3, 6.0
"""Scales of what the blocks say and of the context: an unfitted model prefers items like the history's over noise."""
MAX_LATENT_SCALE = 100.0
INITIAL_LATENT_SCALE = 1 / 0.07


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
    supports_gradient_checkpointing = True

    config: ReaSeqDenoiserConfig

    def __init__(self, config: ReaSeqDenoiserConfig, llm: PreTrainedModel | None = None):
        """`llm`: whose blocks it takes over, where the configuration asks for an LLM's; None makes them anew."""
        super().__init__(config)
        self.embedding = SlotEmbedding(config)
        self.blocks: Backbone = Blocks(config) if config.llm is None else LlmBlocks(config, llm)
        self.norm = nn.RMSNorm(config.hidden_size, eps=config.rms_norm_eps)
        self.head = nn.Linear(config.hidden_size, config.hidden_size, bias=False)
        self.context_gain = nn.Parameter(torch.empty(config.levels, 1))
        self.code_bias = nn.Parameter(torch.empty(config.levels, config.codebook_size))
        self.latent_head = nn.Linear(config.hidden_size, config.vector_size, bias=False)
        self.log_scale = nn.Parameter(torch.empty(()))
        self.post_init()

    def forward(self, batch: SlotBatch, wanted: Tensor | None = None, kept: list[KeysValues] | None = None) -> Tensor:
        """Hidden states [B, S, L, d]; those of absent slots mean nothing. With `wanted` int64 [B, S'] those of these
        slots alone, [B, S', L, d], which saves most of the last block of its own. Each block's keys and values are
        appended to `kept`."""
        x, context = self.embedding(batch)
        sequences, slots, levels, width = x.shape
        tokens = None
        if wanted is not None:
            tokens = (wanted[..., None] * levels + torch.arange(levels, device=x.device)).flatten(1)
        x = self.blocks(x.view(sequences, slots * levels, width), batch.present_tokens, tokens, kept)
        return self.head(self.norm(x)).view(sequences, -1, levels, width) + self.context_gain * context

    def resumed(self, x: Tensor, context: Tensor, kept: Sequence[Kept], silent: int) -> Tensor:
        """Hidden states [ΣB, T' - silent, d] of some tokens alone, from what forwards kept; x [ΣB, T', d] are all that
        are to be computed, context, gain included, is of those that are to be put out, see `Backbone.resumed`."""
        return self.head(self.norm(self.blocks.resumed(x, kept, silent))) + context

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
        square length per level (an LLM's blocks: to that of its own token embeddings), under random orthonormal frames
        into R^d; the latent head starts as the way back, through the codebook's rotation [128, 128].

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
            self.embedding.code[level, :size].copy_(code / (length / self.config.embedding_norm))
            back[level * part : (level + 1) * part] = length * frame
        self.latent_head.weight.copy_(rotation.T @ back)

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        width, norm = self.config.hidden_size, self.config.embedding_norm
        if isinstance(module, SlotEmbedding):
            init.normal_(module.code, std=norm * width**-0.5)
            init.normal_(module.level, std=norm * width**-0.5)
            init.zeros_(module.log_weight)
        elif isinstance(module, nn.Embedding):
            init.normal_(module.weight, std=norm * width**-0.5)
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
            init.constant_(module.context_gain, INITIAL_CONTEXT_GAIN / norm**2)  # codes of any length, same logits
            init.normal_(module.head.weight, std=INITIAL_HEAD / norm * width**-0.5)
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
def quiet() -> Iterator[None]:
    """Hugging Face draws a bar for each file and reports on weights; ours are told through `reaseq.progress`, and
    weights that are not as they should be are an error."""
    shown, verbosity = transformers_logging.is_progress_bar_enabled(), transformers_logging.get_verbosity()
    transformers_logging.disable_progress_bar()
    transformers_logging.set_verbosity_error()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(verbosity)
        if shown:
            transformers_logging.enable_progress_bar()


def save_denoiser(model: ReaSeqDenoiser, folder: Path, state: dict[str, Tensor] | None = None) -> None:
    """Write `config.json` and `model.safetensors`; `state`: its whole weights, where they are held elsewhere."""
    with quiet():
        model.save_pretrained(folder, state_dict=state)


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
        with quiet():
            loaded: Any = kind.from_pretrained(folder, local_files_only=True, output_loading_info=True)
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise BehaviorError(f"no {kind.__name__} can be loaded from {folder} ({error}); fit it again.") from error
    model: Model
    model, report = loaded
    wrong = sorted(map(str, [*report["missing_keys"], *report["unexpected_keys"], *report["mismatched_keys"]]))
    if wrong:
        raise BehaviorError(
            f"{kind.__name__} {folder}: weights {', '.join(wrong)} are not those of this model; fit it again."
        )
    said = model.config.architectures
    if said != [kind.__name__]:  # a denoiser and a decoder have weights of the same names and shapes
        raise BehaviorError(f"{folder} holds a model of {said}, and {kind.__name__} is wanted.")
    if isinstance(model.blocks, LlmBlocks):
        model.blocks.fix_beneath_adapters()
    return model.eval()
