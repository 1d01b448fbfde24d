"""kill -9 in the middle of distillation: the next start repeats no call and ends with the same bytes."""

import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from reaseq.artifacts import Workspace, open_artifact
from reaseq.errors import ArtifactError
from reaseq.knowledge import distill
from tests.knowledge.inputs import dataset_of, remote
from tests.llm.endpoints import REPOSITORY
from tests.llm.scripted_endpoint import ScriptedEndpoint

ITEMS = [{"title": f"{kind} number {n}"} for n in range(3) for kind in ("Shampoo", "Lipstick", "Tent", "Coffee Mug")]
START = """
import sys
from pathlib import Path
from reaseq.artifacts import Workspace, open_artifact
from reaseq.knowledge import distill
from tests.knowledge.inputs import remote
url, root = sys.argv[1], Path(sys.argv[2])
distill(remote(url), open_artifact(root / "d"), root / "k", Workspace(root / "workspace"))
"""


def start(url: str, root: Path) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([sys.executable, "-c", START, url, str(root)], cwd=REPOSITORY, stderr=subprocess.DEVNULL)


def stored(cache: Path) -> int:
    try:
        with sqlite3.connect(f"file:{cache}?mode=ro", uri=True) as db:
            return int(db.execute("SELECT count(*) FROM answers").fetchone()[0])
    except sqlite3.OperationalError:  # not made yet
        return 0


def wait_for(condition: object, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 120
    while not condition():  # type: ignore[operator]
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)


def test_a_killed_run_repeats_no_answered_call_and_ends_with_the_same_bytes(
    tmp_path: Path, scripted: ScriptedEndpoint
) -> None:
    workspace = Workspace(tmp_path / "workspace")
    dataset = dataset_of(tmp_path / "d", workspace, *ITEMS)
    scripted.hold_after = 30  # whatever is asked beyond gets no answer while the first process lives

    process = start(scripted.url, tmp_path)
    wait_for(lambda: stored(workspace.llm_cache) == 30, process)
    process.send_signal(signal.SIGKILL)
    process.wait()
    with pytest.raises(ArtifactError):
        open_artifact(tmp_path / "k")

    scripted.hold_after = None
    assert start(scripted.url, tmp_path).wait(120) == 0

    assert len(scripted.answered) == len(set(scripted.answered))
    resumed = open_artifact(tmp_path / "k", "knowledge")
    assert resumed.facts["hits"] >= 30
    calls = len(scripted.answered)
    whole = distill(remote(scripted.url), dataset, tmp_path / "whole", Workspace(tmp_path / "other"))
    assert len(scripted.answered) == 2 * calls
    assert whole.digest == resumed.digest


def test_a_kill_at_any_moment_costs_at_most_the_calls_in_flight(tmp_path: Path, scripted: ScriptedEndpoint) -> None:
    workspace = Workspace(tmp_path / "workspace")
    dataset_of(tmp_path / "d", workspace, *ITEMS)
    scripted.delay = 0.01

    process = start(scripted.url, tmp_path)
    wait_for(lambda: stored(workspace.llm_cache) >= 20, process)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert start(scripted.url, tmp_path).wait(120) == 0

    assert len(scripted.answered) - len(set(scripted.answered)) <= 4  # llm.concurrency
