"""The registration's steps: MLflow run and version, Feast, Triton repository. Each may be run again at any time."""

import json
from pathlib import Path

from components.opening import Opened
from feature_repo.apply import materialise
from reaseq.artifacts import write_text
from reaseq.evaluation.gate import TAGS, Decision
from reaseq.evaluation.judging import GATE
from reaseq.platform import registry, tracking
from serving import triton_repository

RECORD = "registered.json"
"""In the feature store's folder: which version it serves, for whoever starts a server from the two outputs."""


def register(stage: Opened, run_id: str, model_repository: Path, feature_store: Path) -> dict[str, str | int]:
    """Log the run, register its full ranker as `challenger`, materialise its features, build its Triton repository.

    Args:
        stage: the opened component; holds every artifact of the run.
        run_id: name of the run in MLflow.
        model_repository: folder to make, for tritonserver.
        feature_store: folder to make, for `OnlineFeatures`.

    Returns:
        What was registered, as in `registered.json`.
    """
    config, made = stage.config, stage.inputs
    folder = stage.workspace.root / "mlflow"
    logged = tracking.log_pipeline_run(config, made, run_id=run_id, folder=folder)
    version = registry.register(
        made["ranker_full"],
        name=config.platform.model_name,
        experiment=config.platform.experiment,
        folder=folder,
        run_id=logged.id,
        metrics=made["evaluation"].json("metrics.json"),
    )
    told = made["gate"].json(GATE)
    marks = Decision.from_json(told).tags | {f"{TAGS}champion": told["champion"]["name"]}
    registry.mark(version, TAGS, marks, folder=folder)
    features = materialise(
        feature_store,
        dataset=made["dataset"],
        knowledge=made["knowledge"],
        item_vectors=made["item_vectors"],
        inferred_behaviors=made["inferred_behaviors"],
        ranker_version=version.version,
        history_limit=config.ranking.long_history,
        tags={"reaseq.bundle_digest": version.digest},
    )
    triton_repository.build(made["ranker_full"], model_repository)
    record: dict[str, str | int] = {
        "model": version.name,
        "version": version.version,
        "digest": version.digest,
        "mlflow_run": logged.id,
        "service": features.service,
        "now": features.now,
    }
    write_text(feature_store / RECORD, json.dumps(record, indent=2) + "\n")
    return record
