"""Tables of one's own: `items`, `interactions` and perhaps `impressions` as CSV, TSV, JSON lines or Parquet.

Each may be gzipped. Columns are called as in `reaseq.schema`, or mapped by `data.columns`: `{"timestamp": "time"}` for
every table, `{"items.title": "name"}` for one. Lists (`category`, `attributes`) in delimited files separate their parts
by `|` or `>`.
"""

from collections.abc import Mapping
from pathlib import Path

from reaseq.data.reading import Columns, check_columns, mapped, read_rows
from reaseq.data.source import ENDINGS, BadRow, Raw, find_file, find_optional, open_folder

NEEDED = {
    "items": ("item_id", "title"),
    "interactions": ("user_id", "item_id", "timestamp"),
    "impressions": ("user_id", "item_id", "timestamp", "label"),
}
OPTIONAL = {
    "items": ("category", "brand", "price", "description", "attributes"),
    "interactions": ("action", "rating", "domain"),
    "impressions": ("request_id", "split"),
}


class Tables:
    """The dataset `files`."""

    name = "files"

    def __init__(self, source: str, columns: Mapping[str, str], timestamp_unit: str = "auto"):
        self._source, self._mapping, self._unit = source, columns, timestamp_unit

    def files(self) -> dict[str, Path]:
        folder = open_folder(self._source, self.name)
        names = {table: tuple(table + ending for ending in ENDINGS) for table in NEEDED}
        found = {table: find_file(folder, table, names[table]) for table in ("items", "interactions")}
        impressions = find_optional(folder, names["impressions"])
        return found if impressions is None else {**found, "impressions": impressions}

    def check(self) -> None:
        for table, path in self.files().items():
            check_columns(path, self._columns(table))

    def read(self) -> Raw:
        tables, bad = {}, list[BadRow]()
        for table, path in self.files().items():
            frame, unread = read_rows(path, table, self._columns(table))
            tables[table] = frame.to_arrow()
            bad += unread
        return Raw(**tables, bad=tuple(bad), timestamp_unit=self._unit)

    def _columns(self, table: str) -> Columns:
        return Columns(mapped(NEEDED[table], self._mapping, table), mapped(OPTIONAL[table], self._mapping, table))
