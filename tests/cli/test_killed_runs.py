"""`kill -9` at three places: the next start finishes, with the same bytes, and nothing half-written is accepted."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest

from reaseq.artifacts import open_artifact
from reaseq.errors import ArtifactError
from tests.cli.conftest import Done
from tests.cli.main_job import arguments, command, environment, reaseq


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


@pytest.mark.timeout(600)
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
