"""The main job, end to end: one command, and everything that a person expects to find afterwards; then the same job,
killed three times. One file, because all of it shares one run."""

import json
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import httpx
import numpy as np
import psutil
import pytest

from reaseq.artifacts import open_artifact
from reaseq.errors import ArtifactError
from reaseq.platform import registry
from reaseq.platform.features import OnlineFeatures
from reaseq.ranking.bundle import Bundle
from serving.oip import infer_body
from tests.cli.conftest import Done
from tests.cli.main_job import arguments, command, environment, reaseq


def test_it_ends_with_metrics_a_ranking_and_the_paths(done: Done) -> None:
    text = done.process.stdout
    assert re.search(r"AUC +0\.\d{4} +0\.\d{4}", text)
    assert "from Triton (version 1)" in text
    assert str(done.folder / "report.html") in text.replace("\n", "")
    assert done.process.stderr == ""


def test_the_summary_holds_both_models_side_by_side(done: Done) -> None:
    summary = json.loads((done.folder / "summary.json").read_text())
    for variant in ("id", "full"):
        for metric in ("auc", "gauc", "logloss", "hr@10", "ndcg@10"):
            assert isinstance(summary["metrics"]["test"][variant][metric], float)
    assert summary["seed"] == 0
    assert summary["config"]["data"]["synthetic"]["users"] == 120
    assert {"kfp", "mlflow", "torch"} <= set(summary["versions"])
    assert len(summary["extra"]["answer"]["ranking"]) == 20
    assert summary["extra"]["answer"]["degraded"] == []
    assert summary["extra"]["answer"]["parity"] <= 1e-5


def test_the_report_is_one_file_that_needs_no_network(done: Done) -> None:
    report = (done.folder / "report.html").read_text()
    assert "<svg" in report
    assert not re.search(r"""(src|href)=["']https?:""", report)


def test_the_ranker_is_registered_as_challenger_and_can_be_brought_back(done: Done, tmp_path) -> None:
    folder = done.runs / ".workspace" / "mlflow"
    version = registry.resolve("reaseq-ranker", "challenger", folder=folder)
    bundle = registry.download(version, tmp_path / "bundle", folder=folder)
    summary = json.loads((done.folder / "summary.json").read_text())
    assert bundle.digest == summary["stages"]["ranker_full"]["digest"] == version.digest


def test_the_gates_decision_is_on_the_terminal_in_the_summary_and_on_the_registered_version(done: Done) -> None:
    summary = json.loads((done.folder / "summary.json").read_text())
    told = summary["gate"]
    assert told["decision"] in ("promote", "hold")
    assert told["challenger"] | {"auc": None} == {
        "digest": summary["stages"]["ranker_full"]["digest"],
        "seeds": [0, 1, 2],
        "auc": None,
    }
    assert f"{told['decision']}: {told['reason']}" in " ".join(done.process.stdout.split())
    assert f"{told['decision'].capitalize()}." in (done.folder / "gate.html").read_text()
    folder = done.runs / ".workspace" / "mlflow"
    tags = registry.resolve("reaseq-ranker", "challenger", folder=folder).tags
    assert tags["reaseq.gate.decision"] == told["decision"]
    assert {f"reaseq.gate.{check['name']}" for check in told["checks"]} <= tags.keys()
    assert tags["reaseq.gate.champion"] == told["champion"]["name"]
    assert registry.find("reaseq-ranker", "champion", folder=folder) is None


def test_show_item_and_show_user_tell_what_the_run_knows(done: Done) -> None:
    dataset = open_artifact(next(done.folder.glob("pipeline/*/ingest/dataset")))
    item = dataset.table("items.parquet", ["item_id"])[0][0].as_py()
    shown = reaseq("show", "item", item, "--runs", str(done.runs))
    assert shown.returncode == 0
    assert "Nearest items" in shown.stdout
    inferred = open_artifact(next(done.folder.glob("pipeline/*/behavior-inference/inferred_behaviors")))
    user = inferred.table("inferred_behaviors.parquet", ["user_id"])[0][0].as_py()
    shown = reaseq("show", "user", user, "--runs", str(done.runs))
    assert shown.returncode == 0
    assert f"User {user}: " in shown.stdout
    assert "inferred then" in shown.stdout


