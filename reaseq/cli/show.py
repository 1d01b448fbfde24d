"""`reaseq show item|user|behaviors` and `reaseq ui`: look at what a run knows."""

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.compute as pc

from reaseq.artifacts import Artifact, open_artifact
from reaseq.cli import console
from reaseq.cli.pages import check_writable, save
from reaseq.cli.runs import EXTENDED, Run, find_run, workspace
from reaseq.data.dataset import Dataset
from reaseq.errors import ReaSeqError
from reaseq.evaluation.behaviors import user_page
from reaseq.evaluation.behaviors.inferred import Inferred
from reaseq.evaluation.behaviors.timeline import Entry, Timeline, day, shortened, timeline
from reaseq.evaluation.pages import displayed
from reaseq.platform.mlflow_store import ui_command
from reaseq.representation.vectors import ItemVectors
from serving.ports import claim

if TYPE_CHECKING:
    from reaseq.evaluation.behaviors.measures import Group, Measures
    from reaseq.evaluation.behaviors.sweep import Sweep

NEIGHBOURS = 8
LOG_ROWS = 15
TITLE_WIDTH = 70
BEHAVIORS_PAGE = "behaviors.html"


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


def show_user(runs: Path, run: str, user_id: str, html: Path | None = None) -> None:
    """A user's log with what was inferred to be missing from it, in one timeline; with `html`, as a page as well."""
    if html:
        check_writable(html)
    this = find_run(runs, run)
    source, table = _newest_inferences(this, user_id)
    dataset = Dataset.open(source)
    place = int(dataset.log.user_index([user_id])[0])
    if place < 0:
        examples = [str(u) for u in dataset.log.user_ids[:3]]
        raise UnknownIdError(f"user {user_id!r} is not in run {this.id}. Its users look like {examples}.")
    inferred = Inferred.read(table, dataset)
    found = timeline(dataset, ItemVectors.open(this.artifact("item_vectors")), inferred, place)
    _print_timeline(found)
    if html:
        save(html, user_page.render(this.id, found))
        console.out.print(f"\npage  {html}", soft_wrap=True, markup=False)


def show_behaviors(
    runs: Path, run: str, html: Path | None, users: int, steps: Sequence[int], guidance: Sequence[float]
) -> None:
    """All inferences of a run against what came of them, as a page; the figures that say most in the terminal.

    Args:
        html: where the page goes; None: `behaviors.html` in the run's folder.
        users: sample of the recall by R and w, 0 for none.
        steps, guidance: R and w that are compared.
    """
    from reaseq.evaluation.behaviors import run_page
    from reaseq.evaluation.behaviors.measures import measure
    from reaseq.evaluation.behaviors.sweep import sweep

    this = find_run(runs, run)
    html = html or this.path / BEHAVIORS_PAGE
    check_writable(html)
    dataset, vectors, denoiser, table = (
        this.artifact(name) for name in ("dataset", "item_vectors", "denoiser", "inferred_behaviors")
    )
    data = Dataset.open(dataset)
    inferred = Inferred.read(table, data)
    found = measure(inferred, data, ItemVectors.open(vectors))
    last = int(inferred.snapshots[-1])
    swept = (
        sweep(this.config, dataset, vectors, denoiser, last, users=users, steps=steps, guidance=guidance)
        if users
        else None
    )
    config = this.config
    save(html, run_page.render(this.id, config.data.dataset, config.preset, config.seed, found, swept))
    _print_measures(this.id, found)
    if swept:
        console.out.print()
        _print_recall(swept)
    console.out.print(f"\npage  {html}", soft_wrap=True, markup=False)


def open_ui(runs: Path, port: int) -> None:
    """Open MLflow's pages over the local runs, and say where the newest report is."""
    newest = find_run(runs, "latest")
    port = claim({"--port": port})["--port"]
    console.out.print(f"report   {newest.report_path}", soft_wrap=True)
    console.out.print(f"MLflow   http://127.0.0.1:{port}  (stop with Ctrl-C)", soft_wrap=True)
    command, environment = ui_command(workspace(runs).root / "mlflow", port)
    subprocess.run(command, env=environment, check=False)


