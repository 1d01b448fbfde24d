"""`reaseq serve` and `reaseq rank`: the servers, and one question to them."""

import json
import sys
from pathlib import Path

from reaseq.cli import console
from reaseq.cli.answering import (
    RankingRequest,
    Registered,
    RequestError,
    example_request,
    parse_candidates,
    print_answer,
    rank_once,
    read_answer,
)
from reaseq.cli.runs import Run, find_run
from reaseq.platform.features import OnlineFeatures
from reaseq.ranking.bundle import MODEL_NAME, Bundle
from serving.oip import infer_body
from serving.serve import STATE, Ports, Running, serve_forever
from serving.serve import rank as ask
from serving.state import find_running


def serve_run(runs: Path, run: str, port: int, http_port: int, grpc_port: int, metrics_port: int) -> None:
    """The work of `reaseq serve`."""
    this = find_run(runs, run)
    registered = Registered.of(this)
    serve_forever(
        this.artifact("ranker_full"),
        this.outputs["model_repository"],
        OnlineFeatures(this.outputs["feature_store"], registered.service),
        ports=Ports(port, http_port, grpc_port, metrics_port),
        state_file=_state_file(this),
        model_version=str(registered.version),
        ready=_say_where,
    )


def rank_for(runs: Path, run: str, user: str, candidates: str) -> None:
    """The work of `reaseq rank`."""
    this = find_run(runs, run)
    if candidates:
        request = RankingRequest(user, parse_candidates(candidates), Registered.of(this).now)
    else:
        request = example_request(this, user)
    if running := find_running(_state_file(this)):
        told = ask(running.transformer_url, request.user_id, request.candidates, request.timestamp)
        answer = read_answer(this, request, told)
    else:
        answer = rank_once(this, request)
    print_answer(answer)


def print_golden(runs: Path, run: str, request: int, expected: bool) -> None:
    """The work of `reaseq golden`."""
    requests = Bundle(find_run(runs, run).artifact("ranker_full")).golden()
    if not 0 <= request < len(requests):
        raise RequestError(f"golden request {request} is not there; the model has {len(requests)}, from 0.")
    inputs, scores = requests[request]
    body = {"outputs": [{"name": "scores", "data": scores.tolist()}]} if expected else infer_body(inputs)
    sys.stdout.write(json.dumps(body) + "\n")


def _state_file(run: Run) -> Path:
    return run.path / STATE


def _say_where(running: Running) -> None:
    state = running.state
    console.out.print(f"Triton       http://{state.triton_http}/v2/models/{MODEL_NAME}", soft_wrap=True)
    console.out.print(f"             gRPC {state.triton_grpc}, metrics http://{state.triton_metrics}/metrics")
    console.out.print(f"transformer  {state.transformer_url}/v1/models/reaseq:predict", soft_wrap=True)
    proof = running.parity
    console.out.print(
        f"{proof.requests} golden requests answered as in process, largest difference {proof.max_abs_difference:.1e}",
        style="dim",
    )
    console.out.print("Stop with Ctrl-C.")