def test_a_refresh_brings_a_users_newer_events_to_the_store_once(done: Done, tmp_path: Path) -> None:
    inferred = open_artifact(next(done.folder.glob("pipeline/*/behavior-inference/inferred_behaviors")))
    user = inferred.table("inferred_behaviors.parquet", ["user_id"])[0][0].as_py()
    store = OnlineFeatures(next(done.folder.glob("pipeline/*/registration/feature_store")), "ranker_v1")
    before = store.user(user)
    items = before.row.inferred_items[:3]
    days = [f"2030-01-0{day}" for day in (1, 2, 3)]
    rows = [f"{who},{item},{day}" for who in (user, "newcomer") for item, day in zip(items, days, strict=True)]
    (tmp_path / "newer.csv").write_text("\n".join(["user_id,item_id,timestamp", *rows, f"cold,{items[0]},2030-01-01"]))
    words = ("refresh", "--interactions", str(tmp_path / "newer.csv"), "--events", "3", "--runs", str(done.runs))
    first, second = reaseq(*words, "--older-than", "9999"), reaseq(*words, "--older-than", "9999")
    assert first.returncode == second.returncode == 0, first.stderr + second.stderr
    assert "Refresh of run" in first.stdout
    assert "0 rows written" in second.stdout
    after = store.user(user)
    assert after.inferred_snapshot == 1_893_628_800_000_001  # just after 3 January 2030
    assert after.inferred_version == before.inferred_version
    assert not set(after.row.inferred_items) & set(items)  # the log holds them by now
    assert store.user("newcomer").inferred_snapshot == after.inferred_snapshot
    assert store.user("cold").row is None
    told = json.loads((done.folder / "refreshes" / "20300103T000000000001Z.json").read_text())
    assert told["outcomes"]["refreshed"] + told["outcomes"]["nothing_found"] >= 2
    assert told["outcomes"]["too_few_events"] >= 1
    shown = reaseq("show", "user", "newcomer", "--runs", str(done.runs))
    assert "User newcomer: 3 behaviours before 2030-01-03" in shown.stdout, shown.stderr


def test_unknown_ids_and_runs_are_one_paragraph_and_no_traceback(done: Done) -> None:
    for words in (("show", "item", "nothing"), ("show", "user", "nobody"), ("show", "item", "x", "--run", "never")):
        told = reaseq(*words, "--runs", str(done.runs))
        assert told.returncode == 1
        assert told.stderr.startswith("error: ")
        assert "Traceback" not in told.stderr


