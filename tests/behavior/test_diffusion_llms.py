"""LLaDA and Dream as backbones: tiny checkpoints in their published naming, read without the code that they bring."""

import json
from collections.abc import Callable
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from huggingface_hub import save_torch_state_dict
from safetensors.torch import load_file, save_file
from torch import Tensor

from reaseq.artifacts import Artifact, Workspace
from reaseq.behavior import BehaviorError, fit_denoiser, infer_behaviors, load_denoiser
from reaseq.behavior.checkpoint import learned_state
from reaseq.behavior.corpus import Corpus
from reaseq.behavior.inpainting import Inpainting
from reaseq.behavior.training import fit
from reaseq.config import Json
from reaseq.determinism import deterministic_torch
from tests.behavior.llms import llm_denoiser
from tests.behavior.test_llm_stage import RANK, _config
from tests.behavior.test_training import CODES as RING_CODES
from tests.behavior.test_training import CONFIG as RING
from tests.behavior.test_training import LENGTH, TABLES, _catalogue, _suffix_loss, ring

WIDTH, HIDDEN, LAYERS, HEADS, WORDS = 32, 48, 2, 4, 50
LLADA: Json = {
    "model_type": "llada", "architectures": ["LLaDAModelLM"], "d_model": WIDTH, "n_heads": HEADS, "n_kv_heads": 2,
    "multi_query_attention": None, "n_layers": LAYERS, "mlp_hidden_size": HIDDEN, "mlp_ratio": 4, "block_type": "llama",
    "block_group_size": 1, "activation_type": "silu", "layer_norm_type": "rms", "layer_norm_with_affine": True,
    "rms_norm_eps": 1e-2, "bias_for_layer_norm": False, "attention_layer_norm": False, "include_bias": False,
    "include_qkv_bias": False, "input_emb_norm": False, "rope": True, "rope_full_precision": True, "rope_theta": 50.0,
    "alibi": False, "alibi_bias_max": 8.0, "max_sequence_length": 4096, "vocab_size": WORDS - 2,
    "embedding_size": WORDS, "weight_tying": False, "scale_logits": False, "mask_token_id": 3, "pad_token_id": 1,
    "residual_dropout": 0.0, "attention_dropout": 0.0, "embedding_dropout": 0.0, "init_device": "meta",
}  # fmt: skip
DREAM: Json = {
    "model_type": "Dream", "architectures": ["DreamModel"], "hidden_size": WIDTH, "intermediate_size": HIDDEN,
    "num_hidden_layers": LAYERS, "num_attention_heads": HEADS, "num_key_value_heads": 2, "hidden_act": "silu",
    "max_position_embeddings": 4096, "rms_norm_eps": 1e-2, "rope_theta": 50.0, "rope_scaling": None,
    "use_sliding_window": False, "sliding_window": None, "max_window_layers": 1, "use_mrope": False,
    "vocab_size": WORDS, "tie_word_embeddings": False, "mask_token_id": 3, "pad_token_id": 1, "use_cache": True,
}  # fmt: skip
KINDS = {"llada": LLADA, "Dream": DREAM}
DREAM_NAMES = {
    "attn_norm": "input_layernorm", "q_proj": "self_attn.q_proj", "k_proj": "self_attn.k_proj",
    "v_proj": "self_attn.v_proj", "attn_out": "self_attn.o_proj", "ff_norm": "post_attention_layernorm",
    "ff_proj": "mlp.gate_proj", "up_proj": "mlp.up_proj", "ff_out": "mlp.down_proj",
}  # fmt: skip
"""What a block of Dream calls what one of LLaDA calls so."""


def _names(kind: str) -> Callable[[int, str], str]:
    if kind == "llada":
        return lambda layer, part: f"model.transformer.blocks.{layer}.{part}"
    return lambda layer, part: f"model.layers.{layer}.{DREAM_NAMES[part]}"


def _weights(kind: str, groups: int, hidden: int) -> dict[str, Tensor]:
    """Random ones, of norms too, under the published names."""
    keys = groups * WIDTH // HEADS
    block = {
        "attn_norm": (WIDTH,), "q_proj": (WIDTH, WIDTH), "k_proj": (keys, WIDTH), "v_proj": (keys, WIDTH),
        "attn_out": (WIDTH, WIDTH), "ff_norm": (WIDTH,), "ff_proj": (hidden, WIDTH), "up_proj": (hidden, WIDTH),
        "ff_out": (WIDTH, hidden),
    }  # fmt: skip
    name = _names(kind)
    shapes: dict[str, tuple[int, ...]] = {
        f"{name(layer, part)}.weight": shape for layer in range(LAYERS) for part, shape in block.items()
    }
    words, norm, head = ("transformer.wte", "transformer.ln_f", "model.transformer.ff_out")
    if kind == "Dream":
        words, norm, head = ("embed_tokens", "norm", "lm_head")
        for layer in range(LAYERS):
            shapes |= {f"{name(layer, part)}.bias": block[part][:1] for part in ("q_proj", "k_proj", "v_proj")}
    shapes |= {
        f"model.{words}.weight": (WORDS, WIDTH),
        f"model.{norm}.weight": (WIDTH,),
        f"{head}.weight": (WORDS, WIDTH),
    }
    generator = torch.Generator().manual_seed(0)
    return {name: torch.randn(shape, generator=generator) / prod(shape[1:]) ** 0.5 for name, shape in shapes.items()}


