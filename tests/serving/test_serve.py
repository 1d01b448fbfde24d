"""Both servers together: one start, one stop, a file that says where, and a Triton that comes back."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import numpy as np
import psutil
import pytest

from reaseq.artifacts import Artifact, Workspace
from serving import serve, state
from serving.errors import InvalidRequest, ParityError, PortInUse, ServingError
from serving.serve import Ports, Running, serving
from serving.triton_repository import build
from tests.serving.standin import write_ranker
from tests.serving.test_transformer import in_process
from tests.serving.test_triton_server import is_loopback
from tests.serving.users import NOW, UsersInMemory, a_user
from tests.smallworld import item_id

CANDIDATES = [item_id(n) for n in (9, 4, 31)]
STORE = UsersInMemory({"u1": a_user()})

FOREGROUND = """
import sys
from pathlib import Path
from types import SimpleNamespace
from reaseq.artifacts import open_artifact
from serving.serve import FREE, serve_forever

class NobodyKnown:  # Feast takes seconds to import, and this is not about it
    def user(self, user_id, now=None):
        return SimpleNamespace(row=None, statuses={})

serve_forever(
    open_artifact(sys.argv[1], "ranker"),
    Path(sys.argv[2]),
    NobodyKnown(),
    ports=FREE,
    state_file=Path(sys.argv[3]),
    ready=lambda running: print(running.state.transformer_url, flush=True),
)
print("stopped cleanly", flush=True)
"""


@pytest.fixture(scope="module")
def running(bundle: Artifact, repository: Path, folder: Path) -> Iterator[Running]:
    own = build(bundle, folder / "served")
    with serving(bundle, own, STORE, state_file=folder / "serve.json") as pair:
        yield pair


def test_an_answer_through_both_servers_is_the_in_process_one(running: Running, bundle: Artifact) -> None:
    answer = running.rank("u1", CANDIDATES, timestamp=NOW)
    np.testing.assert_allclose(answer["scores"], in_process(bundle, a_user(), CANDIDATES), rtol=0, atol=1e-5)
    assert answer["model_version"] == bundle.digest[:12]
    assert running.parity.requests == 4


def test_plain_clients_reach_triton_s_own_port(running: Running) -> None:
    assert httpx.get(f"http://{running.state.triton_http}/v2/health/ready").status_code == 200
    assert "nv_inference_request_success" in httpx.get(f"http://{running.state.triton_metrics}/metrics").text


def test_everything_listens_on_loopback(running: Running) -> None:
    processes = [psutil.Process(), *psutil.Process().children(recursive=True)]
    listening = [c for p in processes for c in p.connections("inet") if c.status == psutil.CONN_LISTEN]
    assert len(listening) >= 4
    assert all(is_loopback(c.laddr.ip) for c in listening)


def test_a_bad_request_comes_back_as_the_same_error(running: Running) -> None:
    with pytest.raises(InvalidRequest, match=r"^candidates: list should have at least 1 item") as caught:
        running.rank("u1", [])
    assert caught.value.field == "candidates"


def test_the_state_file_leads_to_the_running_server(running: Running, folder: Path) -> None:
    found = state.find_running(folder / "serve.json")
    assert found == running.state
    assert serve.rank(found.transformer_url, "u1", CANDIDATES)["ranking"]


def test_a_second_server_of_one_run_is_refused(running: Running, bundle: Artifact, folder: Path) -> None:
    with (
        pytest.raises(ServingError, match="is up already"),
        serving(bundle, folder / "served", STORE, state_file=folder / "serve.json"),
    ):
        pass


def test_triton_comes_back_after_a_crafted_shape_ended_it(running: Running, bundle: Artifact) -> None:
    body = {"inputs": [{"name": "candidates", "datatype": "INT64", "shape": [2**62], "data": [1]}]}
    try:
        answer = httpx.post(f"http://{running.state.triton_http}/v2/models/reaseq_ranker/infer", json=body, timeout=10)
        assert answer.status_code >= 400  # a release that refuses it
    except httpx.TransportError:
        assert not _answers(running)
    _wait(lambda: _answers(running))
    running.check()
    answer = running.rank("u1", CANDIDATES, timestamp=NOW)
    np.testing.assert_allclose(answer["scores"], in_process(bundle, a_user(), CANDIDATES), rtol=0, atol=1e-5)


def _answers(running: Running) -> bool:
    try:
        running.rank("u1", CANDIDATES)
    except ServingError:
        return False
    return True


def test_a_port_in_use_stops_before_anything_starts(bundle: Artifact, repository: Path, tmp_path: Path) -> None:
    children = len(psutil.Process().children(recursive=True))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for ports, option in ((Ports(port, 0, 0, 0), "--port"), (Ports(0, port, 0, 0), "--http-port")):
            with (
                pytest.raises(PortInUse, match=rf"port {port} \({option}\)"),
                serving(bundle, repository, STORE, ports=ports, state_file=tmp_path / "serve.json"),
            ):
                pass
    assert not (tmp_path / "serve.json").exists()
    assert len(psutil.Process().children(recursive=True)) == children


def test_a_repository_of_another_bundle_is_not_served(repository: Path, workspace: Workspace) -> None:
    other = write_ranker(workspace.root / "other", workspace, seed=5)
    children = len(psutil.Process().children(recursive=True))
    with pytest.raises(ParityError, match="build the model repository"), serving(other, repository, STORE):
        pass
    assert len(psutil.Process().children(recursive=True)) == children


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_the_foreground_server_stops_cleanly(
    bundle: Artifact, repository: Path, tmp_path: Path, how: signal.Signals
) -> None:
    with _foreground(bundle, repository, tmp_path) as process:
        url = process.stdout.readline().strip()  # type: ignore[union-attr]
        told = json.loads((tmp_path / "serve.json").read_text())
        assert serve.rank(url, "u1", CANDIDATES)["degraded"] == ["user_unknown"]
        process.send_signal(how)
        assert process.communicate(timeout=20)[0] == "stopped cleanly\n"
        assert process.returncode == 0
    assert not (tmp_path / "serve.json").exists()
    assert not psutil.pid_exists(told["triton_pid"])


def test_what_a_killed_server_left_is_seen_as_stale(bundle: Artifact, repository: Path, tmp_path: Path) -> None:
    with _foreground(bundle, repository, tmp_path) as process:
        process.stdout.readline()  # type: ignore[union-attr]
        told = json.loads((tmp_path / "serve.json").read_text())
        process.kill()
        process.wait(10)
    assert state.find_running(tmp_path / "serve.json") is None
    assert not (tmp_path / "serve.json").exists()
    _wait(lambda: not psutil.pid_exists(told["triton_pid"]))


def test_a_pid_that_went_to_another_process_is_stale(running: Running, tmp_path: Path) -> None:
    file = tmp_path / "serve.json"
    state.save(file, running.state.model_copy(update={"started": running.state.started - 60}))
    assert state.find_running(file) is None
    file.write_text("{half a fi")
    assert state.find_running(file) is None
    assert not file.exists()


def test_nobody_at_the_url_is_an_error_with_a_remedy() -> None:
    with pytest.raises(ServingError, match="start it with `reaseq serve`"):
        serve.rank("http://127.0.0.1:9", "u1", CANDIDATES)


def _foreground(bundle: Artifact, repository: Path, folder: Path) -> "subprocess.Popen[str]":
    repository = build(bundle, folder / "triton")
    command = [sys.executable, "-c", FOREGROUND, str(bundle.path), str(repository), str(folder / "serve.json")]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)


def _wait(condition: Callable[[], bool], seconds: float = 15.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.1)
