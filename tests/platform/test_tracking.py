from pathlib import Path

import pytest
from mlflow import MlflowClient

from reaseq.artifacts import Artifact
from reaseq.config import RunConfig
from reaseq.platform import tracking
from reaseq.platform.errors import TrackingError
from reaseq.platform.mlflow_store import locate, ui_command
from tests.platform.conftest import STEPS

Artifacts = dict[str, Artifact]


@pytest.fixture
def logged(store: Path, tmp_path: Path, config: RunConfig, run_artifacts: Artifacts) -> tracking.LoggedRun:
    summary = tmp_path / "summary.json"
    summary.write_text("{}")
    return tracking.log_pipeline_run(config, run_artifacts, run_id="run-1", folder=store, files=[summary])


def client(logged: tracking.LoggedRun) -> MlflowClient:
    return MlflowClient(tracking_uri=logged.uri)


def test_a_run_holds_parameters_metrics_lineage_and_files(logged, store, config, run_artifacts):
    run = client(logged).get_run(logged.id)
    assert run.info.status == "FINISHED"
    assert run.data.params["ranking.batch"] == "256"
    assert run.data.metrics["test.full.gauc"] == 0.66
    assert run.data.metrics["test.full.hr_at_10"] == 0.2
    assert run.data.metrics["dataset.counts.users"] == 40
    assert run.data.tags["reaseq.digest.ranker_full"] == run_artifacts["ranker_full"].digest
    assert run.data.tags["reaseq.config_digest"] == config.digest
    (lineage,) = run.inputs.dataset_inputs
    assert run_artifacts["dataset"].digest.startswith(lineage.dataset.digest)
    files = {file.path for file in client(logged).list_artifacts(logged.id)}
    assert files == {"report.html", "metrics.json", "summary.json"}
    assert run.info.artifact_uri.startswith((store / "mlflow-artifacts").as_uri())


def test_no_secret_reaches_mlflow(logged):
    run = client(logged).get_run(logged.id)
    assert "llm.example" in run.data.params["llm.base_url"]
    assert "secret-word" not in str(run.to_dictionary())


def test_training_curves_are_nested_runs(logged):
    runs = client(logged).search_runs([logged.experiment_id], f"tags.`mlflow.parentRunId` = '{logged.id}'")
    assert {run.info.run_name for run in runs} == {"ranker_id", "ranker_full"}
    curve = client(logged).get_metric_history(runs[0].info.run_id, "loss")
    assert [point.step for point in curve] == [10 * n for n in range(STEPS)]
    assert [point.value for point in curve] == [1 / (n + 1) for n in range(STEPS)]


def test_logging_a_run_again_changes_nothing(logged, store, config, run_artifacts):
    again = tracking.log_pipeline_run(config, run_artifacts, run_id="run-1", folder=store)
    assert again.id == logged.id
    assert again.reused
    assert len(client(logged).search_runs([logged.experiment_id])) == 3


def test_a_run_that_was_half_logged_is_completed_without_doubles(logged, store, config, run_artifacts):
    client(logged).set_tag(logged.id, tracking.STATE_TAG, "started")
    again = tracking.log_pipeline_run(config, run_artifacts, run_id="run-1", folder=store)
    assert again.id == logged.id
    assert not again.reused
    runs = client(logged).search_runs([logged.experiment_id])
    assert len(runs) == 3
    children = [run for run in runs if run.info.run_id != logged.id]
    assert all(len(client(logged).get_metric_history(run.info.run_id, "loss")) == STEPS for run in children)
    assert len(client(logged).get_run(logged.id).inputs.dataset_inputs) == 1


def test_another_run_id_is_another_run(logged, store, config, run_artifacts):
    other = tracking.log_pipeline_run(config, run_artifacts, run_id="run-2", folder=store)
    assert other.id != logged.id
    assert other.experiment_id == logged.experiment_id


def test_a_file_can_be_attached_later(logged, tmp_path):
    late = tmp_path / "late.txt"
    late.write_text("late")
    tracking.attach(logged, late)
    assert "late.txt" in {file.path for file in client(logged).list_artifacts(logged.id)}


def test_the_run_nests_under_the_one_that_kubeflow_injects(logged, tmp_path, config, run_artifacts, monkeypatch):
    experiment = client(logged).create_experiment("kubeflow", artifact_location=(tmp_path / "kubeflow").as_uri())
    enclosing = client(logged).create_run(experiment).info.run_id
    monkeypatch.setenv("MLFLOW_TRACKING_URI", logged.uri)
    monkeypatch.setenv("MLFLOW_RUN_ID", enclosing)
    nested = tracking.log_pipeline_run(config, run_artifacts, run_id="run-3", folder=tmp_path / "unused")
    assert nested.experiment_id == experiment
    assert client(logged).get_run(nested.id).data.tags["mlflow.parentRunId"] == enclosing
    assert not (tmp_path / "unused").exists()


def test_a_store_that_is_not_there_is_one_typed_error(tmp_path, config, run_artifacts, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://someone:secret-word@127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(TrackingError, match="MLFLOW_TRACKING_URI") as caught:
        tracking.log_pipeline_run(config, run_artifacts, run_id="run-1", folder=tmp_path)
    assert "secret-word" not in str(caught.value)


def test_a_run_id_that_is_no_name_is_refused(tmp_path, config, run_artifacts):
    with pytest.raises(TrackingError, match="run_id"):
        tracking.log_pipeline_run(config, run_artifacts, run_id="a' or 'b", folder=tmp_path)


def test_the_ui_listens_on_loopback_without_job_workers(tmp_path):
    command, environment = ui_command(tmp_path, port=5999)
    assert command[command.index("--host") + 1] == "127.0.0.1"
    assert locate(tmp_path).uri in command
    assert environment["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] == "false"
