"""The records of a CSV file as TFX 1.15.1's CsvExampleGen reads them; what it would misread is an error with its line.

CsvExampleGen splits the header at commas, keeping quotes. Below it, it joins lines until the number of quotes is even,
and gives each such record to a csv.reader of Python's, which is given the same record again if a quote is still open at
its end. A cell's type is what `int` and `float` make of its bytes.
"""

from __future__ import annotations

import csv
import dataclasses
import enum
import math
from collections.abc import Iterable, Iterator

from tfx_pipeline.errors import DataError

_INT64 = 2**63
_FLOAT32_MAX = float.fromhex("0x1.fffffep+127")


class Type(enum.IntEnum):
    """The type that CsvExampleGen assigns to a cell. A column has the largest type of its cells."""

    MISSING = 0
    INT = 1
    FLOAT = 2
    TEXT = 3


@dataclasses.dataclass(frozen=True)
class Record:
    """A row: the number of its first line in the file, from 1, and its cells; rows without cells are left out."""

    line: int
    cells: list[str]


class RecordError(DataError):
    """A line that cannot be read, or that CsvExampleGen would misread.

    Attributes:
      line: its number, from 1.
    """

    def __init__(self, line: int, what: str) -> None:
        """`what` continues the message after the file's name and the line number."""
        super().__init__(what)
        self.line = line


def header(line: bytes) -> list[str]:
    """The names of the columns, from the first line.

    Raises:
      RecordError: the line is not UTF-8, begins with a byte order mark, has quotes, or all lines end in CR alone.
    """
    text = _decoded(1, line)
    if text.startswith("\ufeff"):
        raise RecordError(
            1,
            "begins with a byte order mark, as Excel's 'CSV UTF-8' does, which would become a part of the first "
            "column's name; save it as UTF-8 without one",
        )
    text = text.strip()
    if "\r" in text:
        raise RecordError(
            1, "ends in a CR alone, as old Macs write, and so the file would be one line; write LF or CRLF"
        )
    if '"' in text:
        raise RecordError(
            1,
            "has quotes, which would become parts of the columns' names; write the header without (in R: "
            "write.csv(…, quote = FALSE))",
        )
    return text.split(",") if text else []


def records(lines: Iterable[bytes]) -> Iterator[Record]:
    """The records below the header.

    Args:
      lines: those after the first, each with its LF.

    Raises:
      RecordError: a record cannot be read, or CsvExampleGen would misread it.
    """
    source = _Once()
    reader = csv.reader(source)
    parts: list[str] = []
    quotes, first = 0, 2
    for number, line in enumerate(lines, start=2):
        if not parts:
            first = number
        parts.append(_decoded(number, line))
        quotes += line.count(b'"')
        if quotes % 2 == 0:
            source.text = parts[0] if len(parts) == 1 else "".join(parts)
            try:
                cells = next(reader)
            except _StillOpen:
                raise RecordError(first, "has a quote that opens a cell and is never closed") from None
            except csv.Error as error:
                raise RecordError(first, _csv_trouble(error, len(parts))) from None
            if cells:
                yield Record(first, cells)
            parts, quotes = [], 0
    if parts:
        raise RecordError(
            first,
            "has an odd number of quotes, and so has the rest of the file; write a quote inside of a cell twice, "
            'within quotes: "5"" pipe"',
        )


def type_of(cell: str) -> Type:
    """The type that CsvExampleGen assigns: NaN, infinity and `1_000` are numbers, digits other than 0-9 are text."""
    if not cell:
        return Type.MISSING
    raw = cell.encode()
    if b"." not in raw:
        try:
            return Type.INT if -_INT64 <= int(raw) < _INT64 else Type.TEXT
        except ValueError:
            pass
    try:
        float(raw)
    except ValueError:
        return Type.TEXT
    return Type.FLOAT


def trouble(cell: str, found: Type, wanted: Type) -> str | None:
    """What is wrong with a cell of type `found` in a column that should have type `wanted`, or None.

    Missing values are always accepted here, and text may be anything.
    """
    if wanted is Type.TEXT or found is Type.MISSING:
        return None
    if found is Type.TEXT:
        return "has more digits than a 64-bit integer" if _is_whole(cell) else "is not a number"
    if "_" in cell:
        return "has an underscore between its digits"
    if wanted is Type.INT:
        return None if found is Type.INT else "is not a whole number"
    if not math.isfinite(value := float(cell)):
        return "is not a finite number"
    return "is larger than a 32-bit float can be" if abs(value) > _FLOAT32_MAX else None


class _Once:
    """An iterator that yields `text` once each time it is set, and raises `_StillOpen` if asked again before."""

    text: str | None = None

    def __iter__(self) -> _Once:
        return self

    def __next__(self) -> str:
        text, self.text = self.text, None
        if text is None:
            raise _StillOpen
        return text


class _StillOpen(Exception):
    """The reader needs another line for the record."""


def _decoded(number: int, line: bytes) -> str:
    try:
        return line.decode()
    except UnicodeDecodeError as error:
        raise RecordError(number, f"is not UTF-8 text: {error.reason} at its byte {error.start + 1}") from None


def _csv_trouble(error: csv.Error, lines: int) -> str:
    if "new-line character" in str(error):
        if lines > 1:
            return (
                "has an odd number of quotes, and none of them begins a cell; write a quote inside of a cell twice, "
                'within quotes: "5"" pipe"'
            )
        return "has a CR in the middle; write LF or CRLF at the end of each line"
    return f"cannot be read as CSV: {error}"


def _is_whole(cell: str) -> bool:
    try:
        int(cell.encode())
    except ValueError:
        return False
    return True
