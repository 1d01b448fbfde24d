"""The small world's artifacts and one trained bundle of each variant, made once per session."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from reaseq import config
from reaseq.artifacts import Artifact, Workspace
from reaseq.config import RunConfig
from reaseq.ranking.stage import train_ranker
from tests import smallworld


@dataclass(frozen=True)
class World:
    root: Path
    dataset: Artifact
    vectors: Artifact
    inferred: Artifact
    config: RunConfig

    @property
    def inputs(self) -> tuple[Artifact, Artifact, Artifact]:
        return self.dataset, self.vectors, self.inferred


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    root = tmp_path_factory.mktemp("ranking")
    workspace = Workspace(root / "workspace")
    dataset = smallworld.write_dataset(root / "dataset", workspace)
    vectors = smallworld.write_item_vectors(root / "vectors", dataset, workspace)
    inferred = smallworld.write_inferred_behaviors(root / "inferred", dataset, vectors, workspace)
    settings = config.load(
        "tiny",
        overrides={
            "threads": 1,
            "ranking.batch": 64,
            "ranking.short_history": 6,  # shorter than a user's log, so that the long branch has something to search
            "ranking.long_history": 12,
            "ranking.long_top": 4,
            "ranking.epochs": 3,
            "ranking.checkpoint_steps": 5,
            "ranking.golden_candidates": 12,
            "ranking.golden_requests": 12,
        },
    )
    return World(root, dataset, vectors, inferred, settings)


@pytest.fixture(scope="session")
def full(world: World) -> Artifact:
    return train_ranker(world.config, *world.inputs, world.root / "full", Workspace(world.root / "one"))


@pytest.fixture(scope="session")
def id_only(world: World) -> Artifact:
    return train_ranker(world.config, *world.inputs, world.root / "id", Workspace(world.root / "one"), variant="id")


@pytest.fixture(scope="session")
def bare(world: World) -> Artifact:
    return train_ranker(world.config, *world.inputs, world.root / "bare", Workspace(world.root / "one"), variant="bare")
