"""The small world's dataset and knowledge, and a configuration that represents them in a second."""

from pathlib import Path

import pytest

from reaseq import config
from reaseq.artifacts import Artifact, Workspace
from reaseq.config import RunConfig
from tests import smallworld


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> tuple[Artifact, Artifact]:
    """(dataset, knowledge)"""
    root = tmp_path_factory.mktemp("representation-world")
    workspace = Workspace(root / "workspace")
    dataset = smallworld.write_dataset(root / "dataset", workspace)
    return dataset, smallworld.write_knowledge(root / "knowledge", dataset, workspace)


def quick(**overrides: object) -> RunConfig:
    """`tiny` with TF-IDF, one thread and 30 alignment steps; overrides are of `representation`."""
    settings = {"encoder": "tfidf", "align_steps": 30, "align_batch": 64, "checkpoint_steps": 10} | overrides
    return config.load("tiny", overrides={"threads": 1} | {f"representation.{n}": v for n, v in settings.items()})


@pytest.fixture(scope="session")
def represented(world: tuple[Artifact, Artifact], tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """The small world's item_vectors, made with `quick()`."""
    from reaseq.representation.stage import represent

    root: Path = tmp_path_factory.mktemp("representation")
    return represent(quick(), *world, root / "item_vectors", Workspace(root / "workspace"))
