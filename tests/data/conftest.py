"""Small raw sources, written by hand, for the tests of the data room."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reaseq import config
from reaseq.artifacts import Artifact, Workspace
from reaseq.config import RunConfig
from reaseq.data import Dataset, stage

ITEMS = "item_id,title,category,brand,price\n" + "".join(
    f"i{n},Product {n},{'Skin|Face' if n % 2 else 'Hair'},Brand {n % 3},{n}.5\n" for n in range(8)
)
DAY = 86_400
START = 1_600_000_000  # seconds


def log(users: int = 6, days: int = 20, header: str = "user_id,item_id,timestamp") -> str:
    """A CSV log: user u takes item (u + day) % 8 on some days."""
    rows = [
        f"u{user},i{(user + day) % 8},{START + day * DAY + user}"
        for day in range(days)
        for user in range(users)
        if (user + day) % 3
    ]
    return "\n".join([header, *rows]) + "\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A source folder that the dataset `files` takes without a complaint."""
    made = tmp_path / "source"
    made.mkdir()
    (made / "items.csv").write_text(ITEMS)
    (made / "interactions.csv").write_text(log())
    return made


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """The tiny synthetic world."""
    folder = tmp_path_factory.mktemp("world")
    return Dataset.open(stage.ingest(config.load("tiny"), folder / "dataset", Workspace(folder / "workspace")))


@pytest.fixture
def configured(folder: Path) -> Callable[..., RunConfig]:
    """A tiny configuration that reads `folder`; arguments are settings of the section `data`."""

    def configure(seed: int = 0, **settings: Any) -> RunConfig:
        chosen = {"dataset": "files", "source": str(folder), "bad_rows_limit": 1.0, **settings}
        return config.load("tiny", seed=seed, overrides={f"data.{name}": value for name, value in chosen.items()})

    return configure


@pytest.fixture
def ingested(configured: Callable[..., RunConfig], tmp_path: Path, workspace: Workspace) -> Callable[..., Artifact]:
    """Ingest `folder` under the given settings."""

    def ingest(**settings: Any) -> Artifact:
        return stage.ingest(configured(**settings), tmp_path / "dataset", workspace)

    return ingest


def quarantine(artifact: Artifact) -> list[dict[str, Any]]:
    """What the artifact's quarantine holds."""
    return [json.loads(line) for line in artifact.file("quarantine.jsonl").read_text().splitlines()]
