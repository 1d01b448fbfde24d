"""The small world that whole stages are tested on."""

from pathlib import Path

import pytest

from reaseq.artifacts import Artifact, Workspace
from tests import smallworld


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of the artifacts of one module."""
    return tmp_path_factory.mktemp("behavior")


@pytest.fixture(scope="module")
def world(home: Path) -> tuple[Artifact, Artifact]:
    """Dataset and item vectors."""
    workspace = Workspace(home / "workspace")
    dataset = smallworld.write_dataset(home / "dataset", workspace)
    return dataset, smallworld.write_item_vectors(home / "vectors", dataset, workspace)
