"""A refresh spread by a real Ray over two actors."""

from pathlib import Path

import pytest

from reaseq.behavior.refresh import Recipe
from reaseq.platform.errors import ScaleOutError
from reaseq.platform.ray_shards import Actor, RayShards, check_reachable, shard_done
from serving.ports import claim, listen
from tests.behavior.refreshes import CONFIG, make


def test_two_actors_make_the_same_bytes_as_one_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    made = make(tmp_path / "run")
    alone = made.refresh(tmp_path / "alone")
    spread = made.refresh(tmp_path / "spread", run_shards=RayShards(2))
    assert spread.facts == alone.facts
    assert spread.facts["shards"] >= 2
    assert spread.manifest.files == alone.manifest.files


def test_what_an_actor_can_not_open_is_named(tmp_path: Path) -> None:
    elsewhere = tmp_path / "not-mounted"
    actor = Actor(Recipe(CONFIG, elsewhere, elsewhere, elsewhere, snapshot=0, rules=None, version=""))
    with pytest.raises(ScaleOutError, match=r"not-mounted is not there"):
        shard_done(actor({"shard": 0, "users": [1], "path": str(tmp_path / "shard.parquet")}))


@pytest.mark.parametrize("form", ["127.0.0.1:{}", "ray://127.0.0.1:{}"])
def test_a_cluster_that_does_not_answer_is_named_at_once(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", form.format(claim({"--port": 0})["--port"]))
    with pytest.raises(ScaleOutError, match=r"RAY_ADDRESS=.*no cluster answers"):
        list(RayShards(1)(Recipe(CONFIG, Path(), Path(), Path(), snapshot=0, rules=None, version=""), []))


@pytest.mark.parametrize("address", ["", "auto", "local"])
def test_what_names_no_port_is_left_to_ray(address: str) -> None:
    check_reachable(address)


def test_a_cluster_that_answers_is_taken() -> None:
    with listen(0, "--port") as bound:
        check_reachable(f"127.0.0.1:{bound.getsockname()[1]}")
