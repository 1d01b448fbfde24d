"""Amazon reviews with their metadata, releases of 2014 (McAuley) and 2023 (Hou et al., arXiv 2403.03952).

|      | reviews                                             | metadata (`meta_*`)                              |
|------|-----------------------------------------------------|--------------------------------------------------|
| 2014 | reviewerID, asin, overall, unixReviewTime (seconds) | asin, title, categories (paths), brand, price, … |
| 2023 | user_id, parent_asin, rating, timestamp (ms)        | parent_asin, title, main_category, categories,   |
|      |                                                     | store, price, description, features              |

JSON lines, plain or gzipped (the metadata of 2014 as Python literals). The release is told by the keys. The text of
reviews is never read: it was written after the event that a model is asked to foresee. The metadata covers far more
products than one category's log, so the catalogue is cut to the products that occur in the log.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from reaseq.data.errors import SourceMissingError
from reaseq.data.reading import Columns, check_columns, columns_in, mapped, read_rows
from reaseq.data.source import Raw, open_folder

_ENDINGS = (".jsonl", ".json", ".jsonl.gz", ".json.gz")


@dataclass(frozen=True)
class Release:
    """What our columns are called in one release."""

    year: int
    mark: str  # a key that only this release's reviews have
    reviews: Mapping[str, str]
    metadata: Mapping[str, str]
    metadata_extras: Mapping[str, str]
    timestamp_unit: str


RELEASES = (
    Release(
        2014,
        "unixReviewTime",
        {"user_id": "reviewerID", "item_id": "asin", "rating": "overall", "timestamp": "unixReviewTime"},
        {"item_id": "asin"},
        {
            "title": "title",
            "category": "categories",
            "brand": "brand",
            "price": "price",
            "description": "description",
        },
        "s",
    ),
    Release(
        2023,
        "parent_asin",
        {"user_id": "user_id", "item_id": "parent_asin", "rating": "rating", "timestamp": "timestamp"},
        {"item_id": "parent_asin", "title": "title"},
        {
            "main_category": "main_category",
            "category": "categories",
            "brand": "store",
            "price": "price",
            "description": "description",
            "attributes": "features",
        },
        "ms",
    ),
)


class AmazonReviews:
    """The dataset `amazon-reviews`: one file of reviews and one of metadata in a folder."""

    name = "amazon-reviews"

    def __init__(self, source: str, columns: Mapping[str, str]):
        self._source, self._mapping = source, columns

    def files(self) -> dict[str, Path]:
        folder = open_folder(self._source, self.name)
        candidates = sorted(path for path in folder.iterdir() if path.is_file() and path.name.endswith(_ENDINGS))
        metadata = [path for path in candidates if path.name.lower().startswith("meta")]
        reviews = [path for path in candidates if path not in metadata]
        if len(metadata) != 1 or len(reviews) != 1:
            names = ", ".join(path.name for path in candidates) or "none"
            raise SourceMissingError(
                f"data.source: {folder} must hold one file of metadata (meta_*) and one of reviews, as JSON lines, "
                f"plain or .gz; of these it holds: {names}."
            )
        return {"items": metadata[0], "interactions": reviews[0]}

    def check(self) -> None:
        files = self.files()
        release = _release(files["interactions"])
        for table, path in files.items():
            check_columns(path, self._columns(table, release))

    def read(self) -> Raw:
        files = self.files()
        release = _release(files["interactions"])
        log, bad_log = read_rows(files["interactions"], "interactions", self._columns("interactions", release))
        products, bad_products = read_rows(files["items"], "items", self._columns("items", release))
        # Rows without an id stay in, for validation to name them.
        in_log = products.filter(pl.col("item_id").is_in(log["item_id"].unique().implode()).fill_null(True))
        return Raw(
            items=_with_main_category(_with_title(in_log)).to_arrow(),
            interactions=log.to_arrow(),
            bad=(*bad_products, *bad_log),
            action="review",
            timestamp_unit=release.timestamp_unit,
            facts={"release": release.year, "products_outside_log": products.height - in_log.height},
        )

    def _columns(self, table: str, release: Release) -> Columns:
        if table == "interactions":
            own = release.reviews
            return Columns(mapped(tuple(own), {**own, **self._mapping}, table), {})
        needed, extras = release.metadata, release.metadata_extras
        return Columns(
            mapped(tuple(needed), {**needed, **self._mapping}, table),
            mapped(tuple(extras), {**extras, **self._mapping}, table),
        )


def _release(reviews: Path) -> Release:
    """The release by its keys; of 2014 if neither's are there, so that the error names what is missing of it."""
    present = columns_in(reviews)
    return next((release for release in RELEASES if release.mark in present), RELEASES[0])


def _with_title(products: pl.DataFrame) -> pl.DataFrame:
    return products if "title" in products.columns else products.with_columns(pl.lit(None, pl.String).alias("title"))


def _with_main_category(products: pl.DataFrame) -> pl.DataFrame:
    """Put the main category of 2023 at the head of the path, unless the path starts with it."""
    if "main_category" not in products.columns:
        return products
    if "category" not in products.columns:
        products = products.with_columns(pl.lit([], pl.List(pl.String)).alias("category"))
    head = pl.concat_list("main_category").list.drop_nulls()
    there = pl.col("category").list.first().eq_missing(pl.col("main_category"))
    path = pl.when(there).then(pl.col("category")).otherwise(pl.concat_list(head, "category"))
    return products.with_columns(path.alias("category")).drop("main_category")
