"""The worlds of the canary tests: raw source folders, and the stages' artifacts over them."""

import csv
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pytest

from reaseq import config
from reaseq.artifacts import Artifact, Workspace
from reaseq.behavior import fit_denoiser, infer_behaviors
from reaseq.config import RunConfig
from reaseq.data.stage import ingest
from reaseq.knowledge import stage as knowledge_stage
from reaseq.llm import ChatAnswer, ChatRequest, connect
from reaseq.ranking.stage import train_ranker
from reaseq.representation.stage import represent
from tests import smallworld
from tests.smallworld import DAY, TEST_START, VALID_START, item_id

REVIEW = "CANARY review: my newborn slept through at last"
SECOND = 1_000_000  # µs
TOGETHER = item_id(2), item_id(51)  # taken by the same users in `future` alone
NEW = item_id(smallworld.ITEMS)  # in the catalogue from the start, taken in the test period only


def iso(moment: int) -> str:
    return datetime.fromtimestamp(moment / SECOND, UTC).isoformat()


SETTINGS: dict[str, Any] = {
    "threads": 1,
    "data.dataset": "files",
    "data.valid_start": iso(VALID_START),
    "data.test_start": iso(TEST_START),
    "data.negatives": 2,
    "representation.encoder": "tfidf",
    "representation.align_steps": 30,
    "representation.align_batch": 64,
    "representation.codebook_size": 8,
    "behavior.d_model": 32,
    "behavior.epochs": 3,
    "behavior.batch_slots": 64,
    "behavior.inferred": 5,
    "behavior.spare_slots": 1,
    "behavior.reverse_steps": 2,
    "behavior.infer_batch": 16,
    "ranking.batch": 64,
    "ranking.least_steps": 20,
    "ranking.golden_requests": 6,
    "ranking.golden_candidates": 8,
}


@dataclass(frozen=True)
class Event:
    user: str
    item: str
    time: int  # µs
    action: str = "click"


def planted(since: int) -> list[Event]:
    """What `future` has after the split and `early` has before it."""
    pair = [
        Event(user, item, since + hour * 3600 * SECOND)
        for user in ("u03", "u07", "u11", "u15")
        for hour, item in enumerate(TOGETHER)
    ]
    return [
        *pair,
        Event("a newcomer", item_id(5), since + DAY),
        Event("a newcomer", item_id(9), since + DAY + SECOND),
        Event("u05", NEW, since + DAY),
        Event("u11", item_id(14), since + 2 * DAY, action="buys at last"),
    ]


class Recorder:
    """A chat model that keeps what it was asked."""

    def __init__(self, settings: config.LlmConfig, **options: Any):
        self.model = connect(settings, **options)
        self.backend, self.identity, self.check = self.model.backend, self.model.identity, self.model.check
        self.asked: list[str] = []

    def complete(self, request: ChatRequest) -> ChatAnswer:
        self.asked.append("\n".join(message.content for message in request.messages))
        return self.model.complete(request)


class World:
    """A source folder and each stage's artifact over it, made when first asked for."""

    def __init__(self, root: Path, source: Path, **settings: Any):
        self.root, self.workspace = root, Workspace(root / "workspace")
        self.config: RunConfig = config.load("tiny", overrides=SETTINGS | {"data.source": str(source)} | settings)
        self._asked: list[str] = []

    @cached_property
    def dataset(self) -> Artifact:
        return ingest(self.config, self.root / "dataset", self.workspace)

    @cached_property
    def knowledge(self) -> Artifact:
        recorders: list[Recorder] = []

        def recording(settings: config.LlmConfig, **options: Any) -> Recorder:
            recorders.append(Recorder(settings, **options))
            return recorders[-1]

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(knowledge_stage, "connect", recording)
            made = knowledge_stage.distill(self.config, self.dataset, self.root / "knowledge", self.workspace)
        self._asked = [prompt for recorder in recorders for prompt in recorder.asked]
        return made

    @property
    def prompts(self) -> list[str]:
        """All that the language model was asked."""
        assert self.knowledge
        return self._asked

    @cached_property
    def vectors(self) -> Artifact:
        return represent(self.config, self.dataset, self.knowledge, self.root / "vectors", self.workspace)

    @cached_property
    def denoiser(self) -> Artifact:
        return fit_denoiser(self.config, self.dataset, self.vectors, self.root / "denoiser", self.workspace)

    @cached_property
    def inferred(self) -> Artifact:
        inputs = self.dataset, self.vectors, self.denoiser
        return infer_behaviors(self.config, *inputs, self.root / "inferred", self.workspace)

    @cached_property
    def ranker(self) -> Artifact:
        inputs = self.dataset, self.vectors, self.inferred
        return train_ranker(self.config, *inputs, self.root / "ranker", self.workspace)


def history(root: Path) -> list[Event]:
    """The events of the plain world; NEW is taken in the test period only."""
    made = smallworld.write_dataset(root / "small", Workspace(root / "workspace")).table("interactions.parquet")
    columns = (made.column(name).to_pylist() for name in ("user_id", "item_id"))
    times = made.column("timestamp").cast(pa.int64()).to_pylist()
    return [Event(user, item, time) for user, item, time in zip(*columns, times, strict=True)]


def write_source(folder: Path, events: list[Event]) -> Path:
    """Raw tables as a shop might bring them; each event of the held-out periods has a review."""
    folder.mkdir(parents=True)
    catalogue = [
        {"item_id": item_id(n + 1), "title": f"{name} cream number {n}", "category": [name], "review_text": REVIEW}
        for n, name in enumerate(smallworld.CATEGORIES[n % 4] for n in range(smallworld.ITEMS))
    ]
    (folder / "items.jsonl").write_text("".join(json.dumps(row) + "\n" for row in catalogue))
    with (folder / "interactions.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["user_id", "item_id", "timestamp", "action", "rating", "review_text"])
        for e in events:
            review = REVIEW if e.time >= VALID_START else ""
            rows.writerow([e.user, e.item, e.time // SECOND, e.action, 5, review])
    return folder


def write_amazon(folder: Path, plain: Path, year: str) -> Path:
    """The plain world's source as Amazon publishes such data."""
    folder.mkdir(parents=True)
    events = pa.csv.read_csv(plain / "interactions.csv").to_pylist()
    items = [json.loads(line) for line in (plain / "items.jsonl").read_text().splitlines()]
    if year == "2014":
        reviews = [
            {"reviewerID": e["user_id"], "asin": e["item_id"], "overall": 5.0, "unixReviewTime": e["timestamp"],
             "reviewText": REVIEW, "summary": REVIEW}
            for e in events
        ]  # fmt: skip
        metadata = [{"asin": i["item_id"], "title": i["title"], "categories": [i["category"]]} for i in items]
    else:
        reviews = [
            {"user_id": e["user_id"], "parent_asin": e["item_id"], "rating": 5.0, "timestamp": e["timestamp"] * 1000,
             "title": REVIEW, "text": REVIEW}
            for e in events
        ]  # fmt: skip
        metadata = [{"parent_asin": i["item_id"], "title": i["title"], "categories": i["category"]} for i in items]
    (folder / "reviews.jsonl").write_text("".join(json.dumps(row) + "\n" for row in reviews))
    (folder / "meta.jsonl").write_text("".join(json.dumps(row | {"top_review": REVIEW}) + "\n" for row in metadata))
    return folder
