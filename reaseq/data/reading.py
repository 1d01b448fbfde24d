"""Reading raw files: CSV and its kin, JSON lines and Parquet, plain or gzipped, into frames that keep row numbers.

Nothing is interpreted here. A row that can't be read at all (wrong number of fields, broken JSON) is set aside with its
number; bytes that are no valid text become U+FFFD, which validation refuses in ids.
"""

import ast
import csv
import gzip
import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from reaseq import progress
from reaseq.data.errors import DataError, MissingColumnError
from reaseq.data.source import BadRow

VALUE_LENGTH = 200
"""Characters of a bad value that the quarantine keeps: enough to recognise it, too few to blow the file up."""

_PEEKED = 1000  # JSON lines looked at for the keys that a file has: optional keys are missing from some lines
_BLOCK = 1 << 27  # bytes; a row may be as long as a block, and Arrow's own megabyte is soon full of one description
_SEPARATOR = "\x1f"  # stands in for a delimiter of several characters, which Arrow's reader does not take


@dataclass(frozen=True)
class Layout:
    """How a delimited file is laid out."""

    delimiter: str = ","
    header: tuple[str, ...] | None = None  # the columns' names, where the file does not give them
    quoted: bool = True
    encodings: tuple[str, ...] = ("utf-8",)  # tried in turn; the last one replaces what it can't decode
    typed_header: bool = False  # names carry a type, `user_id:token` (RecBole's atomic files)


CSV = Layout()
TSV = Layout(delimiter="\t", quoted=False)


@dataclass(frozen=True)
class Columns:
    """Which columns to read: our name → the file's."""

    needed: Mapping[str, str]
    optional: Mapping[str, str]
    lists: frozenset[str] = frozenset({"category", "attributes"})  # ours; read as lists of strings from JSON


def columns_in(path: Path, layout: Layout | None = None) -> list[str]:
    """Names of the columns (for JSON lines: keys of the first thousand lines), from the head of the file alone."""
    kind = _kind(path)
    if kind == "parquet":
        try:
            return list(pq.read_schema(_parquet(path)).names)
        except (pa.ArrowInvalid, OSError) as error:
            raise _damaged(path, error) from None
    if kind == "jsonl":
        names: dict[str, None] = {}
        for number, line in enumerate(_lines(path), start=1):
            record = _record(line)
            names.update(dict.fromkeys(record if isinstance(record, dict) else ()))
            if number >= _PEEKED:
                break
        return list(names)
    layout = layout or _layout_of(path)
    if layout.header is not None:
        return list(layout.header)
    first = next(_lines(path), "").lstrip("\ufeff").rstrip("\r\n")
    cells = (
        next(csv.reader([first], delimiter=layout.delimiter), []) if layout.quoted else first.split(layout.delimiter)
    )
    return [_untyped(name.strip(), layout) for name in cells if name.strip()]


def check_columns(path: Path, columns: Columns, layout: Layout | None = None) -> None:
    """Refuse a file that lacks a needed column, by looking at its head.

    Raises:
        MissingColumnError: it names the column, the file and the columns that are there.
    """
    present = columns_in(path, layout)
    for ours, theirs in columns.needed.items():
        if theirs not in present:
            raise MissingColumnError(path, ours, theirs, present)


def read_rows(
    path: Path, table: str, columns: Columns, layout: Layout | None = None
) -> tuple[pl.DataFrame, list[BadRow]]:
    """Read the named columns of a file.

    Args:
        path: file; its ending says its kind.
        table: the table that its rows belong to, for bad rows.
        columns: what to read, under our names in the result; an optional column that is missing is left out.
        layout: of a delimited file; None takes what the ending says.

    Returns:
        The frame, with `row` (int64, 1-based), and the rows that could not be read.

    Raises:
        MissingColumnError: a needed column is missing.
        DataError: the file is damaged.
    """
    check_columns(path, columns, layout)
    present = set(columns_in(path, layout))
    wanted = {**columns.needed, **{ours: theirs for ours, theirs in columns.optional.items() if theirs in present}}
    kind = _kind(path)
    if kind == "parquet":
        return _read_parquet(path, wanted), []
    if kind == "jsonl":
        return _read_json_lines(path, table, wanted, columns.lists)
    return _read_delimited(path, table, wanted, layout or _layout_of(path))


