"""Odd CSV files: each is read by CsvExampleGen as pandas reads it, or refused before with the line."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path

import hypothesis
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from hypothesis import example, given
from hypothesis import strategies as st
from tfx.components.example_gen.csv_example_gen import executor as csv_example_gen
from tfx.utils import io_utils
from tfx_bsl.coders import csv_decoder

from tfx_pipeline.data import csv_check
from tfx_pipeline.data.csv_check import Column
from tfx_pipeline.data.csv_records import Type
from tfx_pipeline.errors import DataError

COLUMNS = (Column("n", Type.INT), Column("x", Type.FLOAT), Column("s", Type.TEXT))
HEADER = "n,x,s"
GOOD = [f"{number},{number}.5,t{number}" for number in range(csv_check.MIN_ROWS)]
ROW = "1000,0.5,text"


def lines(*odd: str, header: str = HEADER, end: str = "\n") -> bytes:
    """A file with some odd lines, from line 2 on, before the good ones."""
    return (end.join([header, *odd, *GOOD]) + end).encode()


READ: Mapping[str, bytes] = {
    "plain": lines(),
    "CRLF": lines(end="\r\n"),
    "CRLF in some lines": lines("1000,0.5,text\r", "1001,0.5,text"),
    "no line end at the end": lines().rstrip(b"\n"),
    "blank lines": lines("", ROW, "", ""),
    "blank lines with CRLF": lines("", ROW, "", end="\r\n"),
    "blank lines at the end": lines() + b"\n\n\r\n",
    "missing values": lines("1000,,text", "1001,0.5,", ",0.5,text", "1003,,"),
    "quoted text": lines('1000,0.5,"text"'),
    "quoted numbers": lines('"1000","0.5",text'),
    "quoted and empty": lines('1000,"",""'),
    "quoted comma": lines('1000,0.5,"text, more, and more"'),
    "quoted line end": lines('1000,0.5,"two\nlines"'),
    "quoted line ends, several": lines('1000,0.5,"\n\nthree\n"', ROW.replace("1000", "1001")),
    "quoted line that looks like a row": lines(f'1000,0.5,"\n{ROW}\n"'),
    "doubled quotes": lines('1000,0.5,"a ""b"" c"'),
    "doubled quotes alone": lines('1000,0.5,""""'),
    "doubled quotes and a line end": lines('1000,0.5,"a ""b\n c"""'),
    "text after a quote": lines('1000,0.5,"text"more'),
    "space after a quote": lines('1000,0.5,"text" '),
    "space before a quote": lines('1000,0.5, "text"'),
    "pairs of quotes within a cell": lines('1000,0.5,5" by 6"'),
    "apostrophes": lines("1000,0.5,'tis 'quoted'"),
    "backslashes": lines(r"1000,0.5,a\b\,", r"1001,0.5,\n").replace(b"\\,", b"\\"),
    "spaces around text": lines("1000,0.5,  text  "),
    "tabs in text": lines("1000,0.5,a\tb\t"),
    "spaces around numbers": lines(" 1000 , 0.5 ,text"),
    "signs": lines("+1000,-0.5,text", "-1001,+0.5,text", "1002,-0.0,text"),
    "points at an end": lines("1000,.5,text", "1001,5.,text"),
    "exponents": lines("1000,1e5,text", "1001,-1.5E-3,text", "1002,1e-60,text"),
    "whole numbers among others": lines("1000,7,text"),
    "leading zeros": lines("0001000,007.50,text"),
    "many digits": lines("9223372036854775807,0.1234567890123456789,text", "-9223372036854775808,1,text"),
    "words for missing values": lines("1000,0.5,NA", "1001,0.5,null", "1002,0.5,NaN", "1003,0.5,None", "1004,0.5,nan"),
    "numbers in a column of text": lines("1000,0.5,17", "1001,0.5,1_000", "1002,0.5,1e5"),
    "a hash at the start": lines("1000,0.5,#text").replace(b"n,x,s", b"n,x,s"),
    "letters of other alphabets": lines("1000,0.5,Straße 日本語 😀 \u0661\u0662"),
    "line ends of other kinds in text": lines("1000,0.5,a\u2028b\u0085c\x0bd\x0ce\x1cf"),
    "a long text": lines(f"1000,0.5,{'long ' * 20_000}"),
    "another order": lines("text,1000,0.5", header="s,n,x").replace(
        "\n".join(GOOD).encode(), "\n".join(f"t,{number},0.5" for number in range(csv_check.MIN_ROWS)).encode()
    ),
    "spaces around the header": lines(ROW, header=f"  {HEADER} "),
    "columns that nobody reads": "\n".join(
        [
            "id,n,empty,x,s,mixed,1.5",
            *(f'{number},{number},,{number}.5,t,{"" if number % 2 else "a"},"{number}"' for number in range(100)),
        ]
    ).encode(),
}

