"""Ask a run's ranker for one ranking, through the servers that a shop would ask."""

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from components.registration.register import RECORD
from reaseq.cli import console
from reaseq.cli.runs import Run
from reaseq.data.dataset import Dataset
from reaseq.errors import ReaSeqError
from reaseq.platform.features import OnlineFeatures
from serving.serve import FREE, Ports, Running, serving

CANDIDATES = 20
SHOWN = 10


class RequestError(ReaSeqError):
    """A ranking was asked for that can't be made."""


@dataclass(frozen=True)
class RankingRequest:
    user_id: str
    candidates: tuple[str, ...]
    timestamp: int  # microseconds


@dataclass(frozen=True)
class Answer:
    """A ranking as Triton and the transformer answered it."""

    request: RankingRequest
    ranking: tuple[tuple[str, str, float], ...]  # item id, title, score; best first
    model_version: str
    degraded: tuple[str, ...]
    parity: float | None = None
    """Largest difference to in-process onnxruntime over the golden requests, where they were checked on the way."""

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Registered:
    """What the registration wrote beside the feature store."""

    model: str
    version: int
    digest: str
    mlflow_run: str
    service: str
    now: int

    @classmethod
    def of(cls, run: Run) -> "Registered":
        return cls(**json.loads((run.outputs["feature_store"] / RECORD).read_text()))


def example_request(run: Run, user_id: str = "") -> RankingRequest:
    """A real request of the test period, filled up to `CANDIDATES` with what others were shown then.

    Args:
        run: gives the impressions.
        user_id: whose; empty takes the user with the longest log among those shown something.
    """
    dataset = Dataset.open(run.artifact("dataset"))
    shown = dataset.impressions("test")
    lengths = np.diff(dataset.log.offsets)
    if user_id:
        user = int(dataset.log.user_index([user_id])[0])
    else:
        users = np.unique(shown.user[shown.user >= 0])
        user = int(users[np.argmax(lengths[users])]) if users.size else 0
        user_id = str(dataset.log.user_ids[user])
    own = shown.item[shown.user == user]
    items = list(dict.fromkeys([*own.tolist(), *shown.item[::-1].tolist()]))[:CANDIDATES]
    candidates = tuple(dataset.item_ids[i - 1] for i in items)
    return RankingRequest(user_id, candidates, Registered.of(run).now)


def parse_candidates(text: str) -> tuple[str, ...]:
    """Item ids from a file (one a line, or a JSON list) or from a comma-separated list.

    Raises:
        RequestError: there are none.
    """
    if os.path.isfile(text):  # noqa: PTH113  # Path's raises where a list is longer than a file's name may be
        content = Path(text).read_text()
        try:
            ids = [str(item) for item in json.loads(content)] if content.lstrip().startswith("[") else content.split()
        except ValueError as error:
            raise RequestError(f"--candidates {text}: the file is no JSON list: {error}.") from None
    else:
        ids = [part.strip() for part in text.split(",")]
    ids = [item for item in ids if item]
    if not ids:
        raise RequestError(f"--candidates {text!r} names no items; give a file with one id a line, or ID,ID,…")
    return tuple(ids)


@contextmanager
def served(run: Run, ports: Ports = FREE) -> Iterator[Running]:
    """Triton and the transformer for a run, on loopback, for the length of the block."""
    registered = Registered.of(run)
    store = OnlineFeatures(run.outputs["feature_store"], registered.service)
    repository = run.outputs["model_repository"]
    version = str(registered.version)
    with serving(run.artifact("ranker_full"), repository, store, ports=ports, model_version=version) as running:
        yield running


def rank_once(run: Run, request: RankingRequest) -> Answer:
    """Start the servers, ask them once, stop them."""
    with served(run) as running:
        told = running.rank(request.user_id, request.candidates, request.timestamp)
        return read_answer(run, request, told, running.parity.max_abs_difference)


def read_answer(run: Run, request: RankingRequest, told: dict[str, Any], parity: float | None = None) -> Answer:
    """The transformer's JSON with the items' titles."""
    dataset = Dataset.open(run.artifact("dataset"))
    titles = _titles(dataset, [row["item_id"] for row in told["ranking"]])
    ranking = tuple((row["item_id"], t, row["score"]) for row, t in zip(told["ranking"], titles, strict=True))
    return Answer(request, ranking, told["model_version"], tuple(told["degraded"]), parity)


def print_answer(answer: Answer) -> None:
    """The best of the ranking, as a table."""
    rows = [
        (f"{place}", title, item, f"{score:.4f}")
        for place, (item, title, score) in enumerate(answer.ranking[:SHOWN], start=1)
    ]
    title = f"Ranking of user {answer.request.user_id} from Triton (version {answer.model_version})"
    console.print_table(title, ["", "title", "item", "score"], rows, text_columns=3)
    if len(answer.ranking) > SHOWN:
        console.out.print(f"  … and {len(answer.ranking) - SHOWN} more", style="dim")
    if answer.degraded:
        console.out.print(f"  degraded: {', '.join(answer.degraded)}", style="yellow", markup=False)
    if answer.parity is not None:
        console.out.print(f"  largest difference to in-process onnxruntime: {answer.parity:.1e}", style="dim")


def _titles(dataset: Dataset, item_ids: Sequence[str]) -> list[str]:
    return [dataset.titles[i - 1] if i else "(not in the catalogue)" for i in dataset.index_of(list(item_ids))]
