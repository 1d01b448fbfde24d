"""A pipeline run, as one MLflow run that a person can compare with others.

It is written after the fact from what the artifacts' manifests say, with their times, so that logging it twice, or
again after a kill, gives the same run: MLflow keeps a metric's value once per step and time.
"""

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reaseq.artifacts import Artifact
from reaseq.config import RunConfig
from reaseq.evaluation.provenance import public_config, strike
from reaseq.platform.errors import TrackingError
from reaseq.platform.flatten import figures, parameters
from reaseq.platform.mlflow_store import locate, translated

if TYPE_CHECKING:
    from mlflow import MlflowClient

RUN_TAG = "reaseq.run_id"
STATE_TAG = "reaseq.logged"  # "complete" once everything of the run is in MLflow
PARENT_TAG = "mlflow.parentRunId"
CURVE_TAG = "reaseq.curve_of"
CURVES = "training.jsonl"
_RUN_ID = re.compile(r"[\w.:-]{1,200}")
_PARAMETERS, _METRICS = 100, 1000  # MLflow's limits for one batch


@dataclass(frozen=True)
class LoggedRun:
    """A run in MLflow.

    Attributes:
        id: MLflow's id of the run.
        experiment_id: of its experiment.
        uri: tracking URI.
        reused: whether it had been logged completely before.
    """

    id: str
    experiment_id: str
    uri: str
    reused: bool


def log_pipeline_run(
    config: RunConfig,
    artifacts: Mapping[str, Artifact],
    *,
    run_id: str,
    folder: Path,
    files: Sequence[Path] = (),
) -> LoggedRun:
    """Log a pipeline run: parameters, metrics, lineage, files, and a nested run with the curves of each training.

    Where Kubeflow Pipelines injects `MLFLOW_RUN_ID` (KEP-12862), the run is nested under that one.

    Args:
        config: of the run.
        artifacts: what it made, by name: `dataset`, `knowledge`, …, `ranker_full`, `evaluation`. Those that are missing
            are left out. Numbers among their facts become metrics, and each `training.jsonl` becomes a nested run.
        run_id: the pipeline run's own id; logging it again changes nothing.
        folder: of the local store, where `MLFLOW_TRACKING_URI` is not set.
        files: further files to keep with the run, such as its summary.

    Raises:
        TrackingError: MLflow can't be reached, or `run_id` is no plain name.
    """
    if not _RUN_ID.fullmatch(run_id):
        raise TrackingError(f"run_id {run_id!r} must be 1 to 200 letters, digits, '_', '.', ':' or '-'.")
    store = locate(folder)
    with translated(TrackingError, store.uri):
        client = store.client()
        enclosing = os.environ.get("MLFLOW_RUN_ID")
        if enclosing:
            experiment = client.get_run(enclosing).info.experiment_id
        else:
            experiment = store.experiment(client, config.platform.experiment)
        known = _find(client, experiment, f"tags.`{RUN_TAG}` = '{run_id}'")
        if known and known.data.tags.get(STATE_TAG) == "complete":
            return LoggedRun(known.info.run_id, experiment, store.uri, True)
        started, ended = _span(artifacts.values())
        if known:
            run = known.info.run_id
        else:
            tags = {RUN_TAG: run_id, STATE_TAG: "started", "mlflow.runName": run_id, "mlflow.source.name": "reaseq"}
            tags |= {PARENT_TAG: enclosing} if enclosing else {}
            run = client.create_run(experiment, start_time=started, tags=tags).info.run_id
        _log_tags(client, run, config, artifacts)
        _log_parameters(client, run, parameters(public_config(config)))
        _log_figures(client, run, artifacts)
        if "dataset" in artifacts:
            _log_lineage(client, run, config, artifacts["dataset"])
        for name, artifact in artifacts.items():
            if CURVES in artifact.manifest.files:
                _log_curves(client, experiment, run, name, artifact)
        for file in (*_reports(artifacts), *files):
            client.log_artifact(run, str(file))
        client.set_tag(run, STATE_TAG, "complete")
        client.set_terminated(run, "FINISHED", end_time=ended)
    return LoggedRun(run, experiment, store.uri, False)


def attach(run: LoggedRun, file: Path) -> None:
    """Keep one more file with a logged run; a file of the same name is replaced.

    Raises:
        TrackingError: MLflow can't be reached.
    """
    from mlflow import MlflowClient

    with translated(TrackingError, run.uri):
        MlflowClient(tracking_uri=run.uri).log_artifact(run.id, str(file))


def _find(client: "MlflowClient", experiment: str, condition: str) -> Any:
    """The oldest run that meets the condition, or None."""
    runs = client.search_runs([experiment], condition, max_results=1, order_by=["attributes.start_time ASC"])
    return runs[0] if runs else None


