"""Checks the CSV file before anything runs: errors with line and column instead of a failed Beam job.

The schema says which columns are required and of which type; others are allowed and may hold anything. What needs
statistics (ranges, missing values, unknown categories) is left to ExampleValidator.
"""

from __future__ import annotations

import dataclasses
import stat
from collections.abc import Iterable, Sequence
from pathlib import Path

from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2

from tfx_pipeline.data import csv_records
from tfx_pipeline.data.csv_records import RecordError, Type
from tfx_pipeline.errors import DataError

MIN_ROWS = 100  # With 8:1:1 by hash, fewer rows leave the eval or the test split all but empty.

_TYPES = {schema_pb2.INT: Type.INT, schema_pb2.FLOAT: Type.FLOAT, schema_pb2.BYTES: Type.TEXT}
# CsvExampleGen decompresses by the file's name, and then its two readers do not agree on the content.
_COMPRESSED = (".bz2", ".deflate", ".gz", ".zst", ".zstd", ".xz", ".lzma")
_SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "bars"}


@dataclasses.dataclass(frozen=True)
class Column:
    """A column of the schema; one that is not needed may be missing."""

    name: str
    type: Type
    needed: bool = True


@dataclasses.dataclass(frozen=True)
class Contents:
    """The content of a readable file: its number of rows, and the columns that the schema does not have."""

    rows: int
    unread: tuple[str, ...]


def columns_of(schema_path: Path) -> tuple[Column, ...]:
    """The columns of a schema in text format, in its order."""
    schema = text_format.Parse(schema_path.read_text(encoding="utf-8"), schema_pb2.Schema())
    return tuple(
        Column(feature.name, _TYPES[feature.type], feature.presence.min_fraction > 0 or feature.presence.min_count > 0)
        for feature in schema.feature
    )


def check(path: Path, columns: Sequence[Column]) -> Contents:
    """Reads and checks the whole file.

    Args:
      path: of the file.
      columns: of the schema, see `columns_of`.

    Raises:
      DataError: the file is missing, not a regular file, not readable, empty, not UTF-8, lacks a required column, has a
        line that TFX would not read or would misread, another type than the schema's, or too few rows. The message says
        where.
    """
    try:
        if trouble := _kind_trouble(path.stat().st_mode):
            raise DataError(f"{path}: {trouble} (DATA)")
        with path.open("rb") as file:
            return check_lines(str(path), file, columns)
    except FileNotFoundError:
        raise DataError(f"{path}: there is no such file (DATA)") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror} (DATA)") from None


def _kind_trouble(mode: int) -> str | None:
    """What is wrong with a file of this mode, or None. Only a regular file is opened: opening others may block."""
    if stat.S_ISREG(mode):
        return None
    if stat.S_ISDIR(mode):
        return "is a folder; give the file"
    what = "is a pipe" if stat.S_ISFIFO(mode) else "is no regular file"
    return (
        f"{what}, and a run reads its data more than once; write it to a file first (zcat … > trips.csv) and give that"
    )


def check_lines(name: str, lines: Iterable[bytes], columns: Sequence[Column]) -> Contents:
    """Like `check`, for the lines of a file with this name, each with its LF.

    Args:
      name: of the file, for messages.
      lines: of the file.
      columns: of the schema.
    """
    if name.lower().endswith(_COMPRESSED):
        raise DataError(f"{name}: is compressed, by its name; unpack it (DATA)")
    try:
        return _check(name, iter(lines), columns)
    except RecordError as error:
        raise DataError(f"{name}, line {error.line}: {error}") from None


def _check(name: str, lines: Iterable[bytes], columns: Sequence[Column]) -> Contents:
    source = iter(lines)
    header = csv_records.header(next(source, b""))
    if not header:
        raise DataError(f"{name}: is empty; the first line must name the columns: {_listed(c.name for c in columns)}")
    _check_header(name, header, columns)
    known = {column.name: column for column in columns}
    readers = [(place, _Reader(known[title])) for place, title in enumerate(header) if title in known]
    rows = 0
    for record in csv_records.records(source):
        rows += 1
        cells = record.cells
        if len(cells) != len(header):
            raise RecordError(record.line, f"has {len(cells)} fields, but the header names {len(header)} columns")
        if not any(cells):
            raise RecordError(record.line, "has no values; remove it")
        for place, reader in readers:
            if wrong := reader.read(cells[place]):
                raise DataError(f"{name}, line {record.line}, column '{header[place]}': {cells[place]!r} {wrong}")
    if not rows:
        raise DataError(f"{name}: has a header, but no rows")
    if rows < MIN_ROWS:
        raise DataError(f"{name}: has only {rows} rows; at least {MIN_ROWS} are needed, so that each split gets some")
    for place, reader in readers:
        if complaint := reader.complaint():
            raise DataError(f"{name}, column '{header[place]}': {complaint}")
    return Contents(rows, tuple(title for title in header if title not in known))


def _check_header(name: str, header: Sequence[str], columns: Sequence[Column]) -> None:
    if missing := [column.name for column in columns if column.needed and column.name not in header]:
        words = next((words for sign, words in _SEPARATORS.items() if len(header) == 1 and sign in header[0]), None)
        hint = f"; it is separated by {words}, and commas are needed" if words else ""
        raise DataError(
            f"{name}: lacks the column{'s' if len(missing) > 1 else ''} {_listed(missing)}; its header has "
            f"{_listed(header)}{hint}"
        )
    if twice := sorted({column.name for column in columns if header.count(column.name) > 1}):
        raise DataError(f"{name}: names a column twice: {_listed(twice)}")


class _Reader:
    """Reads the cells of one column; remembers what CsvExampleGen will infer from all of them."""

    def __init__(self, column: Column) -> None:
        self._column = column
        self._wanted = column.type
        self._found = Type.MISSING

    def read(self, cell: str) -> str | None:
        """Reads a cell; returns what is wrong with it, or None. An empty cell is a missing value, which is allowed."""
        if self._found is Type.TEXT:
            return None
        found = csv_records.type_of(cell)
        if found > self._found:
            self._found = found
        return csv_records.trouble(cell, found, self._wanted)

    def complaint(self) -> str | None:
        """What is wrong with the column as a whole, or None. CsvExampleGen infers a type from all cells together."""
        if self._found is Type.MISSING:
            return "has no values at all" if self._column.needed else None
        if self._wanted is Type.FLOAT and self._found is Type.INT:
            return "holds only whole numbers and would be read as such; write them with a decimal point, 12.0 for 12"
        if self._wanted is Type.TEXT and self._found is not Type.TEXT:
            return "holds only numbers and would be read as such, but the schema asks for text ('na' for an unknown id)"
        return None


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)
