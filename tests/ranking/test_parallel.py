"""Two processes train to the weights of one, through torchrun as a cluster starts it."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from reaseq.artifacts import Artifact, open_artifact
from reaseq.data.dataset import Dataset
from reaseq.parallel import Ranks
from reaseq.ranking.batches import Contexts, RequestBatches, share
from reaseq.ranking.features import FeatureLimits
from tests.ranking.conftest import World

REPOSITORY = Path(__file__).parents[2]


def torchrun(world: World, folder: Path, workspace: Path) -> subprocess.CompletedProcess[str]:
    config = folder / "config.json"
    config.write_text(world.config.model_dump_json())
    kinds = ("dataset", "item-vectors", "inferred-behaviors")
    inputs = [part for kind, of in zip(kinds, world.inputs, strict=True) for part in (f"--{kind}", str(of.path))]
    start = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    worker = ["-m", "reaseq.ranking.worker", "--config", str(config), *inputs]
    return subprocess.run(
        [*start, *worker, "--workspace", str(workspace), "--out", str(folder / "ranker")],
        cwd=REPOSITORY,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_two_processes_train_to_the_weights_of_one(full: Artifact, world: World, tmp_path: Path) -> None:
    done = torchrun(world, tmp_path, tmp_path / "workspace")
    assert done.returncode == 0, done.stderr[-2000:]
    together = open_artifact(tmp_path / "ranker", "ranker")
    assert together.manifest.key == full.manifest.key
    assert together.facts["steps"] == full.facts["steps"]
    assert together.facts["training_impressions"] == full.facts["training_impressions"]
    one, two = (load_file(artifact.file("model.safetensors")) for artifact in (full, together))
    for name, weights in one.items():
        np.testing.assert_allclose(two[name], weights, atol=2e-4, err_msg=name)
    assert together.facts["valid"]["auc"] == pytest.approx(full.facts["valid"]["auc"], abs=1e-3)
    assert not list((tmp_path / "workspace").rglob("checkpoint.safetensors"))


@pytest.mark.slow
def test_a_finished_training_is_taken_over_and_nobody_waits(full: Artifact, world: World, tmp_path: Path) -> None:
    done = torchrun(world, tmp_path, world.root / "one")
    assert done.returncode == 0, done.stderr[-2000:]
    assert open_artifact(tmp_path / "ranker", "ranker").digest == full.digest


def test_shares_split_a_batch_and_its_mask(world: World) -> None:
    data = Dataset.open(world.dataset)
    batches = RequestBatches(
        data.impressions("train"), Contexts(data.log, data.category_index, None, FeatureLimits(4, 9, 5))
    )
    batch = batches.batch(batches.plan(50, np.random.default_rng(0))[0])
    mask = np.random.default_rng(1).random(batch.valid.shape) < 0.5
    shares = [share(batch, mask, Ranks(rank, 3)) for rank in range(3)]
    assert sorted(np.concatenate([part.rows for part, _ in shares])) == sorted(batch.rows)
    for rank, (part, forgotten) in enumerate(shares):
        shown = batches.impressions
        np.testing.assert_array_equal(part.candidates[part.valid], shown.item[part.rows])
        np.testing.assert_array_equal(part.labels, shown.label[part.rows])
        np.testing.assert_array_equal(forgotten, mask[rank::3])
        np.testing.assert_array_equal(part.users["history"], batch.users["history"][rank::3])
    assert len(share(batch, mask, Ranks(len(batch.valid), len(batch.valid) + 5))[0].rows) == 0
    alone, whole_mask = share(batch, mask, Ranks())
    assert alone is batch and whole_mask is mask
