"""Numbers and times as people read them."""

from __future__ import annotations

import math

import pytest

from custom_components.distributed_tuner.record import formatting


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-3.0, "0.0 s"),
        (0.44, "0.4 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (59.4, "59 s"),
        (59.6, "1 min 00 s"),
        (3599.4, "59 min 59 s"),
        (3599.6, "1 h 00 min"),
        (86399.0, "1 d 00 h"),
        (90000.0, "1 d 01 h"),
    ],
)
def test_a_duration_carries_over_to_the_next_unit(seconds: float, text: str) -> None:
    assert formatting.duration(seconds) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (0.0001, "0.0001"),
        (123456.7, "123,457"),
        (-2e12, "-2e+12"),
        (math.nan, "nan"),
        (-math.inf, "-inf"),
    ],
)
def test_a_number_is_short(value: float, text: str) -> None:
    assert formatting.number(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(None, formatting.ABSENT), (422.9, "422.90"), (0.5, "0.50000"), (0.0, "0"), (16692.4, "16692")]
)
def test_scores_line_up(value: float | None, text: str) -> None:
    assert formatting.score(value) == text


def test_values_keep_their_type_in_view() -> None:
    values = (True, 1, 1.5, "adam", None)
    assert [formatting.hyperparameter(value) for value in values] == ["True", "1", "1.5", "adam", formatting.ABSENT]


def test_names_sort_by_the_numbers_in_them() -> None:
    names = ["worker-10", "worker-2", "2b", "worker", "10a"]
    assert sorted(names, key=formatting.natural) == ["2b", "10a", "worker", "worker-2", "worker-10"]


def test_a_moment_is_in_utc() -> None:
    assert formatting.moment(1_735_732_800.0) == "2025-01-01 12:00:00 UTC"


def test_shortened_text_has_the_length_asked_for() -> None:
    assert formatting.shorten("abcdef", 6) == "abcdef"
    assert formatting.shorten("abcdefg", 6) == "abcde…"


def test_what_nobody_sees_is_written_out() -> None:
    assert formatting.visible("größe é✓ a b\t") == "größe é✓ a b\t"
    assert formatting.visible("a\x00b\u202ec\udce9\x1b[31m\n") == "a\\x00b\\u202ec\\udce9\\x1b[31m\\n"