def _read_parquet(path: Path, wanted: Mapping[str, str]) -> pl.DataFrame:
    try:
        arrow = pq.read_table(_parquet(path), columns=sorted(set(wanted.values())))
    except (pa.ArrowInvalid, OSError) as error:
        raise _damaged(path, error) from None
    frame = pl.DataFrame(arrow)
    rows = pl.int_range(1, pl.len() + 1, dtype=pl.Int64).alias("row")
    return frame.select(rows, *(pl.col(theirs).alias(ours) for ours, theirs in wanted.items()))


def _parquet(path: Path) -> Path | pa.BufferReader:
    return pa.BufferReader(_bytes(path)) if path.name.endswith(".gz") else path


def _read_delimited(
    path: Path, table: str, wanted: Mapping[str, str], layout: Layout
) -> tuple[pl.DataFrame, list[BadRow]]:
    data = _decoded(path, layout)
    delimiter = layout.delimiter
    if len(delimiter) > 1:
        data, delimiter = data.replace(delimiter.encode(), _SEPARATOR.encode()), _SEPARATOR
    bad: list[BadRow] = []
    spans: list[bool] = []  # of each bad row: whether it runs over several lines
    header_rows = 0 if layout.header is not None else 1

    def set_aside(row: pa_csv.InvalidRow) -> str:
        number, text = int(row.number) - header_rows, str(row.text)
        bad.append(BadRow(table, path.name, number, "wrong_field_count", text[:VALUE_LENGTH]))
        spans.append("\n" in text)
        return "skip"

    names = list(layout.header) if layout.header is not None else columns_in(path, layout)
    try:
        arrow = pa_csv.read_csv(
            pa.BufferReader(data),
            # One thread: only then does Arrow know the number of a bad row.
            read_options=pa_csv.ReadOptions(
                use_threads=False, column_names=names, skip_rows=header_rows, block_size=_BLOCK
            ),
            parse_options=pa_csv.ParseOptions(
                delimiter=delimiter,
                quote_char='"' if layout.quoted else False,
                newlines_in_values=layout.quoted,
                invalid_row_handler=set_aside,
            ),
            convert_options=pa_csv.ConvertOptions(
                column_types={name: pa.string() for name in names}, include_columns=sorted(set(wanted.values()))
            ),
        )
    except pa.ArrowInvalid as error:
        if "Empty CSV" in str(error):
            raise DataError(f"{path}: the file holds no rows. Give the source's real file.") from None
        raise _damaged(path, error) from None
    frame = pl.DataFrame(arrow).select(pl.col(theirs).alias(ours) for ours, theirs in wanted.items())
    several_lines = ["\n" in str(value) for row in frame.tail(1).rows() for value in row] + spans[-1:]
    if layout.quoted and data.count(b'"') % 2 and any(several_lines):
        raise DataError(
            f"{path}: a quotation mark is opened and never closed, so the last row runs to the end of the file. "
            'Close it; within a quoted field write " as "".'
        )
    numbers = pl.Series("row", range(1, frame.height + len(bad) + 1), dtype=pl.Int64)
    numbers = numbers.filter(~numbers.is_in([b.row for b in bad])) if bad else numbers
    return frame.insert_column(0, numbers), bad


