"""The life of the server: where it listens, what it refuses to start on, and that it never outlives its parent."""

import os
import socket
import subprocess
import sys
import time
from ipaddress import ip_address
from pathlib import Path

import psutil
import pytest

from reaseq.artifacts import Artifact
from serving import parity, triton_install
from serving.errors import PortInUse, ServingError
from serving.triton_server import TritonServer

PARENT = """
import sys, time
from serving.triton_server import TritonServer
server = TritonServer(sys.argv[1], 0, 0, 0, folder=sys.argv[2])
server.start()
print(server.pid, flush=True)
time.sleep(60)
"""


def is_loopback(address: str) -> bool:
    parsed = ip_address(address)  # Triton's gRPC endpoint shows as ::ffff:127.0.0.1
    return (getattr(parsed, "ipv4_mapped", None) or parsed).is_loopback


def test_every_address_is_loopback(triton: TritonServer) -> None:
    listening = [c for c in psutil.Process(triton.pid).connections("inet") if c.status == psutil.CONN_LISTEN]
    assert {c.laddr.port for c in listening} == set(triton.ports)
    assert all(is_loopback(c.laddr.ip) for c in listening)


def test_the_stub_holds_no_torch(triton: TritonServer) -> None:
    (stub,) = [p for p in psutil.Process(triton.pid).children(recursive=True) if "stub" in p.name()]
    assert not [m.path for m in stub.memory_maps() if "torch" in m.path]


def test_two_servers_do_not_meet(triton: TritonServer, repository: Path, bundle: Artifact, tmp_path: Path) -> None:
    with TritonServer(repository, 0, 0, 0, folder=tmp_path) as second:
        assert not set(second.ports) & set(triton.ports)
        assert parity.verify(second.http_url, bundle).max_abs_difference <= 1e-5
        pid = second.pid
    assert not psutil.pid_exists(pid)
    assert parity.verify(triton.http_url, bundle).max_abs_difference <= 1e-5


def test_a_port_in_use_is_named_with_its_option_before_anything_starts(repository: Path, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(PortInUse, match=rf"port {port} \(--grpc-port\) is in use.*choose another with --grpc-port"):
            TritonServer(repository, 0, port, 0, folder=tmp_path).start()
    assert not (tmp_path / "triton.log").exists()


def test_one_port_for_two_purposes_is_in_use(repository: Path, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(PortInUse, match="--metrics-port"):
        TritonServer(repository, port, 0, port, folder=tmp_path).start()


def test_a_port_beyond_the_last_is_refused(repository: Path, tmp_path: Path) -> None:
    with pytest.raises(ServingError, match=r"port 70000 \(--http-port\) can't be bound"):
        TritonServer(repository, 70_000, 0, 0, folder=tmp_path).start()


def test_a_folder_without_models_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ServingError, match=r"holds no <model>/config\.pbtxt"):
        TritonServer(tmp_path / "nowhere", 0, 0, 0).start()


def test_a_model_that_does_not_load_is_an_error_with_its_reason(repository: Path, tmp_path: Path) -> None:
    model = tmp_path / "broken" / "reaseq_ranker"
    (model / "1").mkdir(parents=True)
    (model / "config.pbtxt").write_text((repository / "reaseq_ranker" / "config.pbtxt").read_text())
    (model / "1" / "model.py").write_text((repository / "reaseq_ranker" / "1" / "model.py").read_text())
    (model / "1" / "model.onnx").write_bytes(b"no graph")
    server = TritonServer(tmp_path / "broken", 0, 0, 0)
    with pytest.raises(ServingError, match=r"(?s)before it was ready.*model\.onnx.*whole log"):
        server.start()
    assert not server.alive


def test_the_server_ends_with_a_parent_that_is_killed(repository: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", PARENT, str(repository), str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": "."}) as parent:
        assert parent.stdout is not None
        server = psutil.Process(int(parent.stdout.readline()))
        family = [server, *server.children(recursive=True)]
        assert len(family) == 2  # with its stub
        parent.kill()
        parent.wait(10)
    _, alive = psutil.wait_procs(family, timeout=10)
    assert not alive


def test_a_server_that_ignores_the_signal_is_killed(repository: Path, tmp_path: Path) -> None:
    server = TritonServer(repository, 0, 0, 0, folder=tmp_path)
    server.start()
    family = [psutil.Process(server.pid), *psutil.Process(server.pid).children(recursive=True)]
    family[0].suspend()
    started = time.monotonic()
    server.stop(patience=0.5)
    _, alive = psutil.wait_procs(family, timeout=5)
    assert not alive
    assert time.monotonic() - started < 5
    assert not list(Path("/dev/shm").glob(f"{server._regions}*"))


def test_the_installed_wheel_stays_as_it_is(repository: Path, tmp_path: Path, triton: TritonServer) -> None:
    install = triton_install.prepare(tmp_path)
    stub = install.backends / "python" / triton_install.STUB
    before = stub.stat().st_mtime_ns
    triton_install.prepare(tmp_path)
    assert stub.stat().st_mtime_ns == before
    assert os.access(stub, os.X_OK)
    wheel = triton_install._wheel_root()
    assert sorted(p.name for p in (wheel / "backends" / "python").iterdir() if p.is_file()) == [
        "libtriton_python.so",
        "triton_python_backend_utils.py",
    ]


def test_a_missing_libpython_names_the_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(triton_install.sysconfig, "get_config_var", lambda name: str(tmp_path))
    monkeypatch.setattr(triton_install.sys, "base_prefix", str(tmp_path))
    with pytest.raises(ServingError, match=r"apt-get install libpython3\.\d+"):
        triton_install.libpython()
