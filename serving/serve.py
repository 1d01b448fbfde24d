"""Triton and the transformer together, on loopback: for as long as a block runs, or in the foreground.

    with serving(bundle, repository, store) as running:
        running.rank("u1", ["i1", "i2"])["ranking"]

Nothing is let answer before every golden request of the bundle came back from Triton with its in-process scores.
"""

import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from reaseq.artifacts import Artifact
from reaseq.ranking.bundle import Bundle
from serving import parity, state
from serving.errors import InvalidRequest, ServingError
from serving.ports import LOOPBACK, claim
from serving.ranker_client import RankerClient
from serving.rest import TransformerServer
from serving.state import ServeState
from serving.transformer import NAME, Transformer
from serving.triton_server import TritonServer
from serving.user_store import UserStore
from serving.watchdog import Watchdog

STATE = "serve.json"


@dataclass(frozen=True)
class Ports:
    """Ports to listen on; 0 takes a free one. Each is named in errors by the option that sets it."""

    transformer: int = 8080  # --port
    http: int = 8000  # --http-port
    grpc: int = 8001  # --grpc-port
    metrics: int = 8002  # --metrics-port


FREE = Ports(0, 0, 0, 0)


@dataclass(frozen=True)
class Running:
    """A running pair of servers."""

    state: ServeState
    parity: parity.Parity
    check: Callable[[], None]
    """Raises ServingError if one of them has ended for good."""

    def rank(self, user_id: str, candidates: Sequence[str], timestamp: int | None = None) -> dict[str, Any]:
        """As `rank` below."""
        return rank(self.state.transformer_url, user_id, candidates, timestamp)


def rank(url: str, user_id: str, candidates: Sequence[str], timestamp: int | None = None) -> dict[str, Any]:
    """Ask a running transformer for a ranking, as any HTTP client would.

    Args:
        url: `ServeState.transformer_url`.
        user_id: whose ranking.
        candidates: 1 to 1000 item ids.
        timestamp: microseconds since the epoch; None is now.

    Raises:
        InvalidRequest: the transformer refused the request.
        ServingError: it can't be reached, or answered with an error of its own.
    """
    context = {} if timestamp is None else {"timestamp": timestamp}
    body = {"user_id": user_id, "candidates": list(candidates), "context": context}
    try:
        answer = httpx.post(f"{url}/v1/models/{NAME}:predict", json=body, timeout=30.0, trust_env=False)
    except httpx.TransportError as error:
        raise ServingError(
            f"the transformer at {url} can't be reached ({error}); start it with `reaseq serve`."
        ) from None
    if answer.status_code == httpx.codes.OK:
        return dict(answer.json())
    told = answer.json()
    if answer.status_code == httpx.codes.BAD_REQUEST:
        raise InvalidRequest(told["field"], told["error"].partition(": ")[2])
    raise ServingError(f"the transformer at {url} answered {answer.status_code}: {told['error']}")


@contextmanager
def serving(
    bundle: Artifact,
    repository: Path,
    store: UserStore,
    *,
    ports: Ports = FREE,
    state_file: Path | None = None,
    model_version: str = "",
    host: str = LOOPBACK,
) -> Iterator[Running]:
    """Run both servers for the length of the block. Start it on a thread that outlives the block.

    Args:
        bundle: ranker artifact.
        repository: Triton's model repository, built from the bundle.
        store: user rows and item knowledge.
        ports: where to listen.
        state_file: `serve.json` to write, for others to find the servers; None for an answer or two.
        model_version: told with each answer; empty takes the start of the bundle's digest.
        host: interface of the transformer. Triton is on loopback always.

    Raises:
        PortInUse: one of the ports is taken; nothing was started.
        ServingError: a server of this state file runs already, or one does not start.
        ParityError: Triton does not answer as the bundle; nothing is left running.
    """
    if state_file and (other := state.find_running(state_file)):
        raise ServingError(
            f"a server of this run is up already: process {other.pid} at {other.transformer_url} ({state_file}). "
            f"Ask that one, or stop it with `kill {other.pid}`."
        )
    claim(  # all four before anything starts
        {
            "--port": ports.transformer,
            "--http-port": ports.http,
            "--grpc-port": ports.grpc,
            "--metrics-port": ports.metrics,
        }
    )
    opened = Bundle(bundle)
    version = model_version or bundle.digest[:12]
    with ExitStack() as stack:
        triton = stack.enter_context(TritonServer(repository, ports.http, ports.grpc, ports.metrics))
        proof = parity.verify(triton.http_url, bundle)
        watchdog = Watchdog(triton, lambda: parity.verify(triton.http_url, bundle))
        watchdog.start()
        stack.callback(watchdog.stop)
        transformer = Transformer(opened.vocabulary, opened.limits, store, RankerClient(triton.http_url), version)
        front = stack.enter_context(TransformerServer(transformer, ports.transformer, host))
        told = ServeState(
            pid=os.getpid(),
            started=state.started_at(os.getpid()) or 0.0,
            triton_pid=triton.pid,
            transformer_url=front.url,
            triton_http=triton.http_url,
            triton_grpc=triton.grpc_url,
            triton_metrics=triton.metrics_url,
            model_version=version,
            bundle_digest=bundle.digest,
        )
        if state_file:
            state.save(state_file, told)
            stack.callback(state_file.unlink, missing_ok=True)

        def check() -> None:
            if watchdog.failure:
                raise watchdog.failure
            if not front.alive:
                raise ServingError("the transformer ended by itself; the log above holds the reason.")

        yield Running(told, proof, check)


def serve_forever(
    bundle: Artifact,
    repository: Path,
    store: UserStore,
    *,
    ports: Ports,
    state_file: Path,
    model_version: str = "",
    ready: Callable[[Running], None] = lambda running: None,
) -> None:
    """Serve in the foreground until SIGINT or SIGTERM, then stop both cleanly. Call it on the main thread.

    Args:
        ready: called once, when both answer; tells a person where.

    Raises:
        As `serving`, and ServingError if a server ends by itself.
    """
    previous = signal.signal(signal.SIGTERM, signal.default_int_handler)  # SIGTERM ends the block as Ctrl-C does
    try:
        with serving(
            bundle, repository, store, ports=ports, state_file=state_file, model_version=model_version
        ) as running:
            ready(running)
            while True:
                running.check()
                time.sleep(0.5)
    except KeyboardInterrupt:
        return
    finally:
        signal.signal(signal.SIGTERM, previous)
