"""One real run for the whole folder: every stage, every store, a real Triton."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.cli.main_job import arguments, reaseq


@dataclass(frozen=True)
class Done:
    runs: Path
    process: subprocess.CompletedProcess[str]

    @property
    def folder(self) -> Path:
        return (self.runs / "latest").resolve()


@pytest.fixture(scope="session")
def done(tmp_path_factory: pytest.TempPathFactory) -> Done:
    runs = tmp_path_factory.mktemp("runs")
    process = reaseq(*arguments(runs))
    assert process.returncode == 0, process.stdout + process.stderr
    return Done(runs, process)
