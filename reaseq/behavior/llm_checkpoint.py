"""Pretrained decoder LLMs as backbones: which can be used, and a denoiser that starts from one.

Weights are read from safetensors only and no code of a checkpoint is ever run; those that bring some are read where
`diffusion_llms` says what it computes.
"""

import re
from pathlib import Path
from typing import Any, cast

import torch
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError
from torch import nn
from transformers import AutoConfig, AutoModel, PretrainedConfig, PreTrainedModel

from reaseq.behavior.configuration import ReaSeqDenoiserConfig
from reaseq.behavior.denoiser import ReaSeqDenoiser, quiet
from reaseq.behavior.diffusion_llms import TRANSLATIONS, Translation
from reaseq.behavior.errors import BehaviorError
from reaseq.behavior.llm_blocks import LlmBlocks
from reaseq.config import BehaviorConfig, Json
from reaseq.pretrained import CheckpointNotFoundError, digest_of_files, find_checkpoint, hub_note

FAMILY = ("llama", "mistral", "qwen2", "qwen3")
"""Model types that are known to be read right: rotary positions, a mask that is given is the one that counts, and the
layers that `llm_blocks` adapts go by these names."""
_WORDS = {"vocab_size": 1, "pad_token_id": None, "bos_token_id": None, "eos_token_id": None}
"""There are none: code embeddings stand in their place."""
_BROKEN = (OSError, ValueError, KeyError, ImportError, RuntimeError, SafetensorError, StrictDataclassError)
"""What a checkpoint that can't be read raises."""
_IN_A_BLOCK = re.compile(r"(model\.)?layers\.\d")
_NOT_ITS_SHAPE = ("_name_or_path", "architectures", "dtype", "transformers_version")


def llm_identity(name: str) -> Json:
    """What belongs into the key of a fit that starts from the LLM `hf:<name or folder>`: its name and its digest.

    Raises:
        BehaviorError: it can't be had.
    """
    return {"name": name, "digest": digest_of_files(_find(name))}


def denoiser_on_llm(behavior: BehaviorConfig, **shape: Any) -> ReaSeqDenoiser:
    """A denoiser with the blocks of the LLM that `behavior.backbone` names, and everything else new.

    Args:
        shape: what `ReaSeqDenoiserConfig` says of codes, slots and actions, and its dropout.

    Raises:
        BehaviorError: the LLM can't be had, is no decoder of a family that can be used, or can't read so many tokens.
    """
    name = behavior.backbone
    llm = _open(name)
    tokens, most = shape["max_slots"] * shape["levels"], llm.config.max_position_embeddings
    if tokens > most:
        raise _unusable(name, f"it reads {most} tokens, and behavior.max_slots and the masked slots are {tokens}")
    words = cast(nn.Embedding, llm.get_input_embeddings()).weight
    config = ReaSeqDenoiserConfig(
        hidden_size=llm.config.hidden_size,
        num_hidden_layers=llm.config.num_hidden_layers,
        num_attention_heads=llm.config.num_attention_heads,
        intermediate_size=llm.config.intermediate_size,
        llm={k: v for k, v in llm.config.to_diff_dict().items() if k not in _NOT_ITS_SHAPE} | _WORDS,
        lora_rank=behavior.lora_rank,
        bfloat16=behavior.bfloat16,
        embedding_norm=words.detach().norm(dim=-1).square().mean().sqrt().item(),
        **shape,
    )
    model = ReaSeqDenoiser(config, llm)
    cast(LlmBlocks, model.blocks).fix_beneath_adapters()
    return model


def _open(name: str) -> PreTrainedModel:
    """The LLM in float32, without its language head."""
    folder = _find(name)
    settings: Any = {"local_files_only": True, "trust_remote_code": False}
    try:
        said, _ = PretrainedConfig.get_config_dict(folder, local_files_only=True)
        if "model_type" not in said:
            raise ValueError("it has no config.json that names a model_type")
        translation = TRANSLATIONS.get(said["model_type"])
        _check(name, folder, said, translation)
        with quiet():
            loaded: Any = AutoModel.from_pretrained(
                folder, **settings, use_safetensors=True, dtype=torch.float32, attn_implementation="sdpa",
                config=translation.config(said) if translation else AutoConfig.from_pretrained(folder, **settings),
                key_mapping=dict(translation.names) if translation else None,
                output_loading_info=True, ignore_mismatched_sizes=True,
            )  # fmt: skip
    except _BROKEN as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise _unusable(name, f"{folder} does not load: {reason}") from None
    llm: PreTrainedModel
    llm, report = loaded
    if missing := {*report["missing_keys"], *(key for key, *_ in report["mismatched_keys"])}:
        raise _unusable(name, f"{folder} lacks weights or has them of another shape: {_some(missing)}")
    if unread := {key for key in report["unexpected_keys"] if _IN_A_BLOCK.match(key)}:
        raise _unusable(name, f"{folder} has weights that {llm.config.model_type} has no place for: {_some(unread)}")
    return llm


def _check(name: str, folder: Path, said: Json, translation: Translation | None) -> None:
    kind = said["model_type"]
    if kind not in FAMILY and translation is None:
        raise _unusable(name, f"it is a {kind!r}, and decoders of {', '.join((*FAMILY, *TRANSLATIONS))} can be used")
    if translation and (deviations := translation.deviations(said)):
        reason = f"its config.json says {', '.join(deviations)}, which is not known to be read right"
        raise _unusable(name, f"{reason}; take a {kind} that is built like {translation.example}")
    if said.get("quantization_config"):
        raise _unusable(name, "its weights are quantised; take those that it was made from")
    if not any(folder.glob("*.safetensors")):
        pickled = any(p for ending in ("*.bin", "*.pt", "*.pth") for p in folder.glob(ending))
        reason = "its weights are pickled, and a pickle may run code; save them as safetensors"
        raise _unusable(name, reason if pickled else f"{folder} holds no *.safetensors")


def _some(weights: set[str]) -> str:
    first = sorted(weights)[:3]
    return ", ".join(first) + (f" and {len(weights) - 3} more" if len(weights) > 3 else "")


def _find(name: str) -> Path:
    try:
        return find_checkpoint(name.removeprefix("hf:"))
    except CheckpointNotFoundError as error:
        raise _unusable(name, str(error)) from None


def _unusable(name: str, reason: str) -> BehaviorError:
    return BehaviorError(
        f"behavior.backbone {name!r} can't be used: {reason}.{hub_note()} Set it to `scratch`, or to `hf:<name or "
        "folder>` of a decoder LLM."
    )
