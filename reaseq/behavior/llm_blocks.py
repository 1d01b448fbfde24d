"""The blocks of a pretrained decoder LLM, in place of the denoiser's own.

The LLM reads code embeddings in place of those of its words, which are dropped, and its causal mask is removed, as
LLM2Vec does (arXiv 2404.05961): with the mask given, attention of the Llama family looks wherever the mask lets it.
Large ones learn through low-rank adapters alone (LoRA, arXiv 2106.09685), saved beside the weights they adapt.

Tokens keep their places for the LLM's rotary positions: token n of those present stands at n. An LLM was pretrained on
successive places and tells its neighbours by them; were all at 0, every head would find every token where it expects
the token itself. The places are only ever compared, so a slot can still be put anywhere, and they are counted over
present tokens, so that padding and left-out slots make no difference.
"""

from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, PreTrainedModel
from transformers.cache_utils import Cache

from reaseq.behavior.blocks import KeysValues
from reaseq.behavior.configuration import ReaSeqDenoiserConfig

ATTENTION, MLP = ("q_proj", "k_proj", "v_proj", "o_proj"), ("gate_proj", "up_proj", "down_proj")
ADAPTED = (*ATTENTION, *MLP)
"""Linear layers of a block that get adapters."""
ADAPTER_SCALE = 2.0
"""What adapters put out is multiplied by this (α/r of LoRA, whatever r)."""


class LlmBlocks(nn.Module):
    """A `Backbone`: blocks and final norm of a decoder LLM.

    Args:
        config: its `llm` says which; `dropout` zeroes that share of what attention and MLP of a block put out, as in
            the denoiser's own blocks.
        llm: the LLM itself; None makes one of random weights, to be loaded into.
    """

    unasked = 1.0
    """The last block computes all tokens."""

    def __init__(self, config: ReaSeqDenoiserConfig, llm: PreTrainedModel | None = None):
        super().__init__()
        self.adapted = config.lora_rank > 0
        self.depth, self.lower = config.num_hidden_layers, config.bfloat16
        if llm is None:
            shape = AutoConfig.for_model(**cast(dict[str, Any], config.llm))
            llm = cast(PreTrainedModel, AutoModel.from_config(shape, attn_implementation="sdpa"))
        llm.set_input_embeddings(nn.Identity())
        self.llm = llm
        if self.adapted:
            _add_adapters(llm, config.lora_rank)
        if config.dropout:
            for name, layer in llm.named_modules():
                if name.endswith((ATTENTION[-1], MLP[-1])):
                    layer.register_forward_hook(_Dropping(config.dropout))

    def forward(
        self, x: Tensor, present: Tensor | None, wanted: Tensor | None = None, kept: list[KeysValues] | None = None
    ) -> Tensor:
        cache = None if kept is None else _Keeping(kept)
        x = self._computed(x, present, _positions(x, present), cache)
        return x if wanted is None else x.gather(1, wanted[..., None].expand(-1, -1, x.shape[2]))

    def resumed(self, x: Tensor, kept: list[KeysValues], places: Tensor, present: Tensor | None) -> Tensor:
        if present is None:
            present = places.new_ones(len(x), kept[0].keys.shape[2], dtype=torch.bool)
        return self._computed(x, present, _positions(x, present).gather(1, places), _Replacing(kept, places))

    def fix_beneath_adapters(self) -> None:
        """Where there are adapters, nothing else of the LLM learns, and is held in the type that it computes in. To be
        said again after loading, which makes weights anew."""
        for name, parameter in self.llm.named_parameters():
            if self.adapted and ".lora_" not in name:
                parameter.requires_grad_(False)
                parameter.data = parameter.data.to(torch.bfloat16 if self.lower else torch.float32)

    def _computed(self, x: Tensor, present: Tensor | None, positions: Tensor, cache: Cache | None) -> Tensor:
        if present is None:
            present = x.new_ones(len(x), x.shape[1], dtype=torch.bool)
        mask = present[:, None, None].expand(-1, 1, x.shape[1], -1)  # never None: the LLM would take a causal one
        with torch.autocast(x.device.type, torch.bfloat16, enabled=self.lower):
            read = self.llm(
                inputs_embeds=x, attention_mask=mask, position_ids=positions, past_key_values=cache, use_cache=False
            )
        hidden: Tensor = read.last_hidden_state.to(x.dtype)
        return hidden


class _Dropping:
    """A forward hook that zeroes a share of what a layer puts out, in training."""

    def __init__(self, share: float):
        self.share = share

    def __call__(self, layer: nn.Module, inputs: Any, out: Tensor) -> Tensor:
        return F.dropout(out, self.share, layer.training)


class _Keeping(Cache):
    """Writes down the keys and values that each layer computes."""

    def __init__(self, kept: list[KeysValues]):
        super().__init__(layers=[])
        self.kept = kept

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        self.kept.append(KeysValues(key_states, value_states))
        return key_states, value_states


class _Replacing(Cache):
    """Puts the keys and values of some tokens in the place of the kept ones, in place, and gives all."""

    def __init__(self, kept: list[KeysValues], places: Tensor):
        super().__init__(layers=[])
        self.kept, self.places = kept, places

    def update(
        self, key_states: Tensor, value_states: Tensor, layer_idx: int, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        kept = self.kept[layer_idx]
        kept.replace(self.places, key_states, value_states)
        return kept.keys, kept.values


def _positions(x: Tensor, present: Tensor | None) -> Tensor:
    """Int64 [B, T]: of each present token, how many present ones stand before it."""
    if present is None:
        return torch.arange(x.shape[1], device=x.device).expand(len(x), -1)
    return (present.cumsum(1) - 1).clamp(min=0)


def _add_adapters(llm: PreTrainedModel, rank: int) -> None:
    """In place. Adapters start as no change."""
    from peft import LoraConfig, inject_adapter_in_model

    settings = LoraConfig(r=rank, lora_alpha=round(ADAPTER_SCALE * rank), target_modules=list(ADAPTED), bias="none")
    inject_adapter_in_model(settings, llm)
    for module in llm.modules():
        for name in ("lora_A", "lora_B"):
            for layer in getattr(module, name, nn.ModuleDict()).values():
                layer._is_hf_initialized = True  # its B is zero, and `post_init` would draw it
