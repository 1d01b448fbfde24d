"""A whole study on a very small world: arms in worker processes, verdicts, and a second start that trains nothing."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from reaseq.artifacts import Workspace
from reaseq.config import RunConfig, load
from reaseq.evaluation.claims.study import Made, run_study, study_name
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


def test_a_study_under_other_settings_has_a_name_of_its_own(config: RunConfig) -> None:
    assert study_name(load("tiny", overrides={"data.dataset": "files", "data.source": "/shop"})) == "files-tiny"
    others = [
        config,
        config.model_copy(update={"seed": 1}),
        load("tiny", seed=1),
        load("tiny", overrides=SMALL | {"threads": 3}),
        load("tiny", overrides=SMALL | {"data.impressions": "/shop/impressions.csv"}),
    ]
    names = {study_name(each) for each in others}
    assert len(names) == 5
    assert all(name.startswith("synthetic-tiny-") for name in names)


def test_assets_of_another_dataset_are_refused(config: RunConfig, tmp_path: Path) -> None:
    """Their rows are other items'."""
    workspace = Workspace(tmp_path / "workspace")
    elsewhere = Made(config.model_copy(update={"seed": 1}), workspace)
    given = tmp_path / "given"
    given.mkdir()
    shutil.copytree(elsewhere.rer.path, given / "item_vectors")
    with pytest.raises(EvaluationError, match="another dataset"):
        Made(config, workspace, given).vectors("rer")
    assert Made(config.model_copy(update={"seed": 1}), workspace, given).rer.path == given / "item_vectors"
