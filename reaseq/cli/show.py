"""`reaseq show item|user` and `reaseq ui`: look at what a run knows."""

import json
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc

from reaseq.artifacts import Artifact
from reaseq.cli import console
from reaseq.cli.runs import find_run, workspace
from reaseq.data.dataset import Dataset
from reaseq.errors import ReaSeqError
from reaseq.platform.mlflow_store import ui_command
from reaseq.representation.vectors import ItemVectors
from serving.ports import claim

NEIGHBOURS = 8
LOG_ROWS = 15


class UnknownIdError(ReaSeqError):
    """The run's dataset has no such item or user."""


def show_item(runs: Path, run: str, item_id: str) -> None:
    """What the agents concluded about an item, and its nearest neighbours by item vector."""
    this = find_run(runs, run)
    dataset = Dataset.open(this.artifact("dataset"))
    index = int(dataset.index_of([item_id])[0])
    if index == 0:
        raise UnknownIdError(f"item {item_id!r} is not in run {this.id}. Its items look like {dataset.item_ids[:3]}.")
    record = this.artifact("knowledge").table("knowledge.parquet").slice(index - 1, 1).to_pylist()[0]
    vectors = ItemVectors.open(this.artifact("item_vectors"))
    rows = [("status", record["status"]), *_facets(json.loads(record["item_view"]))]
    for demand in json.loads(record["demand_view"]):
        rows += [("demand", "; ".join(f"{k}: {_plain(v)}" for k, v in demand.items() if v))]
    rows += [("item text", record["item_text"]), ("demand text", record["demand_text"])]
    provenance = json.loads(record["provenance"])
    rows += [("by", f"{provenance['backend']} ({provenance['model']}), prompt version {provenance['prompt_version']}")]
    rows += [("codes", " ".join(map(str, vectors.codes[index])))]
    title = f"{item_id} · {dataset.titles[index - 1]}"
    console.print_table(title, ["", ""], rows, text_columns=2, header=False)
    console.out.print()
    similarity = vectors.z @ vectors.z[index]
    similarity[[0, index]] = -np.inf
    nearest = np.argsort(-similarity, kind="stable")[:NEIGHBOURS]
    neighbours = [(dataset.titles[n - 1], dataset.item_ids[n - 1], f"{similarity[n]:.3f}") for n in nearest]
    console.print_table("Nearest items", ["title", "item", "cosine"], neighbours, text_columns=2)


def show_user(runs: Path, run: str, user_id: str) -> None:
    """A user's log beside what was inferred to be missing from it."""
    this = find_run(runs, run)
    dataset = Dataset.open(this.artifact("dataset"))
    place = int(dataset.log.user_index([user_id])[0])
    if place < 0:
        examples = [str(u) for u in dataset.log.user_ids[:3]]
        raise UnknownIdError(f"user {user_id!r} is not in run {this.id}. Its users look like {examples}.")
    events = slice(int(dataset.log.offsets[place]), int(dataset.log.offsets[place + 1]))
    titles, categories = dataset.titles, dataset.top_categories
    logged = [
        (titles[i - 1], categories[i - 1], _day(t))
        for i, t in zip(dataset.log.items[events][::-1], dataset.log.timestamps[events][::-1], strict=True)
    ]
    title = f"Log of {user_id}: {len(logged)} behaviours, newest first"
    console.print_table(title, ["title", "category", "day"], logged[:LOG_ROWS], text_columns=2)
    console.out.print()
    inferred = _inferences(this.artifact("inferred_behaviors"), user_id)
    if inferred is None:
        console.out.print("No inferred behaviours: too few events before the last snapshot.")
        return
    indices = dataset.index_of(inferred["item_ids"])
    rows = [
        (titles[i - 1], categories[i - 1], f"{c:.3f}", _day(t.timestamp() * 1e6))
        for i, c, t in zip(indices, inferred["confidence"], inferred["slot_times"], strict=True)
    ]
    title = f"Inferred at {inferred['snapshot']:%Y-%m-%d} (no event at or after it was seen)"
    console.print_table(title, ["title", "category", "confidence", "slot"], rows, text_columns=2)


def open_ui(runs: Path, port: int) -> None:
    """Open MLflow's pages over the local runs, and say where the newest report is."""
    newest = find_run(runs, "latest")
    port = claim({"--port": port})["--port"]
    console.out.print(f"report   {newest.report_path}", soft_wrap=True)
    console.out.print(f"MLflow   http://127.0.0.1:{port}  (stop with Ctrl-C)", soft_wrap=True)
    command, environment = ui_command(workspace(runs).root / "mlflow", port)
    subprocess.run(command, env=environment, check=False)


def _inferences(artifact: Artifact, user_id: str) -> dict[str, Any] | None:
    table = artifact.table(
        "inferred_behaviors.parquet", ["user_id", "snapshot", "item_ids", "confidence", "slot_times"]
    )
    rows = table.filter(pc.equal(table["user_id"], user_id)).sort_by("snapshot").to_pylist()
    return rows[-1] if rows else None


def _facets(view: dict[str, Any]) -> list[tuple[str, str]]:
    return [(name.replace("_", " "), _plain(value)) for name, value in view.items() if value]


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{k}: {v}" for k, v in value.items())
    return ", ".join(value) if isinstance(value, list) else str(value)


def _day(microseconds: float) -> str:
    return f"{datetime.fromtimestamp(microseconds / 1e6, UTC):%Y-%m-%d}"
