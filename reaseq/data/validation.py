"""From raw tables to clean ones: every row that can't be used is named with its reason, none disappears.

| reason               | table         | what becomes of the row                                   |
|----------------------|---------------|-----------------------------------------------------------|
| wrong_field_count    | any           | dropped (found while reading)                             |
| not_json             | any           | dropped (found while reading)                             |
| empty_id, bad_id     | any           | dropped; bad: over 256 characters, or not printable       |
| duplicate_id         | items         | dropped; the first row of the id stays                    |
| empty_title          | items         | kept under a title made of brand and category, so that    |
|                      |               | none of its events is lost                                |
| unknown_item         | events, shown | dropped: the item is not in the catalogue                 |
| bad_timestamp        | events, shown | dropped: can't be parsed                                  |
| negative_timestamp   | events, shown | dropped                                                   |
| absurd_timestamp     | events, shown | dropped: before 1980 or after 2099                        |
| bad_rating           | events        | dropped: not a number                                     |
| duplicate_event      | events        | dropped: same user, item, time and action as an earlier   |
| bad_label            | shown         | dropped: not 0 or 1                                       |
| bad_split            | shown         | dropped: not train, valid or test                         |
"""

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from reaseq.data import text
from reaseq.data.source import BadRow, Raw
from reaseq.data.timestamps import EARLIEST, LATEST, to_microseconds

KEPT = frozenset({"empty_title"})
"""Reasons for which a row was repaired and kept."""
UNTITLED = "Untitled item"


@dataclass(frozen=True)
class Clean:
    """Validated tables (polars), and what was refused or repaired on the way."""

    items: pl.DataFrame  # the columns of schema.ITEMS
    interactions: pl.DataFrame  # user_id, item_id, timestamp (int64 µs), action, rating, domain, row; in file order
    impressions: pl.DataFrame | None  # user_id, item_id, timestamp, label, row, request_id?, split?; in file order
    bad: tuple[BadRow, ...]
    rows: dict[str, int]  # rows of each table before validation, unreadable ones included
    timestamp_unit: str
    repaired: dict[str, int]  # values changed in rows that are otherwise fine


def validate(raw: Raw) -> Clean:
    """Validate what a source yielded; the rows that are left satisfy the schema."""
    items, bad_items, repaired = _items(pl.DataFrame(raw.items))
    known = items.select("item_id")
    interactions, bad_events, unit = _interactions(pl.DataFrame(raw.interactions), known, raw)
    impressions: pl.DataFrame | None = None
    bad_shown: list[BadRow] = []
    if raw.impressions is not None:
        impressions, bad_shown = _impressions(pl.DataFrame(raw.impressions), known, raw)
    tables = {"items": raw.items, "interactions": raw.interactions, "impressions": raw.impressions}
    rows = {
        name: table.num_rows + sum(row.table == name for row in raw.bad)
        for name, table in tables.items()
        if table is not None
    }
    order = {"items": 0, "interactions": 1, "impressions": 2}
    bad = sorted([*raw.bad, *bad_items, *bad_events, *bad_shown], key=lambda b: (order[b.table], b.row, b.reason))
    return Clean(items, interactions, impressions, tuple(bad), rows, unit, repaired)


def _items(frame: pl.DataFrame) -> tuple[pl.DataFrame, list[BadRow], dict[str, int]]:
    frame = _with_columns(frame, ("title", "brand", "price", "description"), ("category", "attributes"))
    frame = frame.with_columns(_id("item_id"))
    frame, bad = _refuse(
        frame,
        "items",
        [*_id_checks("item_id"), ("duplicate_id", "item_id", ~pl.col("item_id").is_first_distinct())],
    )
    raw_price = pl.col("price").cast(pl.String)
    price = raw_price.str.strip_chars().str.strip_prefix("$").str.replace_all(",", "").cast(pl.Float64, strict=False)
    before = frame
    frame = frame.with_columns(
        text.clean(pl.col("title").cast(pl.String), text.TITLE_LENGTH),
        text.clean(pl.col("brand").cast(pl.String), text.PART_LENGTH),
        text.clean(pl.col("description").cast(pl.String), text.DESCRIPTION_LENGTH),
        text.clean_lists(_as_list(frame, "category")),
        text.clean_lists(_as_list(frame, "attributes")),
        pl.when(price.is_finite() & (price >= 0)).then(price).alias("price"),
    )
    untitled = frame.filter(pl.col("title").is_null())
    bad += [
        BadRow("items", "", row, "empty_title", item) for row, item in untitled.select("row", "item_id").iter_rows()
    ]
    path = pl.col("category").list.reverse().list.join(", ")
    fallback = pl.concat_str(pl.col("brand"), path, separator=" ", ignore_nulls=True).str.strip_chars()
    fallback = pl.when(fallback.str.len_bytes() > 0).then(fallback).otherwise(pl.lit(UNTITLED))
    frame = frame.with_columns(pl.coalesce("title", fallback.str.slice(0, text.TITLE_LENGTH)))
    changed = {
        "title_cut": _longer(before, "title", text.TITLE_LENGTH),
        "description_cut": _longer(before, "description", text.DESCRIPTION_LENGTH),
        "invisible_characters": sum(
            int(before[name].cast(pl.String).str.contains(text.INVISIBLE).sum()) for name in ("title", "description")
        ),
        "price_unreadable": before["price"].count() - frame["price"].count(),
    }
    columns = ("item_id", "title", "category", "brand", "price", "description", "attributes")
    return frame.select(columns), bad, {name: count for name, count in changed.items() if count}


