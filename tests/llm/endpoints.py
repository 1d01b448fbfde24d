"""Fixtures that start endpoints; imported by the conftest of every folder that needs one."""

import atexit
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import pytest

from tests.llm.scripted_endpoint import ScriptedEndpoint

TINY_MODEL = "tiny-qwen2"
REPOSITORY = Path(__file__).resolve().parents[2]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@lru_cache(maxsize=1)  # one server for all folders whose conftest imports the fixture
def _start_tiny_endpoint() -> str:
    port = free_port()
    log = Path(tempfile.mkdtemp(prefix="tiny-endpoint-")) / "log"
    with log.open("w") as output:
        command = [sys.executable, "-m", "tests.llm.tiny_endpoint", str(port)]
        process = subprocess.Popen(command, cwd=REPOSITORY, stdout=output, stderr=output)
    atexit.register(_stop, process, log.parent)
    deadline = time.monotonic() + 180
    while True:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/v1/models", timeout=2).read()
            return f"http://127.0.0.1:{port}/v1"
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"the tiny endpoint did not start: {log.read_text()[-2000:]}")
            time.sleep(0.2)


def _stop(process: "subprocess.Popen[bytes]", folder: Path) -> None:
    process.terminate()
    process.wait(10)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def tiny_endpoint() -> str:
    """Base URL of a tiny language model served in a process of its own."""
    return _start_tiny_endpoint()


@pytest.fixture
def scripted() -> Iterator[ScriptedEndpoint]:
    with ScriptedEndpoint() as endpoint:
        yield endpoint
