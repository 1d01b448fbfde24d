"""A real tritonserver on loopback, started from a model repository and stopped with the block.

    with TritonServer("runs/latest/triton") as server:
        httpx.get(f"http://{server.http_url}/v2/health/ready")

Its output goes to `triton.log`. It ends with the process, and the thread, that started it, even when that is killed.
"""

import os
import signal
import subprocess
import sys
import time
from collections import deque
from pathlib import Path
from types import TracebackType
from uuid import uuid4

import httpx

from serving import tied_process, triton_install
from serving.errors import PortInUse, ServingError
from serving.ports import LOOPBACK, claim

HTTP_PORT, GRPC_PORT, METRICS_PORT = 8000, 8001, 8002


class TritonServer:
    """One tritonserver process. A port of 0 takes a free one.

    Args:
        repository: model repository; every model in it must load.
        http_port: of the Open Inference Protocol over HTTP.
        grpc_port: of the same over gRPC.
        metrics_port: of the Prometheus metrics.
        folder: where the log and the prepared backend go; None takes `<repository>.server`.
        deadline: seconds until every model must be ready.
        options: what the command line calls the three ports, for error messages.
    """

    def __init__(
        self,
        repository: Path | str,
        http_port: int = HTTP_PORT,
        grpc_port: int = GRPC_PORT,
        metrics_port: int = METRICS_PORT,
        *,
        folder: Path | str | None = None,
        deadline: float = 60.0,
        options: tuple[str, str, str] = ("--http-port", "--grpc-port", "--metrics-port"),
    ):
        self.repository = Path(repository).resolve()
        self.folder = Path(folder).resolve() if folder else self.repository.with_name(f"{self.repository.name}.server")
        self.wanted = dict(zip(options, (http_port, grpc_port, metrics_port), strict=True))
        self.deadline = deadline
        self.log = self.folder / "triton.log"
        self.ports = (http_port, grpc_port, metrics_port)
        self._process: subprocess.Popen[bytes] | None = None
        # Regions in /dev/shm are named after the server, so two servers can't meet there.
        self._regions = f"reaseq_{os.getpid()}_{uuid4().hex[:8]}_"

    @property
    def http_url(self) -> str:
        return f"{LOOPBACK}:{self.ports[0]}"

    @property
    def grpc_url(self) -> str:
        return f"{LOOPBACK}:{self.ports[1]}"

    @property
    def metrics_url(self) -> str:
        return f"{LOOPBACK}:{self.ports[2]}"

    @property
    def pid(self) -> int:
        if self._process is None:
            raise ServingError("tritonserver is not running: it was not started, or was stopped.")
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def __enter__(self) -> "TritonServer":
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start and wait until every model is ready.

        Raises:
            PortInUse: a port is taken; nothing was started.
            ServingError: the repository is not one, the wheel or libpython is missing, or the server did not get ready
                in time; nothing is left running.
        """
        models = sorted(path.parent.name for path in self.repository.glob("*/config.pbtxt"))
        if not models:
            raise ServingError(f"{self.repository} holds no <model>/config.pbtxt; build it with `reaseq run`.")
        self.folder.mkdir(parents=True, exist_ok=True)
        install = triton_install.prepare(self.folder)
        for attempt in range(3):
            self.ports = tuple(claim(self.wanted).values())  # type: ignore[assignment]
            self._launch(install)
            try:
                self._await_ready(models)
                self.wanted = dict(zip(self.wanted, self.ports, strict=True))  # a restart keeps them
                return
            except PortInUse:
                if attempt == 2 or 0 not in self.wanted.values():
                    raise
            except BaseException:
                self.stop()
                raise

    def stop(self, patience: float = 15.0) -> None:
        """SIGTERM, and SIGKILL for what is left after `patience` seconds. Stopping twice does nothing."""
        if self._process is None:
            return
        process, self._process = self._process, None
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(patience)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)  # with its stubs: it leads a session of its own
                process.wait()
        self._clear_shared_memory()

    def _clear_shared_memory(self) -> None:
        """Remove the regions that a server which was killed or crashed left behind."""
        for region in Path("/dev/shm").glob(f"{self._regions}*"):  # noqa: S108 (shared memory, named by us)
            region.unlink(missing_ok=True)

    def _launch(self, install: triton_install.TritonInstall) -> None:
        self._clear_shared_memory()
        http, grpc, metrics = self.ports
        command = [
            str(install.binary),
            f"--model-repository={self.repository}",
            f"--backend-directory={install.backends}",
            f"--backend-config=python,shm-region-prefix-name={self._regions}",
            f"--http-address={LOOPBACK}",
            f"--http-port={http}",
            f"--grpc-address={LOOPBACK}",
            f"--grpc-port={grpc}",
            f"--metrics-address={LOOPBACK}",
            f"--metrics-port={metrics}",
            "--model-control-mode=none",
            "--disable-auto-complete-config",
            "--strict-readiness=false",
            "--allow-gpu-metrics=false",
            "--exit-timeout-secs=3",
        ]
        launcher = [sys.executable, "-S", "-E", tied_process.__file__, str(os.getpid())]
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                launcher + command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=install.environment,
                start_new_session=True,  # Ctrl-C reaches only us, and we decide what stops first
            )

    def _await_ready(self, models: list[str]) -> None:
        assert self._process is not None
        end = time.monotonic() + self.deadline
        with httpx.Client(base_url=f"http://{self.http_url}", timeout=2.0, trust_env=False) as client:
            waiting = deque(models)
            while waiting:
                if self._process.poll() is not None:
                    raise self._failure(f"ended with status {self._process.returncode} before it was ready")
                if time.monotonic() > end:
                    raise self._failure(f"was not ready after {self.deadline:g} s (waiting for {waiting[0]})")
                try:
                    if client.get(f"/v2/models/{waiting[0]}/ready").status_code == httpx.codes.OK:
                        waiting.popleft()
                        continue
                except httpx.TransportError:
                    pass  # not listening yet
                time.sleep(0.05)

    def _failure(self, what: str) -> ServingError:
        lines = self.log.read_text(errors="replace").splitlines()
        for option, port in zip(self.wanted, self.ports, strict=True):
            if any("in use" in line.lower() and str(port) in line for line in lines):
                return PortInUse(f"port {port} ({option}) was taken while tritonserver started. Choose another.")
        complaints = [line for line in lines if line.startswith("E") or "error" in line.lower()][-3:] or lines[-3:]
        return ServingError(f"tritonserver {what}. It said: {' | '.join(complaints)} (whole log: {self.log})")
