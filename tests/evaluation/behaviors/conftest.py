"""One world for the folder."""

import pytest

from reaseq.artifacts import Artifact
from reaseq.data import Dataset
from reaseq.evaluation.behaviors.inferred import Inferred
from reaseq.representation import ItemVectors
from tests.evaluation.behaviors import world


@pytest.fixture(scope="session")
def artifacts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Artifact]:
    return world.write_all(tmp_path_factory.mktemp("behaviors"))


@pytest.fixture
def data(artifacts: dict[str, Artifact]) -> Dataset:
    return Dataset.open(artifacts["dataset"])


@pytest.fixture
def vectors(artifacts: dict[str, Artifact]) -> ItemVectors:
    return ItemVectors.open(artifacts["item_vectors"])


@pytest.fixture
def inferred(artifacts: dict[str, Artifact], data: Dataset) -> Inferred:
    return Inferred.read(artifacts["inferred_behaviors"], data)