def _read_json_lines(
    path: Path, table: str, wanted: Mapping[str, str], lists: frozenset[str]
) -> tuple[pl.DataFrame, list[BadRow]]:
    values: dict[str, list[Any]] = {ours: [] for ours in wanted}
    rows: list[int] = []
    bad: list[BadRow] = []
    for number, line in enumerate(progress.track(_lines(path), f"reading {path.name}"), start=1):
        if not line.strip():
            continue
        record = _record(line)
        if not isinstance(record, dict):
            bad.append(BadRow(table, path.name, number, "not_json", line.strip()[:VALUE_LENGTH]))
            continue
        rows.append(number)
        for ours, theirs in wanted.items():
            value = record.get(theirs)
            values[ours].append(_parts(value) if ours in lists else _scalar(value))
    types = {ours: pl.List(pl.String) if ours in lists else pl.String for ours in wanted}
    series = [pl.Series(ours, values[ours], dtype=types[ours]) for ours in wanted]
    return pl.DataFrame([pl.Series("row", rows, dtype=pl.Int64), *series]), bad


def _record(line: str) -> object:
    """The value of a line of JSON, or of Python literals (Amazon's metadata of 2014); None if it is neither."""
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        pass
    if not line.lstrip().startswith("{'"):
        return None
    try:
        return ast.literal_eval(line.strip())
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return None


def _scalar(value: object) -> str | None:
    if value is None or value == [] or value == "":
        return None
    if isinstance(value, str):
        return _encodable(value)
    if isinstance(value, list):
        return " ".join(_parts(value))
    return _encodable(json.dumps(value))


def _parts(value: object) -> list[str]:
    """A list of strings out of whatever stands where a path or a list of attributes should."""
    if value is None:
        return []
    if isinstance(value, list):
        if value and isinstance(value[0], list):  # several paths (Amazon 2014): the first is the main one
            return _parts(value[0])
        return [text for part in value if (text := _scalar(part)) is not None]
    if isinstance(value, dict):
        return [f"{key}: {text}" for key, part in value.items() if (text := _scalar(part)) is not None]
    text = _scalar(value)
    return [part for part in text.replace(">", "|").split("|") if part.strip()] if text else []


def _encodable(text: str) -> str:
    """Half a surrogate pair can be written in JSON and in no table: replace it."""
    return text if text.isascii() else text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _decoded(path: Path, layout: Layout) -> bytes:
    """The file's bytes as UTF-8 without byte-order mark."""
    data = _bytes(path)
    for encoding in layout.encodings:
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        return data.removeprefix(b"\xef\xbb\xbf") if encoding == "utf-8" else text.encode()
    progress.note(f"{path} is not {layout.encodings[-1]}: bytes that can't be decoded were replaced by U+FFFD")
    return data.decode(layout.encodings[-1], "replace").encode()


def _bytes(path: Path) -> bytes:
    try:
        return gzip.decompress(path.read_bytes()) if path.name.endswith(".gz") else path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise _damaged(path, error) from None


def _lines(path: Path) -> Iterator[str]:
    opener = gzip.open if path.name.endswith(".gz") else open
    try:
        with opener(path, "rt", encoding="utf-8", errors="replace") as file:
            yield from file
    except (OSError, EOFError, zlib.error) as error:
        raise _damaged(path, error) from None


def _kind(path: Path) -> str:
    name = path.name.removesuffix(".gz")
    if name.endswith(".parquet"):
        return "parquet"
    return "jsonl" if name.endswith((".jsonl", ".json")) else "delimited"


def _layout_of(path: Path) -> Layout:
    return TSV if path.name.removesuffix(".gz").endswith(".tsv") else CSV


def _untyped(name: str, layout: Layout) -> str:
    return name.partition(":")[0] if layout.typed_header else name


def _damaged(path: Path, error: Exception) -> DataError:
    return DataError(f"{path} can't be read: {error}. The file is damaged or not of its ending's kind; fetch it again.")


def mapped(names: Sequence[str], mapping: Mapping[str, str], table: str) -> dict[str, str]:
    """Our names to the file's: `mapping` may hold a name for all tables, or for one as `items.title`."""
    return {name: mapping.get(f"{table}.{name}", mapping.get(name, name)) for name in names}
