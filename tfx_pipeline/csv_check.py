"""A look at the CSV file before anything runs: errors with line and column instead of a failed Beam job.

The schema says which columns there must be and of which kind. What needs statistics (ranges, missing values, unknown
categories) is left to ExampleValidator.
"""

from __future__ import annotations

import csv
import dataclasses
import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2

from tfx_pipeline.errors import DataError

MIN_ROWS = 100  # With 8:1:1 by hash, fewer rows leave the eval or the test split all but empty.
_INT64 = 2**63


@dataclasses.dataclass(frozen=True)
class Column:
    """A column that the schema asks for. `kind` is a value of tensorflow_metadata's FeatureType."""

    name: str
    kind: int


def columns_of(schema_path: Path) -> tuple[Column, ...]:
    """The columns of a schema in text format, in its order."""
    schema = text_format.Parse(schema_path.read_text(encoding="utf-8"), schema_pb2.Schema())
    return tuple(Column(feature.name, feature.type) for feature in schema.feature)


def check(path: Path, columns: Sequence[Column]) -> int:
    """Reads the whole file and returns its number of rows.

    Raises:
      DataError: no such file, not readable, empty, not UTF-8, other columns than asked for, a row of another length,
        text in a column of numbers, or too few rows. The message says where.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            if file.read(1) == "\ufeff":
                raise DataError(
                    f"{path}: begins with a byte order mark, as Excel's 'CSV UTF-8' does, which would become a "
                    "part of the first column's name; save it as UTF-8 without one"
                )
            file.seek(0)
            return _check_rows(path, csv.reader(file), columns)
    except FileNotFoundError:
        raise DataError(f"{path}: there is no such file (DATA)") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: is not UTF-8 text: {error.reason} at byte {error.start} of a block") from None
    except csv.Error as error:
        raise DataError(f"{path}: is not a CSV file: {error}") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror} (DATA)") from None


def _check_rows(path: Path, rows: Iterator[list[str]], columns: Sequence[Column]) -> int:
    header = next(rows, None)
    if not header:
        raise DataError(f"{path}: is empty; the first line must name the columns: {_listed(c.name for c in columns)}")
    _check_header(path, header, columns)
    kinds = {column.name: column.kind for column in columns}
    readers = [(position, name, _Reader(kinds[name])) for position, name in enumerate(header)]
    count = 0
    for row in rows:
        if not row:
            continue
        count += 1
        if len(row) != len(header):
            raise DataError(f"{path}, {_line(rows)}: has {len(row)} fields, but the header names {len(header)} columns")
        for position, name, reader in readers:
            wrong = reader.read(row[position])
            if wrong:
                raise DataError(f"{path}, {_line(rows)}, column '{name}': {row[position]!r} {wrong}")
    if not count:
        raise DataError(f"{path}: has a header, but no rows")
    if count < MIN_ROWS:
        raise DataError(f"{path}: has only {count} rows; at least {MIN_ROWS} are needed, so that each split gets some")
    for _, name, reader in readers:
        if reader.complaint():
            raise DataError(f"{path}, column '{name}': {reader.complaint()}")
    return count


def _check_header(path: Path, header: Sequence[str], columns: Sequence[Column]) -> None:
    wanted = {column.name for column in columns}
    missing = [column.name for column in columns if column.name not in header]
    if missing:
        raise DataError(
            f"{path}: lacks the column{'s' if len(missing) > 1 else ''} {_listed(missing)}; its header has "
            f"{_listed(header)}"
        )
    if unknown := [name for name in header if name not in wanted]:
        raise DataError(f"{path}: has columns that the schema does not know: {_listed(unknown)}; remove them")
    if len(set(header)) < len(header):
        raise DataError(f"{path}: names a column twice: {_listed(sorted({n for n in header if header.count(n) > 1}))}")


class _Reader:
    """Reads the cells of one column; remembers what CsvExampleGen will infer from all of them."""

    def __init__(self, kind: int) -> None:
        self._kind = kind
        self._all_numbers = True
        self._all_whole = True
        self._any = False

    def read(self, cell: str) -> str | None:
        """Takes a cell; returns what is wrong with it, or None. An empty cell is a missing value, which may be."""
        if not cell:
            return None
        self._any = True
        if self._kind == schema_pb2.BYTES:
            if self._all_numbers:
                self._all_numbers = _number(cell) is not None
            return None
        value = _number(cell)
        if value is None:
            return "is not a number"
        if not math.isfinite(value):
            return "is not a finite number"
        whole = _is_whole(cell)
        if self._kind == schema_pb2.INT and not whole:
            return "is not a whole number"
        self._all_whole = self._all_whole and whole
        return None

    def complaint(self) -> str | None:
        """What is wrong with the column as a whole, or None. CsvExampleGen infers a type from all cells together."""
        if not self._any:
            return "has no values at all"
        if self._kind == schema_pb2.FLOAT and self._all_whole:
            return "holds only whole numbers and would be read as such; write them with a decimal point, 12.0 for 12"
        if self._kind == schema_pb2.BYTES and self._all_numbers:
            return "holds only numbers and would be read as such, but the schema asks for text ('na' for an unknown id)"
        return None


def _number(cell: str) -> float | None:
    # Python would take the underscores in 1_000, CsvExampleGen would not.
    if "_" in cell:
        return None
    try:
        return float(cell)
    except ValueError:
        return None


def _is_whole(cell: str) -> bool:
    try:
        return -_INT64 <= int(cell) < _INT64
    except ValueError:
        return False


def _line(rows: Iterator[list[str]]) -> str:
    # The reader counts lines of the file, which is what an editor shows.
    return f"line {getattr(rows, 'line_num', '?')}"


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)
