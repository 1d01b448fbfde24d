"""Inference is timed beside the forwards that it does, on a denoiser that was really fitted."""

from pathlib import Path

import pytest

from reaseq.artifacts import Workspace
from reaseq.behavior import fit_denoiser
from reaseq.config import load
from reaseq.evaluation.errors import EvaluationError
from reaseq.evaluation.inference_speed import inference_speed
from tests import smallworld

CONFIG = load("tiny", overrides={"behavior.d_model": 32, "behavior.epochs": 1, "behavior.infer_batch": 8})


def test_what_inference_takes_is_told_beside_its_limit(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "workspace")
    dataset = smallworld.write_dataset(tmp_path / "dataset", workspace)
    vectors = smallworld.write_item_vectors(tmp_path / "vectors", dataset, workspace)
    denoiser = fit_denoiser(CONFIG, dataset, vectors, tmp_path / "denoiser", workspace)
    told = inference_speed(CONFIG, dataset, vectors, denoiser)
    for row in told["speed"].values():
        assert 0 < row["users/s"] < row["limit, users/s"] * 1.5  # a limit is timed, too
        assert row["dense forwards a user"] > 1
    assert 0 < told["users"] <= smallworld.USERS
    fewer = inference_speed(CONFIG, dataset, vectors, denoiser, users=8)
    assert fewer["users"] < told["users"]
    nobody = CONFIG.model_copy(update={"behavior": CONFIG.behavior.model_copy(update={"min_events": 10**6})})
    with pytest.raises(EvaluationError, match="nothing to infer"):
        inference_speed(nobody, dataset, vectors, denoiser)
