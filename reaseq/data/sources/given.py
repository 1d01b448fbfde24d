"""Impressions of a file of their own in place of a source's: the same rows for whoever compares rankers.

Columns as in `reaseq.schema`, or mapped by `data.columns`: user_id, item_id, timestamp and label; split and request_id
where there are any. Splits that are stated must not overlap in time.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from reaseq.data.errors import SourceMissingError
from reaseq.data.reading import Columns, check_columns, mapped, read_rows
from reaseq.data.source import Raw, Source
from reaseq.data.sources.tables import NEEDED, OPTIONAL


class GivenImpressions:
    """A source, with the impressions of `path`."""

    def __init__(self, source: Source, path: Path, columns: Mapping[str, str]):
        self.name = source.name
        self._source, self._path = source, path
        table = "impressions"
        self._columns = Columns(mapped(NEEDED[table], columns, table), mapped(OPTIONAL[table], columns, table))

    def files(self) -> dict[str, Path]:
        if not self._path.is_file():
            raise SourceMissingError(f"data.impressions: file {self._path} is not there; give the path of one.")
        return {**self._source.files(), "impressions": self._path}

    def check(self) -> None:
        self._source.check()
        self.files()
        check_columns(self._path, self._columns)

    def read(self) -> Raw:
        raw = self._source.read()
        shown, bad = read_rows(self._path, "impressions", self._columns)
        kept = tuple(row for row in raw.bad if row.table != "impressions")
        return replace(raw, impressions=shown.to_arrow(), bad=(*kept, *bad))
