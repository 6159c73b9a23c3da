"""What is read from JSON is what it should be, or is told by its place."""

from __future__ import annotations

from typing import Any

import pytest

from custom_components.distributed_tuner.record import fields

KINDS: dict[str, fields.Kind] = {"n": fields.whole, "note": fields.optional(fields.text)}


def test_an_object_with_its_fields_is_taken() -> None:
    assert fields.check({"n": 1, "note": None}, KINDS, "here") == {"n": 1, "note": None}


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ({"n": 1}, "here.note is missing"),
        ({"n": 1, "note": "a", "more": 2}, "here.more is not known"),
        ({"n": "1", "note": "a"}, "here.n is '1', not a whole number"),
        ([("n", 1)], r"here is \[\('n', 1\)\], not an object"),
    ],
)
def test_what_does_not_fit_is_told_by_its_place(data: Any, told: str) -> None:
    with pytest.raises(ValueError, match=f"^{told}$"):
        fields.check(data, KINDS, "here")


def test_a_value_of_megabytes_is_not_told_in_full() -> None:
    with pytest.raises(ValueError, match="…, not a number") as error:
        fields.number("x" * 1_000_000, "score")
    assert len(str(error.value)) < 100


def test_what_no_file_can_hold_is_replaced_in_a_text_and_what_no_float_can_hold_is_refused() -> None:
    assert fields.text("caf\udce9 ü", "note") == "caf? ü"
    assert fields.scalar("\ud800", "x") == "?" and fields.scalar(2**60, "x") == 2**60
    for kind in (fields.number, fields.whole, fields.scalar, fields.time):
        with pytest.raises(ValueError, match=r"^n is 1000"):
            kind(10**400, "n")
