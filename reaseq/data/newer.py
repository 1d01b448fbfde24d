"""A dataset whose log went on: the events of a newer file, validated as any source is, behind those it had.

Catalogue, split times and impressions stay. Every added event counts as of the test period, so that nothing that is
fitted on the training split ever sees one.
"""

import hashlib
import json
import shutil
from collections import Counter
from dataclasses import asdict
from pathlib import Path

import polars as pl

from reaseq import progress
from reaseq.artifacts import Artifact, Draft, Workspace, build
from reaseq.config import DataConfig, RunConfig
from reaseq.data.errors import SourceMissingError
from reaseq.data.reading import Columns, mapped, read_rows
from reaseq.data.source import Raw
from reaseq.data.sources.tables import NEEDED, OPTIONAL
from reaseq.data.stage import refuse_if_dirty, timed
from reaseq.data.validation import validate
from reaseq.schema import INTERACTIONS

_EVENT = ("user_id", "item_id", "timestamp", "action")


def extend(config: RunConfig, dataset: Artifact, path: Path, out: Path, workspace: Workspace) -> Artifact:
    """Add the events of a file to a dataset; makes a "dataset" artifact.

    Events that the dataset has already are left out, so the file may overlap with it. Events of items that are not in
    the catalogue are bad rows like any other: such an item has no vector yet.

    Args:
        config: of its `data` section, what says how a file is read (`columns`, `timestamp_unit`) and judged
            (`bad_rows`, `bad_rows_limit`).
        dataset: what is extended.
        path: CSV, TSV, JSON lines or Parquet with user_id, item_id and timestamp, perhaps action, rating and domain.

    Raises:
        DataError: the file is missing or damaged, lacks a column, or is too dirty.
    """
    if not path.is_file():
        raise SourceMissingError(f"file of newer interactions {path} is not there; give the path of one.")
    how = ("columns", "timestamp_unit", "bad_rows", "bad_rows_limit")
    with path.open("rb") as file:
        content = hashlib.file_digest(file, "sha256").hexdigest()
    return build(
        out,
        kind="dataset",
        name="extended",
        config={"newer": content, **config.data.model_dump(mode="json", include=set(how))},
        inputs={"dataset": dataset},
        write=lambda draft: _write(draft, config.data, dataset, path),
        workspace=workspace,
    )


def _write(draft: Draft, settings: DataConfig, dataset: Artifact, path: Path) -> None:
    raw, read = _read(settings, dataset, path)
    clean = validate(raw)
    bad = tuple(row for row in clean.bad if row.table == "interactions")
    refuse_if_dirty(bad, {"interactions": read}, settings)
    there = pl.DataFrame(dataset.table("interactions.parquet")).with_columns(pl.col("timestamp").dt.epoch("us"))
    newer = clean.interactions.with_columns(split=pl.lit("test")).select(there.columns)
    log = pl.concat([there, newer]).unique(_EVENT, keep="first", maintain_order=True)
    log = log.sort("user_id", "timestamp", maintain_order=True)
    for name in dataset.manifest.files:
        if name not in ("interactions.parquet", "quarantine.jsonl"):
            shutil.copyfile(dataset.file(name), draft.path / name)
    draft.write_table("interactions.parquet", timed(log, INTERACTIONS.names), INTERACTIONS)
    lines = [json.dumps({**asdict(row), "file": path.name, "kept": False}, sort_keys=True) + "\n" for row in bad]
    (draft.path / "quarantine.jsonl").write_text("".join(lines), encoding="utf-8")
    added = log.height - there.height
    draft.facts |= dataset.facts | {
        "extended": {
            "rows": read,
            "added": added,
            "there_already": newer.height - added,
            "quarantined": dict(sorted(Counter(row.reason for row in bad).items())),
        }
    }
    progress.note(
        f"{path.name}: {added:,} new events, {newer.height - added:,} that the log had already, {len(bad):,} bad rows"
    )


def _read(settings: DataConfig, dataset: Artifact, path: Path) -> tuple[Raw, int]:
    """The file beside the dataset's catalogue, and its number of rows."""
    table = "interactions"
    columns = Columns(mapped(NEEDED[table], settings.columns, table), mapped(OPTIONAL[table], settings.columns, table))
    events, unread = read_rows(path, table, columns)
    items = pl.DataFrame(dataset.table("items.parquet")).with_row_index("row", offset=1)
    actions = dataset.table("interactions.parquet", ["action"])["action"].unique().to_pylist()
    raw = Raw(
        items=items.with_columns(pl.col("row").cast(pl.Int64)).to_arrow(),
        interactions=events.to_arrow(),
        bad=tuple(unread),
        action=actions[0] if len(actions) == 1 else Raw.action,  # what the log calls a behaviour
        timestamp_unit=settings.timestamp_unit,
    )
    return raw, events.height + len(unread)
