"""Arms in worker processes: an error of one ends the work of the others."""

from pathlib import Path

import pytest

from reaseq.artifacts import Workspace
from reaseq.config import load
from reaseq.evaluation.claims.arms import Arm, Assets, train_arms
from reaseq.ranking import RankingError
from tests import smallworld


def test_an_error_is_told_before_the_other_arms_are_trained(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "workspace")
    dataset = smallworld.write_dataset(tmp_path / "dataset", workspace)
    vectors = smallworld.write_item_vectors(tmp_path / "vectors", dataset, workspace)
    arms = [Arm("unknown", network="dien"), Arm("id", variant="id")]
    config = load("tiny", overrides={"ranking.least_steps": 5})
    seeds = range(6)

    with pytest.raises(RankingError, match="dien"):
        train_arms(config, Assets(dataset, {"rer": vectors}, None), arms, seeds, workspace, workers=1)

    assert len(list((workspace.root / "artifacts").glob("arm-*"))) < len(seeds)
