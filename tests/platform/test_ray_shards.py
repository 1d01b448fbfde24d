"""A refresh spread by a real Ray over two actors. Starting Ray takes most of the time, so it is started once."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest

from reaseq.errors import ArtifactError
from reaseq.platform.ray_shards import RayShards, connected
from tests.behavior.refreshes import Made, make


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return make(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module", autouse=True)
def _ray() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("RAY_ADDRESS", raising=False)
        with connected(cpus=2):
            yield


def test_two_actors_make_the_same_bytes_as_one_process(made: Made, tmp_path: Path) -> None:
    alone = made.refresh(tmp_path / "alone")
    spread = made.refresh(tmp_path / "spread", run_shards=RayShards(2))
    assert spread.facts == alone.facts
    assert spread.facts["shards"] >= 2
    assert spread.manifest.files == alone.manifest.files


def test_what_an_actor_raises_comes_back_as_it_was_said(made: Made, tmp_path: Path) -> None:
    def from_elsewhere(recipe, shards):
        return RayShards(1)(dataclasses.replace(recipe, denoiser=tmp_path / "not-mounted"), shards)

    with pytest.raises(ArtifactError, match=r"not-mounted is not there"):
        made.refresh(tmp_path, run_shards=from_elsewhere)
