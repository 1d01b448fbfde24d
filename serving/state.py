"""`serve.json`: where a running server of this machine can be found, and whether it still is.

The file names the process by pid and start time, since a pid alone may have gone to another process meanwhile.
"""

from pathlib import Path

import psutil
from pydantic import BaseModel, ConfigDict, ValidationError

from reaseq.artifacts import write_text


class ServeState(BaseModel):
    """What `serve` writes once everything answers."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    pid: int
    """Of the process that holds the transformer and is the parent of Triton."""
    started: float
    """Seconds since the epoch, as the kernel tells them of that process."""
    triton_pid: int
    transformer_url: str
    """`http://127.0.0.1:8080`; ask `/v1/models/reaseq:predict`."""
    triton_http: str
    """`127.0.0.1:8000`; the Open Inference Protocol."""
    triton_grpc: str
    triton_metrics: str
    model_version: str
    bundle_digest: str


def started_at(pid: int) -> float | None:
    """When the process started; None if there is none (or only its remains)."""
    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else process.create_time()
    except psutil.NoSuchProcess:
        return None


def find_running(path: Path) -> ServeState | None:
    """The server that the file tells of; None if there is no file, or what it tells of is gone. A stale or unreadable
    file is removed."""
    try:
        state = ServeState.model_validate_json(path.read_text())
    except FileNotFoundError:
        return None
    except (ValidationError, UnicodeDecodeError):
        state = None
    if state is not None:
        started = started_at(state.pid)
        if started is not None and abs(started - state.started) < 1.0:
            return state
    path.unlink(missing_ok=True)
    return None


def save(path: Path, state: ServeState) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, state.model_dump_json(indent=2) + "\n")
