"""The ingestion stage: from a source of raw data to the dataset artifact.

The digests of the raw files are part of the artifact's key, so a changed file makes a new dataset, and a moved folder
makes none.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa

from reaseq import progress, schema
from reaseq.artifacts import Artifact, Draft, Workspace, build
from reaseq.config import DataConfig, Json, RunConfig
from reaseq.data import impressions, split
from reaseq.data.errors import BadRowsError
from reaseq.data.source import BadRow, Raw, Source
from reaseq.data.sources import open_source
from reaseq.data.timestamps import parse_date
from reaseq.data.validation import KEPT, Clean, validate

STAGE = 1
"""Keeps this stage's random numbers apart from those of other stages of the same seed."""


def check_source(config: RunConfig) -> None:
    """Look whether the source can be read at all: folder, files and columns, by headers only.

    Raises:
        DataError: something is missing; says what, where, and what to do.
    """
    _dates(config.data)
    open_source(config).check()


def ingest(config: RunConfig, out: Path | str, workspace: Workspace) -> Artifact:
    """Make the dataset artifact: items, interactions and impressions, validated and split.

    Args:
        config: its `data` section and seed count.
        out: folder to make.
        workspace: where finished artifacts are kept.

    Raises:
        DataError: the source is missing, lacks columns, is too dirty for `data.bad_rows`, or can't be split.
    """
    check_source(config)
    source = open_source(config)
    files = source.files()
    key = config.part("data")
    for name in ("source", "impressions"):  # where the files lie says nothing; what is in them does
        key["data"].pop(name)
    key["source"] = {role: _sha256(path) for role, path in sorted(files.items())}
    return build(
        out,
        kind="dataset",
        config=key,
        inputs={},
        write=lambda draft: _write(draft, config, source, files),
        workspace=workspace,
    )


def _write(draft: Draft, config: RunConfig, source: Source, files: dict[str, Path]) -> None:
    settings = config.data
    progress.note(
        f"dataset {source.name}: reading {', '.join(p.name for p in files.values()) or 'the synthetic world'}"
    )
    raw = source.read()
    clean = validate(raw)
    bad = tuple(replace(row, file=files[row.table].name) if row.table in files else row for row in clean.bad)
    refuse_if_dirty(bad, clean.rows, settings)
    _write_quarantine(draft, bad)
    events = _events(clean, settings)
    times, origin = _times(raw, clean, events, settings)
    events = events.with_columns(_split(events, times, settings))
    split.check_parts(events.filter("positive")["split"], settings.split)
    shown, sampling = _impressions(raw, clean, events, times, config)
    draft.write_table("items.parquet", clean.items.to_arrow(), schema.ITEMS)
    draft.write_table("interactions.parquet", timed(events, schema.INTERACTIONS.names), schema.INTERACTIONS)
    draft.write_table("impressions.parquet", timed(shown, schema.IMPRESSIONS.names), schema.IMPRESSIONS)
    if raw.beyond_log is not None:
        draft.write_table("beyond_log.parquet", raw.beyond_log, schema.BEYOND_LOG)
    draft.facts.update(
        dataset=source.name,
        source={**raw.facts, "timestamp_unit": clean.timestamp_unit},
        split={
            "kind": settings.split,
            "valid_start": times.valid_start,
            "test_start": times.test_start,
            "times": origin,
        },
        positive_rating=settings.positive_rating,
        counts=_counts(clean, events, shown, raw),
        sampling=sampling,
        quarantined=dict(sorted(Counter(row.reason for row in bad).items())),
        repaired=clean.repaired,
    )
    counts = draft.facts["counts"]
    progress.note(
        f"dataset {source.name}: {counts['users']:,} users, {counts['items']:,} items, {counts['interactions']:,} "
        f"events, {counts['impressions']:,} impressions; {len(bad)} bad rows"
    )


def _events(clean: Clean, settings: DataConfig) -> pl.DataFrame:
    """Interactions in the order of the table, with `positive`: whether the event is a behaviour."""
    positive = (pl.col("rating") >= pl.lit(settings.positive_rating, pl.Float32)).fill_null(True)
    return clean.interactions.sort("user_id", "timestamp", "row").with_columns(positive.alias("positive"))


def _dates(settings: DataConfig) -> tuple[int | None, int | None]:
    valid, test = (
        parse_date(text, f"data.{name}") if text else None
        for name, text in (("valid_start", settings.valid_start), ("test_start", settings.test_start))
    )
    if valid is not None and test is not None and valid >= test:
        raise split.SplitError(
            f"data.valid_start={settings.valid_start} is not before data.test_start={settings.test_start}; swap them."
        )
    return valid, test


