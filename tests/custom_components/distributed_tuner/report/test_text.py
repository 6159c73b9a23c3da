"""The leaderboard on a terminal."""

from __future__ import annotations

import io

from rich.console import Console

from custom_components.distributed_tuner.record import formatting
from custom_components.distributed_tuner.record.record import Direction, Outcome, SearchRecord
from custom_components.distributed_tuner.report.example import example_record
from custom_components.distributed_tuner.report.text import leaderboard
from tests.custom_components.distributed_tuner.report.helpers import completed, search, stay


def printed(record: SearchRecord, limit: int, width: int = 100) -> list[str]:
    stream = io.StringIO()
    Console(file=stream, width=width).print(leaderboard(record, limit))
    return [line.rstrip() for line in stream.getvalue().splitlines()]


def test_the_best_distinct_configurations_stand_in_order() -> None:
    record = search(
        completed("a", 0.5, {"units": 1}, stay(0, 10, Outcome.LOST), stay(20, 75)),
        completed("b", 0.9, {"units": 2, "momentum": 0.5}),
        completed("c", 0.8, {"units": 2, "momentum": 0.5}),
        direction=Direction.MAX,
    )
    head, first, second, *caption = printed(record, 5)
    assert head.split() == ["rank", "trial", "score", "epochs", "duration", "units", "momentum"]
    assert first.split() == ["1", "b", "0.90000", "3", "10", "s", "2", "0.5"]
    assert second.split() == ["2", "a", "0.50000", "3", "1", "min", "05", "s", "1", formatting.ABSENT]
    assert " ".join(caption) == "score: val_loss, higher is better; 2 of 2 distinct configurations"


def test_the_limit_holds_and_the_caption_says_how_many_there_are() -> None:
    lines = printed(example_record(40), 3, width=120)
    assert len(lines) == 1 + 3 + 1
    assert "3 of 38 distinct configurations" in lines[-1]


def test_many_hyperparameters_share_one_column() -> None:
    record = search(completed("a", 1.0, {f"p{index}": index for index in range(9)}))
    text = " ".join(printed(record, 5, width=80))
    assert "hyperparameters" in text
    assert all(f"p{index}={index}" in text for index in range(9))


def test_markup_in_a_value_is_shown_as_it_is() -> None:
    text = "\n".join(printed(search(completed("a", 1.0, {"[bold]x": "[red]y[/red]"})), 5))
    assert "[bold]x" in text
    assert "[red]y[/red]" in text


def test_half_a_character_in_a_value_is_written_out() -> None:
    text = "\n".join(printed(search(completed("a", 1.0, {"file\udce9": "caf\udce9"})), 5))
    assert "file\\udce9" in text and "caf\\udce9" in text


def test_a_search_without_a_completed_trial_says_so() -> None:
    assert "No trial has completed." in printed(search(), 5)[-1]
