"""The ways in which raw data can be refused."""

from collections.abc import Sequence
from pathlib import Path

from reaseq.errors import ReaSeqError


class DataError(ReaSeqError):
    """Raw data can't be made into a dataset; the message names the file or setting and the remedy."""


class SourceMissingError(DataError):
    """The source folder, or a file that it must hold, is not there."""


class MissingColumnError(DataError):
    """A file lacks a column that the dataset needs."""

    def __init__(self, path: Path, column: str, source_column: str, present: Sequence[str]):
        self.path, self.column, self.present = path, column, tuple(present)
        shown = ", ".join(present[:40]) or "none"
        named = f"{column!r}" if column == source_column else f"{source_column!r} (for {column!r})"
        super().__init__(
            f"{path}: column {named} is missing; the file has: {shown}. "
            f'Rename the column, or map it: set data.columns to {{"{column}": "<its name in the file>"}}.'
        )


class BadRowsError(DataError):
    """More rows are bad than the configuration lets pass."""


class SplitError(DataError):
    """The split leaves a part empty, or contradicts the splits that the source states."""