def _times(raw: Raw, clean: Clean, events: pl.DataFrame, settings: DataConfig) -> tuple[split.Times, str]:
    """When validation and test start, and who said so: the configuration, the source, or the shares."""
    valid, test = _dates(settings)
    if valid is not None and test is not None:
        return split.Times(valid, test), "configured dates"
    if valid is not None or test is not None:
        raise split.SplitError("data.valid_start and data.test_start: one date is set without the other; set both.")
    if raw.valid_start is not None and raw.test_start is not None:
        return split.Times(raw.valid_start, raw.test_start), "the source's dates"
    shown = clean.impressions
    if shown is not None and "split" in shown.columns:
        return split.times_of_splits(
            shown["timestamp"].to_numpy(), shown["split"].to_numpy()
        ), "the source's impressions"
    positives = events.filter("positive")["timestamp"].to_numpy()
    return split.times_by_share(positives, settings.valid_share, settings.test_share), "shares of behaviours"


def _split(events: pl.DataFrame, times: split.Times, settings: DataConfig) -> pl.Series | pl.Expr:
    if settings.split == "leave_one_out":
        return split.leave_one_out(events)
    return split.by_time(pl.col("timestamp"), times).alias("split")


def _impressions(
    raw: Raw, clean: Clean, events: pl.DataFrame, times: split.Times, config: RunConfig
) -> tuple[pl.DataFrame, Json]:
    rng = np.random.default_rng([config.seed, STAGE])
    if clean.impressions is not None and config.data.split == "time":
        shown = clean.impressions.with_columns(split.by_time(pl.col("timestamp"), times).alias("split"))
        split.check_impressions(shown["split"], times)
        table = impressions.from_source(shown, raw.requests, rng)
        return table, {"impressions": "as the source gives them; rows of a request shuffled"}
    built, facts = impressions.from_behaviors(
        events, clean.items["item_id"].to_list(), config.data.negatives, rng, config.data.negative_sampling
    )
    if clean.impressions is not None:
        # Given impressions belong to moments; leave-one-out splits sequences, so they can't be told apart by it.
        facts = {**facts, "source_impressions_unused": clean.impressions.height}
    return built, facts


def refuse_if_dirty(bad: tuple[BadRow, ...], read: Mapping[str, int], settings: DataConfig) -> None:
    """Refuse a source that is dirtier than the configuration allows.

    Args:
        bad: its bad rows.
        read: rows of each table, bad ones included.

    Raises:
        BadRowsError: it names the reasons, their counts and a few rows.
    """
    for table, rows in read.items():
        of_table = [row for row in bad if row.table == table]
        share = len(of_table) / max(rows, 1)
        refused = settings.bad_rows == "refuse" and of_table
        if not refused and share <= settings.bad_rows_limit:
            continue
        reasons = ", ".join(
            f"{reason} {count}" for reason, count in sorted(Counter(r.reason for r in of_table).items())
        )
        examples = "; ".join(f"{r.file} row {r.row}: {r.reason} {r.value[:60]!r}" for r in of_table[:3])
        limit = (
            "data.bad_rows=refuse allows none. Mend the source, or set data.bad_rows=quarantine."
            if refused
            else f"data.bad_rows_limit allows {settings.bad_rows_limit:.2%}. Mend the source (is data.columns right?), "
            "or raise the limit."
        )
        raise BadRowsError(
            f"{table}: {len(of_table)} of {rows} rows are bad ({share:.2%}): {reasons}. For example {examples}. {limit}"
        )


def _write_quarantine(draft: Draft, bad: tuple[BadRow, ...]) -> None:
    with (draft.path / "quarantine.jsonl").open("w", encoding="utf-8") as file:
        for row in bad:
            file.write(json.dumps({**asdict(row), "kept": row.reason in KEPT}, sort_keys=True) + "\n")


def _counts(clean: Clean, events: pl.DataFrame, shown: pl.DataFrame, raw: Raw) -> Json:
    positives = events.filter("positive")
    warm = positives.filter(pl.col("split") == "train")["item_id"].unique()
    of_test = positives.filter(pl.col("split") == "test")["item_id"]
    return {
        "users": events["user_id"].n_unique(),
        "items": clean.items.height,
        "interactions": events.height,
        "behaviors": positives.height,
        "behaviors_by_split": _by_split(positives),
        "test_behaviors_on_items_unseen_in_training": int((~of_test.is_in(warm.implode())).sum()),
        "impressions": shown.height,
        "impressions_by_split": _by_split(shown),
        "positives_by_split": _by_split(shown.filter(pl.col("label") == 1)),
        "beyond_log": 0 if raw.beyond_log is None else raw.beyond_log.num_rows,
        "rows_read": clean.rows,
    }


def _by_split(frame: pl.DataFrame) -> dict[str, int]:
    return {name: int((frame["split"] == name).sum()) for name in schema.SPLITS}


def timed(frame: pl.DataFrame, names: list[str]) -> pa.Table:
    """The named columns, `timestamp` (int64 µs) as the schema has it."""
    table = frame.select(names).to_arrow()
    place = table.schema.get_field_index("timestamp")
    return table.set_column(place, "timestamp", table.column("timestamp").cast(schema.TIMESTAMP))


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
