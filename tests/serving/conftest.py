"""One stand-in bundle and one real tritonserver for the whole folder."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from reaseq.artifacts import Artifact, Workspace
from serving.triton_repository import build
from serving.triton_server import TritonServer
from tests.serving.standin import write_ranker


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("serving")


@pytest.fixture(scope="session")
def bundle(folder: Path) -> Artifact:
    return write_ranker(folder / "ranker", Workspace(folder / "workspace"))


@pytest.fixture(scope="session")
def repository(folder: Path, bundle: Artifact) -> Path:
    return build(bundle, folder / "triton")


@pytest.fixture(scope="session")
def triton(repository: Path) -> Iterator[TritonServer]:
    with TritonServer(repository, 0, 0, 0) as server:
        yield server
