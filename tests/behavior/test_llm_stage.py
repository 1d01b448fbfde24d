"""Fitting a denoiser on a pretrained LLM, and inferring with it, on the small world."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from reaseq.artifacts import Artifact, Workspace
from reaseq.behavior import BehaviorError, fit_denoiser, infer_behaviors, load_denoiser
from reaseq.behavior.checkpoint import learned_state
from reaseq.behavior.corpus import Corpus
from reaseq.behavior.decoder_stage import fit_decoder
from reaseq.behavior.inpainting import Inpainting
from reaseq.behavior.training import fit
from reaseq.config import RunConfig, load
from reaseq.determinism import deterministic_torch
from tests.behavior.llms import llm_denoiser, write_llm
from tests.behavior.test_stage import SMALL, _bytes
from tests.behavior.test_training import CODES as RING_CODES
from tests.behavior.test_training import CONFIG as RING
from tests.behavior.test_training import LENGTH, TABLES, _catalogue, _suffix_loss, ring

RANK = 2


@pytest.fixture(scope="module")
def backbone(home: Path) -> str:
    return write_llm(home / "checkpoint")


def _config(backbone: str, **settings: Any) -> RunConfig:
    few = {"behavior.backbone": backbone, "behavior.epochs": 4, "behavior.refit_epochs": 1, "behavior.cache_refresh": 2}
    return load("tiny", overrides=SMALL | few | {f"behavior.{name}": value for name, value in settings.items()})


@pytest.fixture(scope="module")
def denoiser(home: Path, world: tuple[Artifact, Artifact], backbone: str) -> Artifact:
    """With adapters, and what a large LLM would want."""
    config = _config(backbone, lora_rank=RANK, gradient_checkpointing=True)
    return fit_denoiser(config, *world, home / "denoiser", Workspace(home / "workspace"))


def test_only_adapters_and_the_parts_of_the_codes_learn(denoiser: Artifact, backbone: str) -> None:
    model = load_denoiser(denoiser.path)
    llm = load_file(Path(backbone.removeprefix("hf:")) / "model.safetensors")
    state = model.state_dict()
    fixed = {name for name in state if name.startswith("blocks.llm.") and "lora_" not in name}
    for name in fixed:
        source = name.replace("blocks.llm.", "model.").replace(".base_layer", "")
        assert torch.equal(state[name], llm[source]), name
    assert learned_state(model).keys() == state.keys() - fixed
    assert all(state[name].abs().sum() > 0 for name in state if "lora_B" in name)  # they start at zero
    assert denoiser.facts["trainable_parameters"] == sum(p.numel() for p in learned_state(model).values())
    assert denoiser.facts["trainable_parameters"] < denoiser.facts["parameters"]
    assert denoiser.facts["llm"]["name"] == backbone


@pytest.mark.parametrize("rank", [0, RANK])
def test_fitting_lowers_the_loss_and_finds_what_popularity_does_not(rank: int, backbone: str, tmp_path: Path) -> None:
    log, model = ring(), llm_denoiser(backbone, rank=rank)
    corpus = Corpus.of(log, np.random.default_rng(0))
    inpainting = Inpainting(corpus, _catalogue(log), RING_CODES, LENGTH)
    before, similar = _suffix_loss(model, log), inpainting.recall(model, k=1)
    few = RING.model_copy(update={"epochs": 6})
    with deterministic_torch(threads=1, seed=0):
        fit(model, corpus, inpainting, TABLES, few, seed=0, scratch=tmp_path)
    assert _suffix_loss(model, log) < 0.85 * before
    assert inpainting.recall(model, k=1) > max(similar, inpainting.popularity_recall(k=1))


def test_without_adapters_all_weights_learn(world: tuple[Artifact, Artifact], backbone: str, tmp_path: Path) -> None:
    config = _config(backbone, epochs=1, refit_epochs=0)
    made = fit_denoiser(config, *world, tmp_path / "denoiser", Workspace(tmp_path / "w"))
    llm = load_file(Path(backbone.removeprefix("hf:")) / "model.safetensors")
    state = load_denoiser(made.path).state_dict()
    of_llm = {name.replace("blocks.llm.", "model."): value for name, value in state.items() if "llm" in name}
    assert made.facts["trainable_parameters"] == made.facts["parameters"]
    assert of_llm.keys() == llm.keys() - {"model.embed_tokens.weight", "lm_head.weight"}
    assert not any(torch.equal(value, llm[name]) for name, value in of_llm.items())


def test_behaviours_are_inferred_with_it_when_the_llm_is_gone(
    denoiser: Artifact, world: tuple[Artifact, Artifact], backbone: str, tmp_path: Path
) -> None:
    folder = Path(backbone.removeprefix("hf:"))
    config = _config(backbone, lora_rank=RANK, gradient_checkpointing=True)
    folder.rename(folder.with_name("elsewhere"))
    try:
        inferred = infer_behaviors(config, *world, denoiser, tmp_path / "inferred", Workspace(tmp_path / "w"))
    finally:
        folder.with_name("elsewhere").rename(folder)
    table = inferred.table("inferred_behaviors.parquet")
    assert table.num_rows == inferred.facts["pairs_wanted"] - inferred.facts["pairs_without_row"] > 0
    assert {len(items) for items in table.column("item_ids").to_pylist()} <= set(range(1, 6))


def test_the_refitted_one_goes_on_from_the_first(denoiser: Artifact) -> None:
    first, later = (load_file(denoiser.file(f"{name}model.safetensors")) for name in ("", "refit/"))
    assert first.keys() == later.keys()
    changed = {name for name in first if not torch.equal(first[name], later[name])}
    assert changed and all("lora_" in name or not name.startswith("blocks.") for name in changed)


class Killed(Exception):
    """Stands for the end of the process."""


def test_a_fit_that_was_killed_ends_in_the_same_bytes_and_its_checkpoint_holds_no_weight_that_is_fixed(
    denoiser: Artifact, world: tuple[Artifact, Artifact], backbone: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from reaseq.behavior import training

    config = _config(backbone, lora_rank=RANK, gradient_checkpointing=True)
    workspace, real, saved = Workspace(tmp_path / "w"), training.save_checkpoint, []

    def save_and_die(folder: Path, *args: Any) -> None:
        real(folder, *args)
        saved.append(load_file(folder / "denoiser.checkpoint.safetensors"))
        if len(saved) == 2:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(training, "save_checkpoint", save_and_die)
        with pytest.raises(Killed):
            fit_denoiser(config, *world, tmp_path / "denoiser", workspace)
    assert not any("base_layer" in name or "layernorm" in name for name in saved[-1])
    again = fit_denoiser(config, *world, tmp_path / "denoiser", workspace)
    assert _bytes(again) == _bytes(denoiser)


def test_other_weights_under_the_same_name_are_fitted_anew(
    world: tuple[Artifact, Artifact], denoiser: Artifact, home: Path, backbone: str
) -> None:
    config = _config(backbone, lora_rank=RANK, gradient_checkpointing=True)
    workspace = Workspace(home / "workspace")
    same = fit_denoiser(config, *world, home / "again", workspace)
    assert same.manifest.created == denoiser.manifest.created  # taken over
    file = Path(backbone.removeprefix("hf:")) / "generation_config.json"
    before = file.read_text()
    file.write_text(before + "\n")
    try:
        config = _config(backbone, lora_rank=RANK, gradient_checkpointing=True)
        other = fit_denoiser(config, *world, home / "other", workspace)
    finally:
        file.write_text(before)
    assert other.manifest.key != denoiser.manifest.key


def test_a_decoder_has_no_such_blocks(world: tuple[Artifact, Artifact], backbone: str, tmp_path: Path) -> None:
    with pytest.raises(BehaviorError, match=r"decoder.*scratch"):
        fit_decoder(_config(backbone), *world, tmp_path / "decoder", Workspace(tmp_path / "w"))


def test_an_llm_that_is_not_there_stops_the_stage(world: tuple[Artifact, Artifact], tmp_path: Path) -> None:
    with pytest.raises(BehaviorError, match="is not there"):
        fit_denoiser(_config(f"hf:{tmp_path / 'none'}"), *world, tmp_path / "denoiser", Workspace(tmp_path / "w"))
