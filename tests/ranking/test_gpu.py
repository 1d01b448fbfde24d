"""The ranker on a GPU: bfloat16 learns what float32 learns, a killed training resumes exactly, scores are the CPU's."""

from pathlib import Path

import numpy as np
import pytest
import torch

from reaseq.artifacts import Workspace
from reaseq.config import RunConfig
from reaseq.ranking.batches import Batch, RequestBatches
from reaseq.ranking.sequential import RankerScores, Targets
from reaseq.ranking.stage import Prepared, fit, prepare
from reaseq.ranking.training import Trainer, catalogue, predict
from tests.ranking.conftest import World

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no CUDA device"),
]


def on(world: World, device: str) -> tuple[RunConfig, Prepared]:
    run = world.config.model_copy(update={"device": device})
    return run, prepare(run, *world.inputs, "full", Workspace(world.root / "one"))


def train(run: RunConfig, ready: Prepared, scratch: Path) -> Prepared:
    scratch.mkdir(exist_ok=True)
    fit(ready.model, ready.shards["train"], ready.contexts, run, scratch, ready.device, ready.rated)
    return ready


def test_bfloat16_on_the_gpu_predicts_what_float32_on_the_cpu_does(world: World, tmp_path: Path) -> None:
    scores = []
    for device in ("cpu", "cuda"):
        run, ready = on(world, device)
        train(run, ready, tmp_path / device)
        shown = RequestBatches(ready.data.impressions("test"), ready.contexts)
        scores.append(predict(ready.model, catalogue(ready.model), shown, 256))
    assert np.corrcoef(*scores)[0, 1] > 0.98
    assert np.abs(scores[0] - scores[1]).mean() < 0.02


def test_a_killed_training_resumes_to_the_same_weights(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, broken, again = (on(world, "cuda") for _ in range(3))
    train(*whole, tmp_path / "whole")
    step = Trainer._step

    def killed(self: Trainer, batch: Batch, number: int) -> float:
        if number == world.config.ranking.checkpoint_steps + 2:
            raise KeyboardInterrupt
        return step(self, batch, number)

    with monkeypatch.context() as patched:
        patched.setattr(Trainer, "_step", killed)
        with pytest.raises(KeyboardInterrupt):
            train(*broken, tmp_path / "broken")
    train(*again, tmp_path / "broken")
    resumed = dict(again[1].model.named_parameters())
    for name, weights in whole[1].model.named_parameters():
        assert torch.equal(weights, resumed[name]), name


def test_the_catalogue_is_scored_as_on_the_cpu(world: World, tmp_path: Path) -> None:
    run, ready = on(world, "cuda")
    train(run, ready, tmp_path / "training")
    targets = Targets.of(ready.data, "test")
    there = RankerScores(ready.model, ready.data, ready.contexts)(targets.start, targets.end)
    here = RankerScores(ready.model.cpu(), ready.data, ready.contexts)(targets.start, targets.end)
    np.testing.assert_allclose(there, here, atol=1e-4)