def test_a_corrupted_byte_is_refused(done: Done, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    shutil.copytree(done.runs, runs, symlinks=True)
    items = next((runs / "latest").resolve().glob("pipeline/*/ingest/dataset/items.parquet"))
    content = bytearray(items.read_bytes())
    content[len(content) // 2] ^= 1
    items.write_bytes(content)
    told = reaseq("show", "user", "u1", "--runs", str(runs))
    assert told.returncode == 1
    assert told.stderr.startswith("error: ")
    assert "items.parquet was changed after it was written" in " ".join(told.stderr.split())
    assert "Traceback" not in told.stderr


def test_served_scores_are_those_of_in_process_onnxruntime_for_any_client(done: Done, serving) -> None:
    """Plain HTTP with JSON bodies, as curl sends them."""
    assert httpx.get(f"http://{serving['http']}/v2/health/ready").status_code == 200
    bundle = Bundle.open(open_artifact(next(done.folder.glob("pipeline/*/ranker-training-2/ranker"))))
    for inputs, expected in bundle.golden():
        told = httpx.post(f"http://{serving['http']}/v2/models/reaseq_ranker/infer", json=infer_body(inputs)).json()
        scores = np.array(told["outputs"][0]["data"], np.float32)
        assert np.abs(scores - expected).max() <= 1e-5


def test_rank_asks_the_running_server_and_reads_candidates_from_a_file(done: Done, serving, tmp_path) -> None:
    dataset = open_artifact(next(done.folder.glob("pipeline/*/ingest/dataset")))
    items = dataset.table("items.parquet", ["item_id"])["item_id"].to_pylist()[:7]
    user = dataset.table("interactions.parquet", ["user_id"])[0][0].as_py()
    (tmp_path / "candidates.txt").write_text("\n".join(items))
    by_file = reaseq("rank", "--user", user, "--candidates", str(tmp_path / "candidates.txt"), "--runs", str(done.runs))
    by_list = reaseq("rank", "--user", user, "--candidates", ",".join(items), "--runs", str(done.runs))
    assert by_file.returncode == by_list.returncode == 0, by_file.stderr + by_list.stderr
    assert by_file.stdout == by_list.stdout
    assert all(item in by_file.stdout for item in items)


def test_a_port_in_use_is_named_with_its_option(done: Done, serving) -> None:
    port = serving["http"].rpartition(":")[2]
    runs = ("--runs", str(done.runs))
    told = reaseq("serve", "--http-port", port, "--port", "0", "--grpc-port", "0", "--metrics-port", "0", *runs)
    assert told.returncode == 1
    assert "is up already" in told.stderr or (port in told.stderr and "--http-port" in told.stderr)


@pytest.fixture(scope="module")
def serving(done: Done):
    ports = ("--port", "0", "--http-port", "0", "--grpc-port", "0", "--metrics-port", "0")
    process = subprocess.Popen(
        command("serve", *ports, "--runs", str(done.runs)), env=environment(), stdout=subprocess.PIPE, text=True
    )
    state = done.folder / "serve.json"
    deadline = time.monotonic() + 90
    while not state.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.2)
    assert state.exists(), "the servers did not come up"
    told = json.loads(state.read_text())
    yield {"http": told["triton_http"], "transformer": told["transformer_url"]}
    process.terminate()
    assert process.wait(timeout=30) == 0
    assert not state.exists()


def start_and_kill(runs: Path, stage: str, delay: float) -> None:
    """Kill the command line `delay` seconds after `stage` began."""
    process = subprocess.Popen(command(*arguments(runs)), env=environment(), stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 200
    while time.monotonic() < deadline and process.poll() is None:
        events = [e for f in runs.glob("*/progress.jsonl") for e in f.read_text().splitlines() if e.endswith("}")]
        if any(e["event"] == "stage_started" and e["stage"] == stage for e in map(json.loads, events)):
            break
        time.sleep(0.02)
    time.sleep(delay)
    children = psutil.Process(process.pid).children(recursive=True)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    _, alive = psutil.wait_procs(children, timeout=10)
    assert not alive, f"left running: {alive}"


def test_three_kills_cost_no_result_and_change_no_byte(done: Done, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    for stage, delay in (("knowledge_distillation", 0.3), ("behavior_modeling", 2.0), ("ranker_training (full)", 2.0)):
        start_and_kill(runs, stage, delay)
        for partial in [p for p in runs.rglob(".*.partial") if p.is_dir()]:
            with pytest.raises(ArtifactError):
                open_artifact(partial)
    last = reaseq(*arguments(runs))
    assert last.returncode == 0, last.stdout + last.stderr
    assert "taken up again" in last.stdout
    assert len(list(runs.glob("*/run.json"))) == 2  # the run, and `latest`
    assert stages(runs / "latest") == stages(done.folder)


def stages(run: Path) -> dict[str, str]:
    return {name: stage["digest"] for name, stage in json.loads((run / "summary.json").read_text())["stages"].items()}
