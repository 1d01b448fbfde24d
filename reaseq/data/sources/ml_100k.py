"""MovieLens-100k with a sentence about each film that a language model wrote, and with fixed impressions.

    ml-100k.inter.gz      RecBole's atomic file: user_id, item_id, rating, timestamp (seconds)
    items.jsonl.gz        item, title, year, genres, llm_summary (null for 37 films)
    impressions.parquet   user_id, item_id, timestamp, label (rating of 4 or more), split: every rating is one

The split is the one that the impressions state. Genres make the category path, year and genres the attributes.
"""

from collections.abc import Mapping
from pathlib import Path

from reaseq.data.reading import Columns, check_columns, mapped, read_rows
from reaseq.data.source import Raw, find_file, find_optional, open_folder
from reaseq.data.sources.movielens import ATOMIC, year_and_genres

_ITEMS = {"item_id": "item", "title": "title"}
_ITEM_EXTRAS = {"description": "llm_summary", "year": "year", "genres": "genres"}


class MovieLens100k:
    """The dataset `ml-100k`."""

    name = "ml-100k"

    def __init__(self, source: str, columns: Mapping[str, str]):
        self._source, self._mapping = source, columns

    def files(self) -> dict[str, Path]:
        folder = open_folder(self._source, self.name)
        found = {
            "items": find_file(folder, "items", ("items.jsonl",)),
            "interactions": find_file(folder, "interactions", ("ml-100k.inter",)),
        }
        impressions = find_optional(folder, ("impressions.parquet",))
        return found if impressions is None else {**found, "impressions": impressions}

    def check(self) -> None:
        for table, path in self.files().items():
            check_columns(path, self._columns(table), ATOMIC if table == "interactions" else None)

    def read(self) -> Raw:
        read = {
            table: read_rows(path, table, self._columns(table), ATOMIC if table == "interactions" else None)
            for table, path in self.files().items()
        }
        tables = {table: frame for table, (frame, _) in read.items()}
        tables["items"] = year_and_genres(tables["items"], separator=" ")
        return Raw(
            **{table: frame.to_arrow() for table, frame in tables.items()},
            bad=tuple(row for _, bad in read.values() for row in bad),
            action="rating",
            timestamp_unit="s",
        )

    def _columns(self, table: str) -> Columns:
        if table == "items":
            return Columns(
                mapped(tuple(_ITEMS), {**_ITEMS, **self._mapping}, table),
                mapped(tuple(_ITEM_EXTRAS), {**_ITEM_EXTRAS, **self._mapping}, table),
            )
        needed = ("user_id", "item_id", "timestamp", "rating" if table == "interactions" else "label")
        optional = () if table == "interactions" else ("split",)
        return Columns(mapped(needed, self._mapping, table), mapped(optional, self._mapping, table))