def _interactions(frame: pl.DataFrame, known: pl.DataFrame, raw: Raw) -> tuple[pl.DataFrame, list[BadRow], str]:
    frame = _with_columns(frame, ("action", "rating", "domain"), ())
    frame, unit = _timed(frame, raw.timestamp_unit)
    rating = pl.col("rating").cast(pl.String).str.strip_chars()
    rating = pl.when(rating.str.len_bytes() > 0).then(rating)
    number = rating.cast(pl.Float32, strict=False)
    frame = frame.with_columns(
        _id("user_id"),
        _id("item_id"),
        pl.coalesce(text.clean(pl.col("action").cast(pl.String), text.PART_LENGTH), pl.lit(raw.action)).alias("action"),
        text.clean(pl.col("domain").cast(pl.String), text.PART_LENGTH),
        number.alias("rating"),
        (rating.is_not_null() & ~(number.is_finite().fill_null(False))).alias("unrated"),
        pl.col("rating").alias("raw_rating"),
    )
    checks = [
        *_id_checks("user_id"),
        *_id_checks("item_id"),
        *_TIME_CHECKS,
        ("bad_rating", "raw_rating", pl.col("unrated")),
        ("unknown_item", "item_id", ~pl.col("item_id").is_in(known["item_id"].implode())),
    ]
    frame, bad = _refuse(frame, "interactions", checks)
    repeated = ~pl.struct("user_id", "item_id", "timestamp", "action").is_first_distinct()
    frame, again = _refuse(frame, "interactions", [("duplicate_event", "item_id", repeated)])
    columns = ("user_id", "item_id", "timestamp", "action", "rating", "domain", "row")
    return frame.select(columns), bad + again, unit


def _impressions(frame: pl.DataFrame, known: pl.DataFrame, raw: Raw) -> tuple[pl.DataFrame, list[BadRow]]:
    frame, _ = _timed(frame, raw.timestamp_unit)
    label = pl.col("label").cast(pl.String).str.strip_chars().cast(pl.Float64, strict=False)
    frame = frame.with_columns(_id("user_id"), _id("item_id"), label.alias("label"), pl.col("label").alias("raw_label"))
    checks = [
        *_id_checks("user_id"),
        *_id_checks("item_id"),
        *_TIME_CHECKS,
        ("bad_label", "raw_label", ~pl.col("label").is_in([0.0, 1.0]).fill_null(False)),
        ("unknown_item", "item_id", ~pl.col("item_id").is_in(known["item_id"].implode())),
    ]
    if "request_id" in frame.columns:
        frame = frame.with_columns(_id("request_id"))
        checks += _id_checks("request_id")
    if "split" in frame.columns:
        checks.append(("bad_split", "split", ~pl.col("split").is_in(["train", "valid", "test"]).fill_null(False)))
    frame, bad = _refuse(frame, "impressions", checks)
    return frame.with_columns(pl.col("label").cast(pl.Int8)).drop("raw_label", "raw_time"), bad


Check = tuple[str, str, pl.Expr]  # reason, the column to blame, true where the row is bad

_TIME_CHECKS: list[Check] = [
    ("bad_timestamp", "raw_time", pl.col("timestamp").is_null()),
    ("negative_timestamp", "raw_time", pl.col("timestamp") < 0),
    ("absurd_timestamp", "raw_time", ~pl.col("timestamp").is_between(EARLIEST, LATEST - 1)),
]


def _id_checks(name: str) -> list[Check]:
    bad = (pl.col(name).str.len_chars() > text.ID_LENGTH) | pl.col(name).str.contains(r"[\p{Cc}\x{fffd}]")
    return [
        ("empty_id", name, pl.col(name).is_null() | (pl.col(name).str.len_bytes() == 0)),
        ("bad_id", name, bad | pl.col(name).str.contains(text.INVISIBLE)),
    ]


def _refuse(frame: pl.DataFrame, table: str, checks: Sequence[Check]) -> tuple[pl.DataFrame, list[BadRow]]:
    """Split a frame into the rows that pass and those that don't, each of these with its first reason."""
    reason = pl.coalesce([pl.when(bad).then(pl.lit(reason)) for reason, _, bad in checks])
    value = pl.coalesce([pl.when(bad).then(pl.col(name).cast(pl.String).fill_null("")) for _, name, bad in checks])
    frame = frame.with_columns(reason.alias("_reason"), value.alias("_value"))
    refused = frame.filter(pl.col("_reason").is_not_null()).select("row", "_reason", pl.col("_value").str.slice(0, 200))
    bad = [BadRow(table, "", row, reason, value) for row, reason, value in refused.iter_rows()]
    return frame.filter(pl.col("_reason").is_null()).drop("_reason", "_value"), bad


def _timed(frame: pl.DataFrame, unit: str) -> tuple[pl.DataFrame, str]:
    parsed, found = to_microseconds(frame["timestamp"], unit)
    return frame.with_columns(pl.col("timestamp").alias("raw_time"), parsed.alias("timestamp")), found


def _id(name: str) -> pl.Expr:
    return pl.col(name).cast(pl.String).str.strip_chars()


def _with_columns(frame: pl.DataFrame, scalars: Sequence[str], lists: Sequence[str]) -> pl.DataFrame:
    missing = [pl.lit(None, pl.String).alias(name) for name in scalars if name not in frame.columns]
    missing += [pl.lit([], pl.List(pl.String)).alias(name) for name in lists if name not in frame.columns]
    return frame.with_columns(missing)


def _as_list(frame: pl.DataFrame, name: str) -> pl.Series:
    if isinstance(frame.schema[name], pl.List):
        return frame[name].cast(pl.List(pl.String))
    return frame[name].cast(pl.String).str.replace_all(">", "|", literal=True).str.split("|")


def _longer(frame: pl.DataFrame, name: str, length: int) -> int:
    return int((frame[name].cast(pl.String).str.len_chars() > length).sum())
