"""Refusals of CSV files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tfx_pipeline.data import csv_check
from tfx_pipeline.data.csv_check import Column, Contents
from tfx_pipeline.data.csv_records import Type
from tfx_pipeline.errors import DataError, ExitCode
from tfx_pipeline.settings import load

COLUMNS = (
    Column("duration", Type.INT),
    Column("temp", Type.FLOAT),
    Column("bike_id", Type.TEXT),
)
HEADER = "duration,temp,bike_id"
ROW = "600,54.5,na"


def write(folder: Path, *lines: str, rows: int = csv_check.MIN_ROWS) -> Path:
    path = folder / "trips.csv"
    path.write_text("\n".join([*lines, *[ROW] * rows]) + "\n", encoding="utf-8")
    return path


def refused(path: Path) -> str:
    with pytest.raises(DataError) as raised:
        csv_check.check(path, COLUMNS)
    assert raised.value.exit_code == ExitCode.USAGE
    return str(raised.value)


def test_good_file_gives_its_number_of_rows(tmp_path: Path) -> None:
    assert csv_check.check(write(tmp_path, HEADER, "1,2.5,", ",,na"), COLUMNS) == Contents(csv_check.MIN_ROWS + 2, ())


def test_columns_may_come_in_another_order(tmp_path: Path) -> None:
    path = tmp_path / "trips.csv"
    path.write_text("bike_id,temp,duration\n" + "na,54.5,600\n" * csv_check.MIN_ROWS, encoding="utf-8")
    assert csv_check.check(path, COLUMNS).rows == csv_check.MIN_ROWS


def test_quoted_line_breaks_are_one_row(tmp_path: Path) -> None:
    assert csv_check.check(write(tmp_path, HEADER, '600,54.5,"n\na"'), COLUMNS).rows == csv_check.MIN_ROWS + 1


@pytest.mark.parametrize(
    ("lines", "rows", "expected"),
    [
        ((), 0, "is empty"),
        ((HEADER,), 0, "has a header, but no rows"),
        ((HEADER,), 12, "has only 12 rows"),
        (("duration,bike_id",), 0, "lacks the column 'temp'"),
        (("duration",), 0, "lacks the columns 'temp', 'bike_id'"),
        (("duration;temp;bike_id",), 0, "separated by semicolons, and commas are needed"),
        ((HEADER + ",temp",), 0, "names a column twice: 'temp'"),
        ((HEADER, "600,54.5"), 200, "line 2: has 2 fields, but the header names 3"),
        ((HEADER, ROW, "600,warm,na"), 200, "line 3, column 'temp': 'warm' is not a number"),
        ((HEADER, ROW, "600,nan,na"), 200, "line 3, column 'temp': 'nan' is not a finite number"),
        ((HEADER, "1_000,54.5,na"), 200, "line 2, column 'duration': '1_000' has an underscore"),
        ((HEADER, "600.5,54.5,na"), 200, "line 2, column 'duration': '600.5' is not a whole number"),
    ],
)
def test_refusals_say_where_and_why(tmp_path: Path, lines: tuple[str, ...], rows: int, expected: str) -> None:
    path = write(tmp_path, *lines, rows=rows)
    if not lines:
        path.write_text("")
    message = refused(path)
    assert expected in message
    assert str(path) in message


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ("600,54,na\n", "column 'temp': holds only whole numbers"),
        ("600,54.5,17\n", "column 'bike_id': holds only numbers"),
        ("600,,na\n", "column 'temp': has no values at all"),
    ],
)
def test_columns_that_would_be_read_as_another_type(tmp_path: Path, row: str, expected: str) -> None:
    path = tmp_path / "trips.csv"
    path.write_text(f"{HEADER}\n" + row * csv_check.MIN_ROWS)
    assert expected in refused(path)


def test_what_the_schema_does_not_have_may_be_anything(tmp_path: Path) -> None:
    path = tmp_path / "trips.csv"
    rows = [f'{number or ""},"x, {number}",600,54.5,na,{number}' for number in range(csv_check.MIN_ROWS)]
    path.write_text("\n".join([",note,duration,temp,bike_id,note", *rows]), encoding="utf-8")
    assert csv_check.check(path, COLUMNS) == Contents(csv_check.MIN_ROWS, ("", "note", "note"))


def test_a_column_that_may_be_missing_may_be_absent_or_empty(tmp_path: Path) -> None:
    columns = (*COLUMNS, Column("colour", Type.TEXT, needed=False))
    assert csv_check.check(write(tmp_path, HEADER), columns).rows == csv_check.MIN_ROWS
    path = tmp_path / "trips.csv"
    path.write_text(f"{HEADER},colour\n" + f"{ROW},\n" * csv_check.MIN_ROWS, encoding="utf-8")
    assert csv_check.check(path, columns) == Contents(csv_check.MIN_ROWS, ())


def test_no_file_a_folder_and_a_compressed_one(tmp_path: Path) -> None:
    assert "there is no such file" in refused(tmp_path / "absent.csv")
    assert "is a folder; give the file" in refused(tmp_path)
    (tmp_path / "trips.csv.GZ").write_text("plain after all")
    assert "is compressed" in refused(tmp_path / "trips.csv.GZ")


def test_a_pipe_is_refused_before_anything_is_taken_out_of_it(tmp_path: Path) -> None:
    fifo = tmp_path / "trips.csv"
    os.mkfifo(fifo)
    assert "is a pipe, and a run reads its data more than once; write it to a file first" in refused(fifo)
    text = f"{HEADER}\n".encode() + f"{ROW}\n".encode() * csv_check.MIN_ROWS
    reading, writing = os.pipe()
    try:
        os.write(writing, text)
        assert "write it to a file first" in refused(Path(f"/dev/fd/{reading}"))  # As a shell gives <(zcat …).
        assert os.read(reading, 2 * len(text)) == text
    finally:
        os.close(reading)
        os.close(writing)


def test_what_is_no_file_at_all_is_refused(tmp_path: Path) -> None:
    assert "is no regular file" in refused(Path("/dev/zero"))


def test_columns_come_from_the_schema_of_the_model() -> None:
    columns = csv_check.columns_of(load({}).schema_path)
    assert all(column.needed for column in columns)
    assert {Column("duration", Type.INT), Column("loc_cross", Type.TEXT), Column("ts", Type.FLOAT)} < set(columns)
