"""What a source of raw data yields, and the interface behind which every source stands.

A source knows where its files lie and what their columns mean; it knows nothing of validation, splitting or sampling.
Its tables may be dirty: whatever can be read comes with the number of its row, so that validation can say which row was
bad, and what could not even be read as a row comes as `BadRow`.

Columns of the raw tables, `row` (int64, 1-based, data rows of the file) always among them:

    items          item_id, title, category, brand, price, description, attributes
    interactions   user_id, item_id, timestamp, action, rating, domain
    impressions    user_id, item_id, timestamp, label, and optionally request_id and split

Only the ids, `title`, `timestamp` and `label` have to be there. Scalars are strings or numbers; `category` and
`attributes` are lists of strings, or strings that separate their parts by `|` or `>`.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import pyarrow as pa

from reaseq.data.errors import SourceMissingError


@dataclass(frozen=True)
class BadRow:
    """One row that was refused or repaired."""

    table: str  # items, interactions or impressions
    file: str  # its name in the source folder
    row: int  # 1-based, data rows of the file
    reason: str
    value: str  # what was wrong, cut to 200 characters


@dataclass(frozen=True)
class Raw:
    """What was read from a source, not validated."""

    items: pa.Table
    interactions: pa.Table
    impressions: pa.Table | None = None
    beyond_log: pa.Table | None = None  # of schema.BEYOND_LOG; the synthetic world alone knows it
    bad: tuple[BadRow, ...] = ()
    action: str = "click"
    """Name of a behaviour where the interactions have no `action` column."""
    valid_start: int | None = None
    """Microseconds of the first validation event, where the source brings its own split."""
    test_start: int | None = None
    timestamp_unit: str = "auto"
    requests: str = "user_time"
    """How impressions without a request_id form requests: `user_time`, one per user and timestamp; or `positive_first`,
    where a positive begins a request and its negatives follow it."""
    facts: dict[str, object] = field(default_factory=dict)
    """What the manifest should say of the source."""


class Source(Protocol):
    """Raw data of one kind, found in one folder (or made up: the synthetic world)."""

    name: str

    def files(self) -> dict[str, Path]:
        """The raw files by role (`items`, `interactions`, …), found and present.

        Raises:
            SourceMissingError: the folder or a needed file is not there.
        """
        ...

    def check(self) -> None:
        """Look at headers only.

        Raises:
            DataError: a file or a column is missing.
        """
        ...

    def read(self) -> Raw:
        """Read everything.

        Raises:
            DataError: a file is missing, damaged, or lacks a column.
        """
        ...


ENDINGS = (".csv", ".tsv", ".jsonl", ".json", ".parquet")
"""Kinds of file that can be read by name alone; each may be gzipped as well (`.csv.gz`)."""


def open_folder(source: str, dataset: str) -> Path:
    """The source folder.

    Raises:
        SourceMissingError: none is named, or it is not there.
    """
    if not source:
        raise SourceMissingError(
            f"data.source is empty: dataset {dataset!r} is read from a folder. Set data.source (--source) to the "
            "folder that holds its files."
        )
    folder = Path(source)
    if not folder.is_dir():
        raise SourceMissingError(
            f"data.source: folder {folder} is not there (looked at {folder.resolve()}). Set data.source to the folder "
            f"that holds the files of {dataset!r}."
        )
    return folder


def find_optional(folder: Path, names: tuple[str, ...]) -> Path | None:
    """The first of `names` that is there, plain or with `.gz`."""
    candidates = (folder / f"{name}{packed}" for name in names for packed in ("", ".gz"))
    return next((path for path in candidates if path.is_file()), None)


def find_file(folder: Path, role: str, names: tuple[str, ...]) -> Path:
    """The same for a file that must be there.

    Raises:
        SourceMissingError: none is there; says what was looked for and what there is.
    """
    if found := find_optional(folder, names):
        return found
    present = sorted(path.name for path in folder.iterdir())[:20]
    raise SourceMissingError(
        f"data.source: {folder} holds no {role} file; it may be called {', '.join(names)}, plain or with .gz. "
        f"The folder holds: {', '.join(present) or 'nothing'}."
    )
