"""Amazon reviews 2014, Beauty, 5-core, in the numbering of the published sequence files (S3-Rec, arXiv 2008.07873).

    interactions.csv.gz   user, item, timestamp (seconds, whole days); file order is the published sequence order
    items.jsonl.gz        item, asin, title, attributes
    impressions.parquet   user_id, item_id, timestamp, label, split; a positive, then its negatives

`attributes` is the brand, where one is known, then the category path. What stands first is a brand unless it is itself
a top category; the top categories are the few values from which the paths start. Item ids stay the published numbers,
so that impressions and published results can be compared line by line.
"""

import html
from collections.abc import Mapping
from pathlib import Path

import polars as pl

from reaseq.data.reading import Columns, check_columns, mapped, read_rows
from reaseq.data.source import Raw, find_file, find_optional, open_folder
from reaseq.data.timestamps import parse_date

TOP_CATEGORIES = ("Bath & Body", "Fragrance", "Hair Care", "Makeup", "Skin Care", "Tools & Accessories")
UNKNOWN_BRAND = "Unknown"

VALID_START = "2014-03-07"
"""80 % of the events lie before this day."""
TEST_START = "2014-05-14"
"""Validation ends with 2014-05-13, 90 % of the events."""

_COLUMNS = {
    "items": {"item_id": "item", "title": "title", "attributes": "attributes"},
    "interactions": {"user_id": "user", "item_id": "item", "timestamp": "timestamp"},
    "impressions": {name: name for name in ("user_id", "item_id", "timestamp", "label", "split")},
}


class AmazonBeauty:
    """The dataset `amazon-beauty`."""

    name = "amazon-beauty"

    def __init__(self, source: str, columns: Mapping[str, str]):
        self._source, self._mapping = source, columns

    def files(self) -> dict[str, Path]:
        folder = open_folder(self._source, self.name)
        found = {
            "items": find_file(folder, "items", ("items.jsonl",)),
            "interactions": find_file(folder, "interactions", ("interactions.csv",)),
        }
        impressions = find_optional(folder, ("impressions.parquet",))
        return found if impressions is None else {**found, "impressions": impressions}

    def check(self) -> None:
        for table, path in self.files().items():
            check_columns(path, self._columns(table))

    def read(self) -> Raw:
        read = {table: read_rows(path, table, self._columns(table)) for table, path in self.files().items()}
        tables = {table: frame for table, (frame, _) in read.items()}
        tables["items"] = with_brand_and_category(tables["items"])
        return Raw(
            **{table: frame.to_arrow() for table, frame in tables.items()},
            bad=tuple(row for _, bad in read.values() for row in bad),
            action="review",
            valid_start=parse_date(VALID_START, "amazon-beauty"),
            test_start=parse_date(TEST_START, "amazon-beauty"),
            timestamp_unit="s",
            requests="positive_first",
        )

    def _columns(self, table: str) -> Columns:
        own = _COLUMNS[table]
        names = mapped(tuple(own), {**own, **self._mapping}, table)
        optional = {"split"}
        return Columns(
            {ours: theirs for ours, theirs in names.items() if ours not in optional},
            {ours: theirs for ours, theirs in names.items() if ours in optional},
        )


def with_brand_and_category(items: pl.DataFrame) -> pl.DataFrame:
    """Split `attributes` (list of strings) into `brand` and `category`; the attributes stay, without `Unknown`."""
    attributes = [[html.unescape(value).strip() for value in values] for values in items["attributes"].to_list()]
    brands, paths = [], []
    for values in attributes:
        branded = bool(values) and values[0] not in TOP_CATEGORIES
        brand = values[0] if branded else None
        path = values[1:] if branded else values
        # Two rows name the top category twice.
        path = path[1:] if len(path) > 1 and path[0] == path[1] else path
        brands.append(None if brand == UNKNOWN_BRAND else brand)
        paths.append(path)
    return items.with_columns(
        pl.Series("brand", brands, pl.String),
        pl.Series("category", paths, pl.List(pl.String)),
        pl.Series(
            "attributes", [[v for v in values if v != UNKNOWN_BRAND] for values in attributes], pl.List(pl.String)
        ),
    )
