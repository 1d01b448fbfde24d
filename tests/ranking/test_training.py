"""The trainer stops where it is told to, and goes on as if it never had."""

from pathlib import Path

import pytest
import torch

from reaseq.ranking.baselines import build_baseline
from reaseq.ranking.stage import fit
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
