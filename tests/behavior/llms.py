"""Decoder LLMs of two narrow layers with random weights, saved as Hugging Face saves them, and denoisers on them."""

from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM

from reaseq.behavior.denoiser import ReaSeqDenoiser
from reaseq.behavior.llm_checkpoint import denoiser_on_llm
from reaseq.config import load
from tests.behavior.toys import LEVELS, SIZE

WIDTH, LAYERS, WORDS = 32, 2, 50
LLAMA_3 = {
    "rope_type": "llama3", "rope_theta": 5e5, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
    "original_max_position_embeddings": 128,
}  # fmt: skip
FAMILY: dict[str, dict[str, Any]] = {
    "llama": {"rope_parameters": LLAMA_3, "bos_token_id": 1, "eos_token_id": 2},
    "mistral": {"sliding_window": 2},
    "qwen2": {"tie_word_embeddings": True},
    "qwen3": {"head_dim": 16, "pad_token_id": 3},
}
"""What makes each one hard: scaled rotary positions, a window, tied words, heads wider than the model."""


def write_llm(folder: Path, kind: str = "qwen3", **settings: Any) -> str:
    """Save one; gives its name for `behavior.backbone`."""
    torch.manual_seed(1)
    shape = {
        "vocab_size": WORDS, "hidden_size": WIDTH, "intermediate_size": 48, "num_hidden_layers": LAYERS,
        "num_attention_heads": 4, "num_key_value_heads": 2, "initializer_range": 0.2,
    }  # fmt: skip
    config = AutoConfig.for_model(kind, **shape | FAMILY.get(kind, {}) | settings)
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    return f"hf:{folder}"


def llm_denoiser(
    backbone: str, *, rank: int = 0, bfloat16: bool = False, dropout: float = 0.0, max_slots: int = 40
) -> ReaSeqDenoiser:
    """As `toy_model`, on an LLM."""
    torch.manual_seed(0)
    settings = {"backbone": backbone, "lora_rank": rank, "bfloat16": bfloat16}
    behavior = load("tiny", overrides={f"behavior.{name}": value for name, value in settings.items()}).behavior
    model = denoiser_on_llm(
        behavior, levels=LEVELS, codebook_size=SIZE, max_slots=max_slots, action_names=("click",), dropout=dropout
    )
    return model.eval()


def stir(model: ReaSeqDenoiser) -> ReaSeqDenoiser:
    """Give adapters, which start as no change, something to say."""
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.copy_(0.1 * torch.randn(parameter.shape, generator=generator))
    return model