REFUSED: Mapping[str, tuple[bytes, str]] = {
    "quoted header": (lines(header='"n","x","s"'), "line 1: has quotes"),
    "byte order mark": (b"\xef\xbb\xbf" + lines(), "line 1: begins with a byte order mark"),
    "UTF-16": (lines().decode().encode("utf-16"), "line 1: is not UTF-8 text"),
    "Latin-1": (lines("1000,0.5,Stra\u00dfe").decode().encode("latin-1"), "line 2: is not UTF-8 text"),
    "CR": (lines(end="\r"), "line 1: ends in a CR alone"),
    "CR in some lines": (lines(f"{ROW}\r{ROW}"), "line 2: has a CR in the middle"),
    "CR below the header": (lines() + b"\r".join([b"1,0.5,t"] * 3), "line 102: has a CR in the middle"),
    "stray quote": (lines(ROW, '1001,0.5,5" pipe'), "line 3: has an odd number of quotes"),
    "two stray quotes": (lines('1001,0.5,5" pipe', ROW, '1001,0.5,5" pipe'), "line 2: has an odd number of quotes"),
    "stray quote at the start": (lines('1000,0.5,"text'), "line 2: has an odd number of quotes"),
    "quote that is open at the end": (lines() + b'1000,0.5,"text', "line 102: has an odd number of quotes"),
    "quote that is open in spite of another": (lines('1000,0.5"5,"text'), "line 2: has a quote that opens a cell"),
    "NUL": (lines("1000,0.5,te\0xt"), "line 2: cannot be read as CSV: line contains NUL"),
    "a text too long": (lines(f"1000,0.5,{'x' * 131_073}"), "line 2: cannot be read as CSV: field larger than"),
    "too few cells": (lines("1000,0.5"), "line 2: has 2 fields, but the header names 3"),
    "too many cells": (lines("1000,0.5,a,b"), "line 2: has 4 fields, but the header names 3"),
    "a comma at the end": (lines(f"{ROW},"), "line 2: has 4 fields, but the header names 3"),
    "a line of spaces": (lines("  "), "line 2: has 1 fields, but the header names 3"),
    "commas": (lines(ROW, ",,", ROW), "line 3: has no values"),
    "quotes and commas": (lines('"","",""'), "line 2: has no values"),
    "semicolons": (lines().replace(b",", b";"), "lacks the columns 'n', 'x', 's'.*separated by semicolons"),
    "tabs": (lines().replace(b",", b"\t"), "separated by tabs"),
    "no header": (lines().partition(b"\n")[2], "lacks the columns"),
    "a space in the header": (lines(header="n, x,s"), "lacks the column 'x'"),
    "a name twice": (lines(header="n,x,s,n"), "names a column twice: 'n'"),
    "no rows": (b"n,x,s\n\n", "has a header, but no rows"),
    "nothing": (b"", "is empty"),
    "underscore in a whole number": (lines("1_000,0.5,text"), "line 2, column 'n': '1_000' has an underscore"),
    "underscore in a number": (lines("1000,1_0.5,text"), "line 2, column 'x': '1_0.5' has an underscore"),
    "thousands": (lines('"1,000",0.5,text'), "line 2, column 'n': '1,000' is not a number"),
    "Arabic digits": (lines("\u0661\u0662,0.5,text"), "line 2, column 'n': '\u0661\u0662' is not a number"),
    "wide digits": (lines("1000,\uff11.5,text"), "line 2, column 'x': '\uff11.5' is not a number"),
    "no-break space": (lines("1000,\u00a00.5,text"), "line 2, column 'x': .* is not a number"),
    "a decimal comma": (lines('1000,"0,5",text'), "line 2, column 'x': '0,5' is not a number"),
    "not a number": (lines("1000,NaN,text"), "line 2, column 'x': 'NaN' is not a finite number"),
    "infinity": (lines("1000,-inf,text"), "line 2, column 'x': '-inf' is not a finite number"),
    "NA in a column of numbers": (lines("1000,NA,text"), "line 2, column 'x': 'NA' is not a number"),
    "too large for a 32-bit float": (lines("1000,1e39,text"), "line 2, column 'x': '1e39' is larger"),
    "too large for a 64-bit integer": (lines("9223372036854775808,0.5,text"), "line 2, column 'n': .* more digits"),
    "too many digits without a point": (lines(f"1000,{'9' * 20},text"), "line 2, column 'x': .* more digits"),
    "a fraction in a column of integers": (lines("1000.0,0.5,text"), "line 2, column 'n': '1000.0' is not a whole"),
    "whole numbers alone": (b"n,x,s\n" + b"1,2,t\n" * 100, "column 'x': holds only whole numbers"),
    "numbers for text": (b"n,x,s\n" + b"1,2.5,1_000\n" * 100, "column 's': holds only numbers"),
    "an empty column": (b"n,x,s\n" + b"1,2.5,\n" * 100, "column 's': has no values at all"),
}


