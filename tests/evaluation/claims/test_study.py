"""A whole study on a very small world: arms in worker processes, verdicts, and a second start that trains nothing."""

import json
from pathlib import Path
from typing import Any

import pytest

from reaseq.artifacts import Workspace
from reaseq.config import RunConfig, load
from reaseq.evaluation.claims.study import results_path, run_study
from reaseq.evaluation.errors import EvaluationError

SMALL: dict[str, Any] = {
    "data.synthetic": {"users": 80, "items": 120, "days": 40, "events_per_user": 20.0, "new_item_share": 0.15},
    "representation.align_steps": 5,
    "representation.codebook_size": 8,
    "representation.encoder": "tfidf",
    "behavior.epochs": 1,
    "ranking.least_steps": 5,
    "evaluation.bootstrap": 20,
}


@pytest.fixture(scope="module")
def config() -> RunConfig:
    return load("tiny", overrides=SMALL)


def test_a_study_gives_verdicts_and_a_second_start_trains_nothing(config: RunConfig, tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "workspace")
    first = run_study(config, seeds=[0, 1], claims=["C9"], workspace=workspace, workers=1)
    (evidence,) = first["evidence"]
    assert evidence["claim"] == "C9"
    assert evidence["verdict"] in ("holds", "does not hold", "not testable here")
    assert set(first["arms"]) == {"id+rer", "full", "item_mean"}
    assert first["seconds"]["arms trained"] == 4
    arms = {path: path.stat().st_mtime_ns for path in (tmp_path / "workspace" / "artifacts").glob("arm-*")}
    assert len(arms) == 4

    again = run_study(config, seeds=[0, 1], claims=["C9", "C8"], workspace=workspace, workers=1)
    assert json.dumps(again["evidence"][0]) == json.dumps(evidence)  # as text, since nan is not equal to itself
    assert json.dumps(again["arms"]["full"]) == json.dumps(first["arms"]["full"])
    assert all(path.stat().st_mtime_ns == made for path, made in arms.items())
    assert len(list((tmp_path / "workspace" / "artifacts").glob("arm-*"))) == 8  # C8 needs two arms more

    wider = run_study(config, seeds=[0], claims=["C1", "baselines"], workspace=workspace, workers=1)
    assert {"bare id", "id+title", "title", "din_title", "kar"} <= set(wider["arms"])
    assert "item_vectors, title_text" in wider["assets"]


def test_unknown_claims_and_no_seeds_are_refused_before_any_work(config: RunConfig, tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "workspace")
    with pytest.raises(EvaluationError, match="C11"):
        run_study(config, seeds=[0], claims=["C11"], workspace=workspace, workers=1)
    with pytest.raises(EvaluationError, match="0 seeds"):
        run_study(config, seeds=[], claims=["C1"], workspace=workspace, workers=1)
    assert not workspace.root.exists()


def test_a_study_under_other_settings_has_a_file_of_its_own(config: RunConfig) -> None:
    folder, plain = Path("claims"), load("tiny", overrides={"data.dataset": "files", "data.source": "/shop"})
    assert results_path(folder, plain) == folder / "files-tiny.json"
    others = [
        config,
        config.model_copy(update={"seed": 1}),
        load("tiny", seed=1),
        load("tiny", overrides=SMALL | {"threads": 3}),
    ]
    assert len({results_path(folder, each) for each in others}) == 4
    assert all(path.name.startswith("synthetic-tiny-") for path in (results_path(folder, each) for each in others))