def _log_tags(client: "MlflowClient", run: str, config: RunConfig, artifacts: Mapping[str, Artifact]) -> None:
    tags = {
        "reaseq.dataset": config.data.dataset,
        "reaseq.preset": config.preset,
        "reaseq.seed": config.seed,
        "reaseq.config_digest": config.digest,
    }
    tags |= {f"reaseq.digest.{name}": artifact.digest for name, artifact in artifacts.items()}
    tags |= {f"reaseq.versions.{name}": artifact.manifest.reaseq_version for name, artifact in artifacts.items()}
    for name, value in tags.items():
        client.set_tag(run, name, str(value))


def _log_parameters(client: "MlflowClient", run: str, values: Mapping[str, str]) -> None:
    from mlflow.entities import Param

    params = [Param(name[:250], value) for name, value in sorted(values.items())]
    for start in range(0, len(params), _PARAMETERS):
        client.log_batch(run, params=params[start : start + _PARAMETERS])


def _log_figures(client: "MlflowClient", run: str, artifacts: Mapping[str, Artifact]) -> None:
    """`metrics.json` under its own names; the facts and the cost of each artifact under the artifact's name."""
    from mlflow.entities import Metric

    metrics = []
    for name, artifact in artifacts.items():
        cost = {"seconds": artifact.manifest.seconds, "peak_memory_bytes": artifact.manifest.peak_memory_bytes}
        rows = {file: entry.rows for file, entry in artifact.manifest.files.items() if entry.rows is not None}
        values = figures({name: {**artifact.facts, **cost, "rows": rows}})
        if "metrics.json" in artifact.manifest.files:
            values |= figures(artifact.json("metrics.json"))
        moment = _milliseconds(artifact)
        metrics += [Metric(key, value, moment, 0) for key, value in values.items()]
    for start in range(0, len(metrics), _METRICS):
        client.log_batch(run, metrics=metrics[start : start + _METRICS])


def _log_lineage(client: "MlflowClient", run: str, config: RunConfig, dataset: Artifact) -> None:
    from mlflow.entities import Dataset, DatasetInput, InputTag

    described = Dataset(
        name=config.data.dataset,
        digest=dataset.digest[:36],  # MLflow holds no more; the tag `reaseq.digest.dataset` has all of it
        source_type="local",
        source=json.dumps({"uri": strike(config.data.source) or config.data.dataset, "key": dataset.manifest.key}),
        profile=json.dumps({name: dataset.facts.get(name) for name in ("counts", "split", "sampling", "quarantined")}),
    )
    client.log_inputs(run, [DatasetInput(described, [InputTag("mlflow.data.context", "training")])])


def _log_curves(client: "MlflowClient", experiment: str, parent: str, name: str, artifact: Artifact) -> None:
    """A nested run with each line of `training.jsonl` as one step; `step` is the line's own where it has one."""
    from mlflow.entities import Metric

    condition = f"tags.`{PARENT_TAG}` = '{parent}' and tags.`{CURVE_TAG}` = '{name}'"
    known = _find(client, experiment, condition)
    if known:
        run = known.info.run_id
    else:
        tags = {PARENT_TAG: parent, CURVE_TAG: name, "mlflow.runName": name, "reaseq.digest": artifact.digest}
        run = client.create_run(experiment, start_time=_span([artifact])[0], tags=tags).info.run_id
    _log_parameters(client, run, parameters(strike(artifact.manifest.config)))
    metrics = []
    moment = _milliseconds(artifact)
    lines = artifact.file(CURVES).read_text().splitlines()
    for number, line in enumerate(lines):
        values = figures(json.loads(line))
        step = int(values.pop("step", number))
        metrics += [Metric(key, value, moment, step) for key, value in values.items()]
    for start in range(0, len(metrics), _METRICS):
        client.log_batch(run, metrics=metrics[start : start + _METRICS])
    client.set_terminated(run, "FINISHED", end_time=moment)


def _reports(artifacts: Mapping[str, Artifact]) -> list[Path]:
    return [
        artifact.file(file)
        for artifact in artifacts.values()
        for file in ("report.html", "metrics.json", "gate.html", "gate.json")
        if file in artifact.manifest.files
    ]


def _milliseconds(artifact: Artifact) -> int:
    return int(datetime.fromisoformat(artifact.manifest.created).timestamp() * 1000)


def _span(artifacts: Any) -> tuple[int | None, int | None]:
    """First start and last end of the stages, in milliseconds."""
    ends = [(_milliseconds(artifact), int(artifact.manifest.seconds * 1000)) for artifact in artifacts]
    if not ends:
        return None, None
    return min(end - took for end, took in ends), max(end for end, _ in ends)