def _write(folder: Path, config: Json, groups: int = 2, hidden: int = HIDDEN) -> str:
    """Save one, with code that would end the process."""
    folder.mkdir(parents=True, exist_ok=True)
    remote = {"auto_map": {"AutoConfig": "code.Config", "AutoModel": "code.Model"}}
    (folder / "config.json").write_text(json.dumps(config | remote))
    (folder / "code.py").write_text("raise SystemExit('it ran')")
    weights = _weights(config["model_type"], groups, hidden)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return f"hf:{folder}"


def _published(weights: dict[str, Tensor], kind: str, groups: int, x: Tensor) -> Tensor:
    """What `modeling_llada.py` and `modeling_dream.py` compute of embeddings [B, T, d], in as many words."""
    name, size, (rows, length, _) = _names(kind), WIDTH // HEADS, x.shape
    angles = torch.arange(length)[:, None] * 50.0 ** (-torch.arange(0, size, 2) / size)
    cos, sin = angles.cos(), angles.sin()

    def norm(values: Tensor, key: str) -> Tensor:
        return weights[f"{key}.weight"] * values / (values.square().mean(-1, keepdim=True) + 1e-2).sqrt()

    def linear(values: Tensor, key: str) -> Tensor:
        return F.linear(values, weights[f"{key}.weight"], weights.get(f"{key}.bias"))

    def heads(values: Tensor) -> Tensor:
        return values.view(rows, length, -1, size).transpose(1, 2)

    def turned(values: Tensor) -> Tensor:
        first, second = values.chunk(2, -1)
        return torch.cat((first * cos - second * sin, second * cos + first * sin), -1)

    for layer in range(LAYERS):
        seen = norm(x, name(layer, "attn_norm"))
        q, k, v = (heads(linear(seen, name(layer, part))) for part in ("q_proj", "k_proj", "v_proj"))
        q, k, v = turned(q), turned(k).repeat_interleave(HEADS // groups, 1), v.repeat_interleave(HEADS // groups, 1)
        attention = (q @ k.mT / size**0.5).softmax(-1) @ v
        x = x + linear(attention.transpose(1, 2).reshape(rows, length, WIDTH), name(layer, "attn_out"))
        seen = norm(x, name(layer, "ff_norm"))
        gated = F.silu(linear(seen, name(layer, "ff_proj"))) * linear(seen, name(layer, "up_proj"))
        x = x + linear(gated, name(layer, "ff_out"))
    return norm(x, "model.transformer.ln_f" if kind == "llada" else "model.norm")


@pytest.fixture(scope="module", params=KINDS)
def backbone(request: pytest.FixtureRequest, home: Path) -> str:
    return _write(home / request.param, KINDS[request.param])


@pytest.mark.parametrize(
    ("config", "groups", "hidden"),
    [
        (LLADA, 2, HIDDEN),
        (LLADA | {"n_kv_heads": None, "mlp_hidden_size": None}, HEADS, 4 * WIDTH),
        (
            LLADA | {"n_kv_heads": None, "multi_query_attention": True, "embedding_size": None, "vocab_size": WORDS},
            1,
            HIDDEN,
        ),
        (LLADA | {"bias_for_layer_norm": None, "scale_logits": True}, 2, HIDDEN),
        (DREAM, 2, HIDDEN),
        (DREAM | {"num_key_value_heads": HEADS, "use_sliding_window": True, "sliding_window": 2}, HEADS, HIDDEN),
    ],
)
def test_blocks_compute_what_is_published(config: Json, groups: int, hidden: int, tmp_path: Path) -> None:
    model = llm_denoiser(_write(tmp_path, config, groups, hidden))
    weights = load_file(tmp_path / "model.safetensors")
    x = torch.randn(2, 12, WIDTH, generator=torch.Generator().manual_seed(1))
    expected = _published(weights, config["model_type"], groups, x)
    with torch.no_grad():
        assert torch.allclose(model.blocks(x, None), expected, atol=1e-5)


def test_codes_are_as_long_as_its_words(backbone: str) -> None:
    weights = load_file(Path(backbone.removeprefix("hf:")) / "model.safetensors")
    (words,) = (weights[name] for name in weights if "wte" in name or "embed_tokens" in name)
    assert llm_denoiser(backbone).config.embedding_norm == pytest.approx(words.square().sum(1).mean().sqrt().item())


def test_shards_are_read(backbone: str, tmp_path: Path) -> None:
    folder = Path(backbone.removeprefix("hf:"))
    save_torch_state_dict(load_file(folder / "model.safetensors"), tmp_path, max_shard_size="10KB")
    (tmp_path / "config.json").write_text((folder / "config.json").read_text())
    assert len(list(tmp_path.glob("*.safetensors"))) > 1
    one, many = llm_denoiser(backbone).state_dict(), llm_denoiser(f"hf:{tmp_path}").state_dict()
    assert all(torch.equal(one[weight], many[weight]) for weight in one)


@pytest.mark.parametrize(
    ("kind", "field", "value"),
    [
        ("llada", "block_type", "sequential"),
        ("llada", "block_group_size", 2),
        ("llada", "activation_type", "swiglu"),
        ("llada", "layer_norm_type", "gemma_rms"),
        ("llada", "layer_norm_with_affine", False),
        ("llada", "bias_for_layer_norm", True),
        ("llada", "attention_layer_norm", True),
        ("llada", "include_bias", True),
        ("llada", "include_qkv_bias", True),
        ("llada", "input_emb_norm", True),
        ("llada", "rope", False),
        ("llada", "rope_scaling", {"rope_type": "linear", "factor": 2.0}),
        ("llada", "alibi", True),
        ("Dream", "use_mrope", True),
    ],
)
def test_a_variant_that_computes_something_else_is_refused(kind: str, field: str, value: Any, tmp_path: Path) -> None:
    with pytest.raises(BehaviorError, match=rf"{field}=.*built like .*(LLaDA-8B|Dream-v0).*scratch"):
        llm_denoiser(_write(tmp_path, KINDS[kind] | {field: value}))


def test_what_is_left_out_of_the_configuration_is_not_guessed(tmp_path: Path) -> None:
    with pytest.raises(BehaviorError, match="block_type=None"):
        llm_denoiser(_write(tmp_path / "kind", {"model_type": "llada"}))
    with pytest.raises(BehaviorError, match=r"does not load: .*rope_theta"):
        llm_denoiser(_write(tmp_path / "theta", {key: LLADA[key] for key in LLADA if key != "rope_theta"}))


@pytest.mark.parametrize(("kind", "weight"), [("llada", "q_norm"), ("Dream", "self_attn.o_proj.bias")])
def test_weights_that_nothing_reads_are_refused(kind: str, weight: str, tmp_path: Path) -> None:
    name, file = _write(tmp_path, KINDS[kind]), tmp_path / "model.safetensors"
    blocks = "model.transformer.blocks" if kind == "llada" else "model.layers"
    save_file(load_file(file) | {f"{blocks}.1.{weight}": torch.ones(WIDTH)}, file, metadata={"format": "pt"})
    with pytest.raises(BehaviorError, match=rf"no place for: .*{weight}"):
        llm_denoiser(name)


@pytest.mark.parametrize(("kind", "weight"), [("llada", "up_proj.weight"), ("Dream", "q_proj.bias")])
def test_weights_that_are_missing_are_refused(kind: str, weight: str, tmp_path: Path) -> None:
    name, file = _write(tmp_path, KINDS[kind]), tmp_path / "model.safetensors"
    kept = {key: value for key, value in load_file(file).items() if not key.endswith(weight)}
    save_file(kept, file, metadata={"format": "pt"})
    with pytest.raises(BehaviorError, match=rf"lacks weights.*{weight}"):
        llm_denoiser(name)


def test_adapters_learn_on_it_and_behaviours_are_inferred_when_it_is_gone(
    world: tuple[Artifact, Artifact], backbone: str, tmp_path: Path
) -> None:
    config, folder = _config(backbone, lora_rank=RANK, bfloat16=True), Path(backbone.removeprefix("hf:"))
    start = llm_denoiser(backbone, rank=RANK, bfloat16=True).blocks.state_dict()
    made = fit_denoiser(config, *world, tmp_path / "denoiser", Workspace(tmp_path / "w"))
    folder.rename(folder.with_name("elsewhere"))
    try:
        inferred = infer_behaviors(config, *world, made, tmp_path / "inferred", Workspace(tmp_path / "w"))
    finally:
        folder.with_name("elsewhere").rename(folder)
    model = load_denoiser(made.path)
    learned = {name.removeprefix("blocks.") for name in learned_state(model) if name.startswith("blocks.")}
    assert learned == {name for name in start if "lora_" in name}
    assert all(
        torch.equal(start[name], value) != (name in learned) for name, value in model.blocks.state_dict().items()
    )
    assert inferred.table("inferred_behaviors.parquet").num_rows > 0


def test_fitting_adapters_finds_what_popularity_does_not(backbone: str, tmp_path: Path) -> None:
    log, model = ring(), llm_denoiser(backbone, rank=RANK)
    corpus = Corpus.of(log, np.random.default_rng(0))
    inpainting = Inpainting(corpus, _catalogue(log), RING_CODES, LENGTH)
    before, similar = _suffix_loss(model, log), inpainting.recall(model, k=1)
    with deterministic_torch(threads=1, seed=0):
        few = RING.model_copy(update={"epochs": 6})
        fit(model, corpus, inpainting, TABLES, few, seed=0, scratch=tmp_path)
    assert _suffix_loss(model, log) < 0.85 * before
    assert inpainting.recall(model, k=1) > max(similar, inpainting.popularity_recall(k=1))
