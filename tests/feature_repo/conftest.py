"""The small world in a real Feast store (duckdb, sqlite), materialised once for all tests of this folder."""

from pathlib import Path

import pytest

from feature_repo.apply import FeastReport, materialise
from reaseq.artifacts import Artifact, Workspace
from tests import smallworld

HISTORY_LIMIT = 10  # less than the small world's 12 events, so that the limit shows


@pytest.fixture(scope="session")
def artifacts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Artifact]:
    root = tmp_path_factory.mktemp("artifacts")
    workspace = Workspace(root / "workspace")
    dataset = smallworld.write_dataset(root / "dataset", workspace)
    vectors = smallworld.write_item_vectors(root / "item_vectors", dataset, workspace)
    return {
        "dataset": dataset,
        "knowledge": smallworld.write_knowledge(root / "knowledge", dataset, workspace),
        "item_vectors": vectors,
        "inferred_behaviors": smallworld.write_inferred_behaviors(root / "inferred", dataset, vectors, workspace),
    }


@pytest.fixture(scope="session")
def feast(artifacts: dict[str, Artifact], tmp_path_factory: pytest.TempPathFactory) -> FeastReport:
    folder: Path = tmp_path_factory.mktemp("feast") / "store"
    return materialise(folder, **artifacts, ranker_version=1, history_limit=HISTORY_LIMIT, tags={"digest": "abc"})
