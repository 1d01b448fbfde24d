"""A refresh spread by a real Ray over two actors. Starting Ray and its actors is what takes the time: once for all."""

from pathlib import Path

import pytest

from reaseq.platform.errors import ScaleOutError
from tests.behavior.refreshes import make


def test_two_actors_make_the_same_bytes_as_one_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    from reaseq.platform.ray_shards import RayShards

    run = make(tmp_path / "run")
    alone = run.refresh(tmp_path / "alone")
    spread = run.refresh(tmp_path / "spread", run_shards=RayShards(2))
    assert spread.facts == alone.facts
    assert spread.facts["shards"] >= 2
    assert spread.manifest.files == alone.manifest.files


def test_no_cluster_at_the_address_is_one_paragraph(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from reaseq.platform.ray_shards import RayShards

    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    run = make(tmp_path / "run")
    with pytest.raises(ScaleOutError, match="or without --ray"):
        run.refresh(tmp_path / "spread", run_shards=RayShards(2))
