"""Messages made of errors."""

from __future__ import annotations

import os
import tracemalloc

import pytest

from custom_components.distributed_tuner.errors import MAX_CHARACTERS, describe, printable, storable


class _Unprintable(ValueError):
    def __str__(self) -> str:
        raise RuntimeError("no text")


@pytest.mark.parametrize("text", ["", "plain", "caf\u00e9 \U0001f600", "two\nlines"])
def test_text_stays_as_it_is(text: str) -> None:
    assert printable(text) == text


def test_what_no_encoding_knows_is_written_out() -> None:
    name = os.fsdecode(b"caf\xe9.csv")
    with pytest.raises(UnicodeEncodeError):
        name.encode()
    assert printable(name) == r"caf\udce9.csv"
    assert describe(OSError(name)) == r"OSError: caf\udce9.csv"


def test_an_error_without_a_text_has_its_type() -> None:
    assert describe(_Unprintable()) == "_Unprintable: (its text cannot be had)"


def test_a_message_that_nobody_would_read_whole_has_both_its_ends() -> None:
    short = storable("begin" + "\udc80" * 10_000_000 + "end")
    assert len(short) <= MAX_CHARACTERS and short.startswith("begin\\udc80") and short.endswith("\\udc80end")
    assert "[9,985,008 characters are left out here]" in short
    assert storable(f"it said: {short}") == f"it said: {short}"
    assert storable("x" * MAX_CHARACTERS) == "x" * MAX_CHARACTERS
    assert len(storable("\udc80" * MAX_CHARACTERS)) <= MAX_CHARACTERS
    assert len(describe(ValueError("x" * 50_000_000))) <= MAX_CHARACTERS


def test_only_what_is_kept_of_a_message_is_copied() -> None:
    text = "x" * 100_000_000
    tracemalloc.start()
    try:
        storable(text)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2_000_000
