"""Fixtures for every test: a workspace, the small world's artifacts, and the real data where it is there."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

from reaseq.artifacts import Workspace

settings.register_profile("patient", deadline=None)  # a busy machine is no defect; pytest's timeout still holds
settings.load_profile("patient")

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "workspace")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of the public data sets: REASEQ_DATA, or beside the checkout; the test skips where it is missing."""
    folder = Path(os.environ.get("REASEQ_DATA", REPOSITORY.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"real data is not at {folder}; set REASEQ_DATA to its folder to run this test")
    return folder
