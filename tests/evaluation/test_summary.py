"""summary.json: stable, complete, without secrets."""

import json

import pytest

from reaseq import config as configuration
from reaseq.artifacts import Workspace, build
from reaseq.evaluation.summary import gate_line, headline, write_summary
from tests import smallworld

METRICS = {
    "test": {
        "id": {"auc": 0.6, "gauc": 0.61, "logloss": 0.5, "hr@10": 0.1, "ndcg@10": 0.05, "hr@50": 0.3, "ndcg@50": 0.2},
        "full": {"auc": 0.7, "gauc": None, "logloss": 0.4, "hr@10": 0.2, "ndcg@10": 0.1, "hr@50": 0.4, "ndcg@50": 0.3},
    }
}


@pytest.fixture
def artifacts(tmp_path, workspace: Workspace):
    def write(draft):
        draft.write_json("metrics.json", METRICS)
        draft.facts.update(endpoint="https://user:hunter2@host/v1?api_key=abc", broken=float("nan"))

    return {
        "dataset": smallworld.write_dataset(tmp_path / "dataset", workspace),
        "evaluation": build(
            tmp_path / "evaluation", kind="evaluation", config={}, inputs={}, write=write, workspace=workspace
        ),
    }


def test_the_summary_holds_the_run_its_metrics_and_its_stages(tmp_path, artifacts):
    config = configuration.load("tiny", seed=3)

    path = write_summary(tmp_path / "runs" / "r1", config, artifacts, {"registered_version": 4})

    summary = json.loads(path.read_text())
    assert path == tmp_path / "runs" / "r1" / "summary.json"
    assert (summary["run_id"], summary["preset"], summary["seed"], summary["dataset"]) == ("r1", "tiny", 3, "synthetic")
    assert summary["config_digest"] == config.digest
    assert summary["metrics"] == METRICS
    assert summary["extra"] == {"registered_version": 4}
    assert summary["stages"]["dataset"]["digest"] == artifacts["dataset"].digest
    assert summary["stages"]["dataset"]["rows"]["items.parquet"] == smallworld.ITEMS
    assert {"reaseq", "torch", "python"} <= set(summary["versions"])
    assert summary["machine"]["cpus"] >= 1


def test_keys_are_sorted_and_the_json_is_strict(tmp_path, artifacts):
    text = write_summary(tmp_path / "r", configuration.load("tiny"), artifacts, {}).read_text()

    parsed = json.loads(text, parse_constant=lambda word: pytest.fail(f"{word} in JSON"))

    assert list(parsed) == sorted(parsed)


def test_credentials_in_a_url_are_struck_out(tmp_path, artifacts):
    config = configuration.load("tiny", overrides={"llm.base_url": "http://me:s3cret@llm:8000/v1"})

    text = write_summary(tmp_path / "r", config, artifacts, {}).read_text()

    assert "s3cret" not in text
    assert "hunter2" not in text
    assert "api_key=abc" not in text
    assert "***@llm:8000" in text


def test_a_run_without_evaluation_has_a_summary_and_no_headline(tmp_path, artifacts):
    path = write_summary(tmp_path / "r", configuration.load("tiny"), {"dataset": artifacts["dataset"]}, {})

    assert headline(json.loads(path.read_text())) == []


def test_the_headline_puts_both_models_side_by_side(tmp_path, artifacts):
    path = write_summary(tmp_path / "r", configuration.load("tiny"), artifacts, {})

    assert headline(json.loads(path.read_text())) == [
        ("AUC", "0.6000", "0.7000"),
        ("GAUC", "0.6100", "–"),
        ("LogLoss", "0.5000", "0.4000"),
        ("HR@10", "0.1000", "0.2000"),
        ("NDCG@10", "0.0500", "0.1000"),
    ]


def test_the_decision_of_the_gate_is_in_the_summary_and_in_one_line(tmp_path, artifacts, workspace):
    told = {
        "decision": "hold",
        "reason": "1 training seed, at least 3 are needed",
        "rule_version": 1,
        "checks": [],
        "champion": {"name": "shop version 3", "auc": 0.7},
    }
    judged = build(
        tmp_path / "gate",
        kind="gate",
        config={},
        inputs={},
        write=lambda draft: draft.write_json("gate.json", told),
        workspace=workspace,
    )

    path = write_summary(tmp_path / "r", configuration.load("tiny"), artifacts | {"gate": judged}, {})

    summary = json.loads(path.read_text())
    assert summary["gate"] == told
    assert gate_line(summary) == "hold: 1 training seed, at least 3 are needed. Champion: shop version 3"
    assert gate_line({"gate": None}) == ""
