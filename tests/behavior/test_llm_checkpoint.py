"""Which LLMs a denoiser can stand on, and what it starts as."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModel, AutoModelForCausalLM

from reaseq.behavior.denoiser import ReaSeqDenoiser
from reaseq.behavior.errors import BehaviorError
from reaseq.behavior.llm_checkpoint import llm_identity
from reaseq.behavior.slots import gather_sequences, slot_batch
from reaseq.config import Json, load
from reaseq.errors import ConfigError
from tests.behavior.llms import llm_denoiser, write_llm
from tests.behavior.toys import LEVELS, SIZE, toy_log, toy_model, toy_tables

CENTROIDS = torch.from_numpy(np.random.default_rng(0).normal(size=(LEVELS, SIZE, 32)).astype(np.float32))


def _started(model: ReaSeqDenoiser) -> ReaSeqDenoiser:
    model.start_from_codebook(CENTROIDS, torch.eye(128), torch.Generator().manual_seed(0))
    return model


@pytest.mark.parametrize("spread", [0.02, 1.5])
def test_codes_start_as_long_as_the_llms_words_and_say_the_same_whatever_that_is(spread: float, tmp_path: Path) -> None:
    model = _started(llm_denoiser(write_llm(tmp_path, initializer_range=spread)))
    words = AutoModel.from_pretrained(tmp_path).get_input_embeddings().weight
    length = words.square().sum(-1).mean().sqrt()
    codes = model.embedding.code[:, :SIZE].square().sum(-1).mean(1).sqrt()
    assert torch.allclose(codes, length.expand(LEVELS), rtol=1e-4)
    log = toy_log([9, 4])
    batch = slot_batch(gather_sequences(log, log.offsets[:-1], log.offsets[1:]), toy_tables()[1])
    spreads = [m.code_logits(m(batch))[batch.present].std().item() for m in (model, _started(toy_model()))]
    assert spreads[0] == pytest.approx(spreads[1], rel=0.3)


def test_an_identity_is_of_the_weights(tmp_path: Path) -> None:
    name = write_llm(tmp_path)
    before = llm_identity(name)
    weights = load_file(tmp_path / "model.safetensors")
    weights["model.norm.weight"] += 1
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    assert llm_identity(name)["name"] == before["name"] == name
    assert llm_identity(name)["digest"] != before["digest"]


@pytest.mark.parametrize("name", ["hf:/nowhere/at/all", "hf:./nowhere", "hf:nobody/has-this-llm"])
def test_an_llm_that_is_not_there_is_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(BehaviorError, match=r"behavior\.backbone .* can't be used: .*scratch"):
        llm_denoiser(name)


@pytest.mark.parametrize("kind", ["bert", "gpt2", "t5"])
def test_an_encoder_and_decoders_of_another_family_are_refused(kind: str, tmp_path: Path) -> None:
    AutoConfig.for_model(kind).save_pretrained(tmp_path)
    with pytest.raises(BehaviorError, match=f"{kind}.*llama"):
        llm_denoiser(f"hf:{tmp_path}")


def test_a_model_that_brings_its_own_code_is_refused_unrun(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(
        '{"model_type": "own", "auto_map": {"AutoConfig": "code.Config", "AutoModel": "code.Model"}}'
    )
    (tmp_path / "code.py").write_text("raise SystemExit('it ran')")
    with pytest.raises(BehaviorError, match=r"'own'.*can be used"):
        llm_denoiser(f"hf:{tmp_path}")


def test_pickled_weights_are_refused(tmp_path: Path) -> None:
    name = write_llm(tmp_path)
    torch.save(load_file(tmp_path / "model.safetensors"), tmp_path / "pytorch_model.bin")
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(BehaviorError, match="pickled"):
        llm_denoiser(name)


def test_a_folder_without_weights_is_refused(tmp_path: Path) -> None:
    name = write_llm(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(BehaviorError, match=r"no \*\.safetensors"):
        llm_denoiser(name)


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BehaviorError, match="does not load"):
        llm_denoiser(f"hf:{tmp_path}")


def test_weights_that_break_off_are_refused(tmp_path: Path) -> None:
    name = write_llm(tmp_path)
    file = tmp_path / "model.safetensors"
    file.write_bytes(file.read_bytes()[:200])
    with pytest.raises(BehaviorError, match="does not load"):
        llm_denoiser(name)


def test_a_checkpoint_that_lacks_a_weight_is_refused(tmp_path: Path) -> None:
    name = write_llm(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(BehaviorError, match=r"lacks weights.*up_proj"):
        llm_denoiser(name)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"hidden_size": "wide"}, "does not load"),
        ({"hidden_size": 64}, r"another shape.*more"),
        ({"quantization_config": {"quant_method": "gptq", "bits": 4}}, "quantised"),
    ],
)
def test_a_configuration_that_is_not_of_the_weights_is_refused(change: Json, reason: str, tmp_path: Path) -> None:
    name, file = write_llm(tmp_path), tmp_path / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    with pytest.raises(BehaviorError, match=reason):
        llm_denoiser(name)


def test_an_adapter_alone_is_refused(tmp_path: Path) -> None:
    name = write_llm(tmp_path)
    (tmp_path / "adapter_config.json").write_text('{"base_model_name_or_path": "/nowhere", "peft_type": "LORA"}')
    with pytest.raises(BehaviorError, match="merge it"):
        llm_denoiser(name)


def test_an_llm_that_reads_too_few_tokens_is_refused(tmp_path: Path) -> None:
    name = write_llm(tmp_path, max_position_embeddings=40 * LEVELS - 1)
    with pytest.raises(BehaviorError, match="159 tokens"):
        llm_denoiser(name, max_slots=40)


def test_a_checkpoint_in_shards_is_read(tmp_path: Path) -> None:
    name = write_llm(tmp_path / "whole")
    AutoModelForCausalLM.from_pretrained(tmp_path / "whole").save_pretrained(tmp_path / "shards", max_shard_size="10KB")
    assert len(list((tmp_path / "shards").glob("*.safetensors"))) > 1
    one, many = llm_denoiser(name).state_dict(), llm_denoiser(f"hf:{tmp_path / 'shards'}").state_dict()
    assert all(torch.equal(one[weight], many[weight]) for weight in one)


@pytest.mark.parametrize("settings", [{"lora_rank": 4}, {"bfloat16": True}, {"backbone": "qwen3"}, {"backbone": "hf:"}])
def test_settings_that_go_with_no_llm_are_refused(settings: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=next(iter(settings))):
        load("tiny", overrides={f"behavior.{name}": value for name, value in settings.items()})


def test_what_makes_a_key_names_the_backbone_only_where_it_is_an_llm() -> None:
    """So that artifacts of the denoiser's own blocks keep the keys they had before there was a choice."""
    plain, chosen = load("tiny"), load("tiny", overrides={"behavior.backbone": "hf:a/b", "behavior.lora_rank": 8})
    keyed = plain.part("behavior")["behavior"]
    assert not {"backbone", "lora_rank", "bfloat16", "gradient_checkpointing"} & keyed.keys()
    assert chosen.part("behavior")["behavior"] == keyed | {"backbone": "hf:a/b", "lora_rank": 8}
    for config in (plain, chosen):
        assert type(config).model_validate_json(config.model_dump_json()) == config