def _newest_inferences(this: Run, user_id: str) -> tuple[Artifact, Artifact]:
    """The log and the inferences of the newest refresh that has some of this user; without any, those of the run.

    A refresh whose log was replaced by that of a later one is passed over: what it saw can't be shown any more.
    """
    dataset = this.artifact("dataset")
    logs = {dataset.digest: dataset}
    if (this.refreshes / EXTENDED).is_dir():
        extended = open_artifact(this.refreshes / EXTENDED, "dataset")
        logs[extended.digest] = extended
    for folder in this.finished_refreshes():
        refreshed = open_artifact(folder, "inferred_behaviors")
        users = refreshed.table("inferred_behaviors.parquet", ["user_id"]).column("user_id")
        log = logs.get(refreshed.manifest.inputs["dataset"])
        if log is not None and pc.index(users, user_id).as_py() >= 0:
            return log, refreshed
    return dataset, this.artifact("inferred_behaviors")


def _print_timeline(found: Timeline) -> None:
    title = f"User {displayed(found.user_id)}: {len(found.of('log'))} behaviours"
    if found.snapshot is not None:
        title += f" before {day(found.snapshot)}, {len(found.of('inferred'))} inferred then, newest first"
    rows = [_timeline_row(entry) for entry in shortened(found.entries, LOG_ROWS)]
    columns = ["", "day", "title", "category", "", "confidence"]
    console.print_table(title, columns, rows, text_columns=5)
    console.out.print()
    if found.snapshot is None:
        console.out.print("Nothing was inferred: too few behaviours before every snapshot, or nothing consistent.")
        return
    had = sum(bool(entry.truth) for entry in found.of("inferred"))
    diversity = "–" if found.diversity is None else f"{found.diversity:.3f}"
    console.out.print(
        f"{found.new_items:.0%} of the inferred items are new to the log, {found.new_categories:.0%} of a category new "
        f"to it; diversity {diversity}; {had} of {len(found.of('inferred'))} known to be right",
        soft_wrap=True,
    )


def _timeline_row(entry: Entry | int) -> tuple[str, ...]:
    if isinstance(entry, int):
        return ("", "", f"… {entry:,} more", "", "", "")
    notes = [entry.truth] if entry.truth else []
    if entry.new_category:
        notes.insert(0, "new category")
    if entry.kind == "later":
        notes.append("later: not seen")
    return (
        "+" if entry.kind == "inferred" else "",
        day(entry.time),
        displayed(entry.title, TITLE_WIDTH) or displayed(entry.item_id),
        displayed(entry.category, TITLE_WIDTH),
        ", ".join(notes),
        "" if entry.confidence is None else f"{entry.confidence:.3f}",
    )


def _print_measures(run: str, found: "Measures") -> None:
    columns = ["snapshot or slot", "inferred", "confidence", "hits", "category hits"]
    if found.whole.beyond is not None:
        columns.append("had beyond the log")
    rows = [_group_row(each) for each in (*found.snapshots, *found.places, found.whole)]
    console.print_table(f"Inferred behaviours of {run}", columns, rows)
    of = found.calibration
    console.out.print(
        f"\nECE over {of.count:,} inferences of active users: {of.error:.3f} of hits, {of.category_error:.3f} of "
        "category hits",
        soft_wrap=True,
    )


def _group_row(each: "Group") -> tuple[str, ...]:
    row = (each.name, f"{each.count:,}", f"{each.confidence:.4f}", f"{each.hits:.2%}", f"{each.category_hits:.1%}")
    return row if each.beyond is None else (*row, f"{each.beyond:.2%}")


def _print_recall(found: "Sweep") -> None:
    rows = [
        (f"R = {r}", *(f"{found.cells[r, w].mean:.4f}{'*' * ((r, w) == found.configured)}" for w in found.guidance))
        for r in found.steps
    ]
    rows += [(name, f"{value.mean:.4f}", *[""] * (len(found.guidance) - 1)) for name, value in found.yardsticks.items()]
    title = f"Recall@10 of what {found.users} users took next (* as the run was configured)"
    console.print_table(title, ["", *(f"w = {w:g}" for w in found.guidance)], rows)


def _facets(view: dict[str, Any]) -> list[tuple[str, str]]:
    return [(name.replace("_", " "), _plain(value)) for name, value in view.items() if value]


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{k}: {v}" for k, v in value.items())
    return ", ".join(value) if isinstance(value, list) else str(value)
