"""The trainer stops where it is told to, and goes on as if it never had."""

from pathlib import Path

import pytest
import torch

from reaseq.artifacts import Workspace
from reaseq.ranking.baselines import build_baseline
from reaseq.ranking.batches import Epochs
from reaseq.ranking.model import ID_STD, Ranker
from reaseq.ranking.stage import fit, prepare
from reaseq.ranking.training import Trainer
from tests.ranking.conftest import World
from tests.ranking.test_baselines import Harness


@pytest.fixture
def harness(world: World, tmp_path: Path) -> Harness:
    torch.set_num_threads(1)
    return Harness(world, tmp_path)


def test_training_that_was_stopped_goes_on_to_the_same_weights(harness: Harness) -> None:
    whole = harness.trained("din_title", "whole")
    model = build_baseline("din_title", harness.config.baselines, 0, harness.tables)
    scratch = harness.root / "stopped"
    scratch.mkdir()
    arguments = (harness.train, harness.contexts, harness.config, scratch, torch.device("cpu"))
    stopped = fit(model, *arguments, until=0.5)
    assert 0 < stopped.impressions <= harness.train.rows
    fit(model, *arguments)
    for (key, a), (_, b) in zip(whole.named_parameters(), model.named_parameters(), strict=True):
        assert torch.equal(a, b), key


def _ranker(world: World, folder: Path, stops: tuple[float, ...] = (), **settings: object) -> Ranker:
    """Trained for two epochs, in as many starts as there are stops and one more."""
    ranking = world.config.ranking.model_copy(update={"epochs": 2, **settings})
    run = world.config.model_copy(update={"ranking": ranking})
    folder.mkdir()
    for until in (*stops, None):
        ready = prepare(run, *world.inputs, "full", Workspace(folder))
        fit(ready.model, ready.shards["train"], ready.contexts, run, folder, ready.device, ready.rated, until=until)
    return ready.model


@pytest.mark.parametrize("stop", [0.5, 1.0, 1.5])
def test_ids_start_anew_once_an_epoch_however_often_training_is_stopped(
    world: World, tmp_path: Path, stop: float
) -> None:
    whole, stopped = _ranker(world, tmp_path / "whole"), _ranker(world, tmp_path / "stopped", (stop,))
    for (key, a), (_, b) in zip(whole.named_parameters(), stopped.named_parameters(), strict=True):
        assert torch.equal(a, b), key


def test_an_id_that_no_batch_of_the_second_epoch_changes_is_a_fresh_one(world: World, tmp_path: Path) -> None:
    still: dict[str, object] = {"lr_sparse": 1e-12}  # so that what is left of the ids is how an epoch starts
    fresh = _ranker(world, tmp_path / "fresh", **still)
    kept = _ranker(world, tmp_path / "kept", fresh_ids=False, **still)
    start = kept.ids.weight  # as good as unmoved
    assert torch.allclose(fresh.ids.weight[0], start[0])  # the unknown item's
    assert ((fresh.ids.weight[1:] - start[1:]).abs() > 1e-6).float().mean() > 0.99
    assert fresh.ids.weight[1:].std().item() == pytest.approx(ID_STD, rel=0.1)


def test_the_learning_rate_falls_to_what_is_asked_for(world: World, tmp_path: Path) -> None:
    run = world.config.model_copy(update={"ranking": world.config.ranking.model_copy(update={"lr_final": 0.25})})
    ready = prepare(run, *world.inputs, "full", Workspace(tmp_path))
    epochs = Epochs(ready.shards["train"], ready.contexts, 64, ready.rated)
    trainer = Trainer(ready.model, epochs, run.ranking, seed=0, scratch=tmp_path, device=ready.device)
    trainer.run()
    left = trainer.optimizers["dense"].param_groups[0]["lr"] / run.ranking.lr_dense
    assert 0.25 < left < 0.25 + 0.75 * 2 / epochs.about()  # at the last step