def read_by_tfx(path: Path) -> list[tf.train.Example]:
    """What CsvExampleGen makes of a file: the parts of its Beam pipeline, in their order and without Beam."""
    parse = csv_decoder.ParseCSVLine(",")
    parse.setup()
    lines_read = csv_example_gen._ReadCsvRecordsFromTextFile().process(str(path))
    parsed = [cells for line in lines_read for cells, _ in parse.process(line)]
    infer = csv_decoder.ColumnTypeInferrer(io_utils.load_csv_column_names(str(path)), skip_blank_lines=True)
    found = infer.create_accumulator()
    for cells in parsed:
        found = infer.add_input(found, cells)
    types = infer.extract_output(found)
    convert = csv_example_gen._ParsedCsvToTfExample()
    return [example for cells in parsed for example in convert.process(cells, types)]


def of_examples(found: list[tf.train.Example]) -> list[tuple[object, ...]]:
    """The cells of the columns that the schema has, a row each."""

    def cell(feature: tf.train.Feature, column: Column) -> object:
        values = {
            Type.INT: feature.int64_list.value,
            Type.FLOAT: feature.float_list.value,
            Type.TEXT: [value.decode() for value in feature.bytes_list.value],
        }[column.type]
        return values[0] if values else None

    return [tuple(cell(one.features.feature[column.name], column) for column in COLUMNS) for one in found]


def of_pandas(path: Path) -> list[tuple[object, ...]]:
    """The same as pandas reads it: an empty cell is a missing value, no word is; numbers are of a tf.Example's size."""
    table = pd.read_csv(
        path,
        dtype={"n": "Int64", "s": str},
        keep_default_na=False,
        na_values=[""],
        float_precision="round_trip",
        skipinitialspace=False,
    )
    table.columns = [name.strip() for name in table.columns]
    rows: list[tuple[object, ...]] = []
    for n, x, s in zip(table["n"], table["x"], table["s"], strict=True):
        text = None if isinstance(s, float) else s
        rows.append((None if n is pd.NA else int(n), None if math.isnan(x) else float(np.float32(x)), text))
    return rows


@pytest.mark.parametrize("name", READ)
def test_what_is_let_through_is_read_as_pandas_reads_it(name: str, tmp_path: Path) -> None:
    path = tmp_path / "odd.csv"
    path.write_bytes(READ[name])
    expected = of_pandas(path)
    assert csv_check.check(path, COLUMNS).rows == len(expected)
    assert of_examples(read_by_tfx(path)) == expected


@pytest.mark.parametrize("name", REFUSED)
def test_all_else_is_refused_with_the_line(name: str, tmp_path: Path) -> None:
    content, told = REFUSED[name]
    path = tmp_path / "odd.csv"
    path.write_bytes(content)
    with pytest.raises(DataError) as raised:
        csv_check.check(path, COLUMNS)
    assert re.search(told, str(raised.value), re.DOTALL), raised.value
    assert str(path) in str(raised.value)


@given(
    start=st.sampled_from(["", "1000,0.5,", "1000,0.5,a\n"]),
    odd=st.text(st.sampled_from('"",,\n\r a1.-e_\u00e9\t0\'\\#'), max_size=14),
)
@example(start="1000,0.5,", odd='a"b,"\n"')
@hypothesis.settings(max_examples=200)
def test_whatever_is_let_through_is_read_as_pandas_reads_it(
    start: str, odd: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "whatever.csv"
    path.write_bytes(lines(start + odd))
    try:
        rows = csv_check.check(path, COLUMNS).rows
    except DataError:
        return
    expected = of_pandas(path)
    assert of_examples(read_by_tfx(path)) == expected
    assert rows == len(expected)
