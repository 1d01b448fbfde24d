"""Masked-diffusion LLMs whose checkpoints bring code of their own, read as the decoders that they are but for the mask.

LLaDA (arXiv 2502.09992) is Llama under the names of OLMo; Dream (arXiv 2508.15487) is Qwen2 under Qwen2's own. What
their published code computes is said here as a configuration and names of weights that transformers knows, so that the
code need not be run.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from transformers import LlamaConfig, PretrainedConfig, Qwen2Config

from reaseq.config import Json


@dataclass(frozen=True)
class Translation:
    """From what the checkpoints of a type say to what transformers reads.

    Args:
        config: of the content of a `config.json`.
        presumed: the values of its fields under which that configuration computes the same. What is left out is off.
        names: patterns of names of weights, and what stands in their place; each applies to what the last one made.
        example: a checkpoint that can be read.
    """

    config: Callable[[Json], PretrainedConfig]
    presumed: Json
    names: Mapping[str, str]
    example: str

    def deviations(self, said: Json) -> list[str]:
        """What a `config.json` says that can't be represented, as `field=value`."""
        other = (field for field, value in self.presumed.items() if _off(said.get(field)) != _off(value))
        return [f"{field}={said.get(field)!r}" for field in other]


def _off(value: Any) -> Any:
    return value or None


def _llama(llada: Json) -> LlamaConfig:
    """Rotary positions turn the halves of a head, as Llama's do. `weight_tying` and `scale_logits` are of the language
    head, which is dropped."""
    width, heads = llada["d_model"], llada["n_heads"]
    return LlamaConfig(
        vocab_size=llada.get("embedding_size") or llada["vocab_size"],
        hidden_size=width,
        intermediate_size=llada.get("mlp_hidden_size") or llada["mlp_ratio"] * width,
        num_hidden_layers=llada["n_layers"],
        num_attention_heads=heads,
        num_key_value_heads=llada.get("n_kv_heads") or (1 if llada.get("multi_query_attention") else heads),
        max_position_embeddings=llada["max_sequence_length"],
        rms_norm_eps=llada["rms_norm_eps"],
        rope_parameters={"rope_type": "default", "rope_theta": llada["rope_theta"]},
    )


_OF_QWEN2 = (
    "vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads",
    "hidden_act", "max_position_embeddings", "rms_norm_eps", "rope_theta", "rope_scaling", "rope_parameters",
)  # fmt: skip


def _qwen2(dream: Json) -> Qwen2Config:
    """Both take the same values for what is left out, and both have biases on queries, keys and values alone, whatever
    `attention_bias` and `mlp_bias` say."""
    return Qwen2Config(**{field: dream[field] for field in _OF_QWEN2 if field in dream})


TRANSLATIONS = {
    "llada": Translation(
        config=_llama,
        presumed={
            "block_type": "llama", "block_group_size": 1, "activation_type": "silu", "layer_norm_type": "rms",
            "layer_norm_with_affine": True, "bias_for_layer_norm": False, "attention_layer_norm": False,
            "include_bias": False, "include_qkv_bias": False, "input_emb_norm": False, "rope": True,
            "rope_scaling": None, "alibi": False,
        },
        names={
            r"^model\.transformer\.wte\.": "model.embed_tokens.",
            r"^model\.transformer\.ln_f\.": "model.norm.",
            r"^model\.transformer\.ff_out\.": "lm_head.",
            r"^model\.transformer\.blocks\.": "model.layers.",
            r"\.attn_norm\.": ".input_layernorm.",
            r"\.(q_proj|k_proj|v_proj)\.": r".self_attn.\1.",
            r"\.attn_out\.": ".self_attn.o_proj.",
            r"\.ff_norm\.": ".post_attention_layernorm.",
            r"\.ff_proj\.": ".mlp.gate_proj.",
            r"\.up_proj\.": ".mlp.up_proj.",
            r"\.ff_out\.": ".mlp.down_proj.",
        },
        example="GSAI-ML/LLaDA-8B-Base",
    ),
    "Dream": Translation(
        config=_qwen2, presumed={"use_mrope": False}, names={}, example="Dream-org/Dream-v0-Base-7B"
    ),
}  # fmt: skip
"""By `model_type`."""
