"""Two processes fit to the weights of one, through torchrun as a cluster starts it."""

import os
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from reaseq.artifacts import Artifact, Workspace, open_artifact
from reaseq.behavior import fit_denoiser
from reaseq.behavior.catalogue import Catalogue
from reaseq.behavior.dropout import Dropout, take_rows
from reaseq.behavior.loss import Loss, masked_loss
from reaseq.behavior.slots import gather_sequences, slot_batch
from reaseq.config import RunConfig, load
from reaseq.parallel import Ranks
from tests.behavior.llms import write_llm
from tests.behavior.test_stage import SMALL
from tests.behavior.toys import LEVELS, toy_categories, toy_log, toy_model, toy_tables

REPOSITORY = Path(__file__).parents[2]
FEW = SMALL | {"behavior.epochs": 3, "behavior.refit_epochs": 1, "behavior.batch_slots": 48}
LOG, (Z, CODES) = toy_log([4, 9, 6, 3, 8]), toy_tables()


def torchrun(
    config: RunConfig, world: tuple[Artifact, Artifact], folder: Path, *program: str
) -> subprocess.CompletedProcess[str]:
    (folder / "config.json").write_text(config.model_dump_json())
    start = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", *program]
    given = {"config": folder / "config.json", "dataset": world[0].path, "item-vectors": world[1].path}
    given |= {"workspace": folder / "workspace", "out": folder / "denoiser"}
    return subprocess.run(
        [*start, *(part for name, value in given.items() for part in (f"--{name}", str(value)))],
        cwd=REPOSITORY,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )


def assert_alike(one: Artifact, two: Artifact) -> None:
    assert two.manifest.key == one.manifest.key
    assert {name: two.facts[name] for name in ("steps", "best_epoch", "parameters", "trainable_parameters")} == {
        name: one.facts[name] for name in ("steps", "best_epoch", "parameters", "trainable_parameters")
    }
    for file in ("model.safetensors", "refit/model.safetensors"):
        alone, together = (load_file(artifact.file(file)) for artifact in (one, two))
        assert alone.keys() == together.keys()
        for name, weights in alone.items():
            assert together[name].dtype == weights.dtype
            torch.testing.assert_close(together[name], weights, atol=1e-3, rtol=0, msg=f"{file} {name}")


def test_two_processes_that_were_killed_once_fit_to_the_weights_of_one(
    world: tuple[Artifact, Artifact], tmp_path: Path
) -> None:
    config = load("tiny", overrides=FEW)
    one = fit_denoiser(config, *world, tmp_path / "one", Workspace(tmp_path / "alone"))
    killed = torchrun(config, world, tmp_path, "tests.behavior.dying_worker", "2")
    assert killed.returncode != 0 and not (tmp_path / "denoiser").exists()
    assert list((tmp_path / "workspace").rglob("denoiser.checkpoint.safetensors"))
    done = torchrun(config, world, tmp_path, "reaseq.behavior.worker")
    assert done.returncode == 0, done.stderr[-6000:]
    assert "resumed" in done.stdout + done.stderr
    assert_alike(one, open_artifact(tmp_path / "denoiser", "denoiser"))


@pytest.mark.parametrize("rank", [0, 2])
def test_weights_that_are_held_in_parts_are_saved_whole(
    rank: int, world: tuple[Artifact, Artifact], tmp_path: Path
) -> None:
    backbone = write_llm(tmp_path / "llm")
    settings = {"backbone": backbone, "shard_weights": True, "lora_rank": rank}
    config = load("tiny", overrides=FEW | {f"behavior.{name}": value for name, value in settings.items()})
    one = fit_denoiser(config, *world, tmp_path / "one", Workspace(tmp_path / "alone"))
    done = torchrun(config, world, tmp_path, "reaseq.behavior.worker")
    assert done.returncode == 0, done.stderr[-6000:]
    assert_alike(one, open_artifact(tmp_path / "denoiser", "denoiser"))


@pytest.mark.parametrize("world_size", [2, 7])
def test_losses_and_gradients_of_the_parts_add_up_to_those_of_the_whole(world_size: int) -> None:
    """With dropout; of seven processes two have no row of five."""
    catalogue = Catalogue.known_before(LOG.items, Z, CODES, toy_categories())
    sequences = gather_sequences(LOG, LOG.offsets[:-1], LOG.offsets[1:])
    batch = slot_batch(sequences, CODES)
    masked = (batch.present & (torch.arange(batch.present.shape[1]) % 2 == 0))[..., None].expand(-1, -1, LEVELS)

    def part(ranks: Ranks) -> tuple[Loss, dict[str, torch.Tensor]]:
        model = toy_model(dropout=0.3).train()
        torch.manual_seed(5)
        items = torch.from_numpy(sequences.items)
        loss = masked_loss(model, batch, masked, masked.float(), items, catalogue, ranks)
        (loss.code + loss.latent).backward()
        gradients = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
        return Loss(loss.code.detach(), loss.latent.detach()), gradients

    whole, gradients = part(Ranks())
    parts = [part(Ranks(rank, world_size)) for rank in range(world_size)]
    for each in fields(Loss):
        parts_of = sum(getattr(loss, each.name) for loss, _ in parts)
        assert float(parts_of) == pytest.approx(float(getattr(whole, each.name)), rel=1e-5)
    for name, gradient in gradients.items():
        assert torch.allclose(sum(of[name] for _, of in parts if name in of), gradient, atol=1e-5), name


def test_processes_drop_together_what_one_would() -> None:
    x, dropout = torch.randn(5, 3, 4), Dropout(0.4)
    torch.manual_seed(0)
    whole = dropout(x)
    for rank in range(2):
        rows = Ranks(rank, 2).rows(5)
        take_rows(dropout, 5, rows)
        torch.manual_seed(0)
        assert torch.equal(dropout(x[rows]), whole[rows])
    take_rows(dropout, 5, Ranks().rows(5))
    torch.manual_seed(0)
    assert torch.equal(dropout(x), whole)
