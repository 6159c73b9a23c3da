"""Whatever a record's file holds, the command line shows it or says in one line what is wrong with it."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.testing

from custom_components.distributed_tuner import __main__ as command_line
from custom_components.distributed_tuner import encoding
from custom_components.distributed_tuner.record.record import TrialStatus
from custom_components.distributed_tuner.record.record_json import record_to_json
from tests.custom_components.distributed_tuner.records import search, trial

COMMANDS = ("status", "leaderboard", "report")
VALUES: tuple[Any, ...] = (
    None,
    True,
    0,
    -1,
    1.5,
    float("nan"),
    float("-inf"),
    10**400,
    "",
    "word",
    "[bold]/\\[/",
    "\ud800",
    [],
    [1],
    {},
    {"a": {}},
)
SOME = 6
DAMAGES = 30


def record() -> dict[str, Any]:
    """A record in which every field holds something."""
    failed = trial("3", None, TrialStatus.FAILED, x=3, message="ValueError: bad x")
    made = search(trial("1", 2.0, x=1, rate=0.1, kind="a", deep=True), trial("2", 1.0, x=2), failed, ended=9.0)
    data = record_to_json(made)
    data["stop_reason"], data["notices"], data["ran_out"] = "enough", ["another direction"], "no more"
    data["trials"][0]["best_step"] = 3
    return data


def paths(data: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to every value in it."""
    keys = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for key, value in keys:
        yield (*path, key)
        yield from paths(value, (*path, key))


def mutations() -> Iterator[tuple[str, bytes]]:
    """Each field with some of the values and without any; and files that are cut off, or have other bytes in them."""
    data = record()
    choice = random.Random(0)
    for path in paths(data):
        name = ".".join(map(str, path))
        for value in (*choice.sample(VALUES, SOME), ...):
            changed = copy.deepcopy(data)
            place = changed
            for key in path[:-1]:
                place = place[key]
            if value is ...:
                del place[path[-1]]
            else:
                place[path[-1]] = value
            yield f"{name} = {value!r}"[:60], json.dumps(changed).encode()
    whole = encoding.dumps(data).encode()
    for count in range(DAMAGES):
        yield f"cut {count}", whole[: choice.randrange(len(whole))]
        damaged = bytearray(whole)
        for _ in range(choice.randrange(1, 8)):
            damaged[choice.randrange(len(damaged))] = choice.randrange(256)
        yield f"bytes {count}", bytes(damaged)
    yield "empty", b""
    yield "binary", choice.randbytes(500)
    yield "deep", b"[" * 100_000
    for value in VALUES:
        yield f"whole = {value!r}"[:60], json.dumps(value).encode()


@pytest.mark.timeout(600)
def test_a_record_with_anything_in_it_is_shown_or_refused_in_one_line(tmp_path: Path) -> None:
    file = tmp_path / "record.json"
    runner = typer.testing.CliRunner()
    problems: list[str] = []
    refused = shown = 0
    for name, data in mutations():
        file.write_bytes(data)
        for command in COMMANDS:
            options = ["--out", str(tmp_path / "report.html")] if command == "report" else []
            result = runner.invoke(command_line.app, [command, str(tmp_path), *options])
            told = result.output
            if result.exit_code == 0:
                shown += 1
            elif (
                result.exit_code == 1 and told.startswith("error: ") and told.count("\n") == 1 and str(tmp_path) in told
            ):
                refused += 1
            else:
                problems.append(f"{command}: {name}: {result.exit_code} {result.exception!r} {told[:200]}")
    assert problems == [], "\n".join(problems)
    assert refused > 200 and shown > 200


def test_the_line_names_the_file_the_field_and_the_way_out(tmp_path: Path) -> None:
    data = record()
    data["trials"][1]["epochs"] = "many"
    (tmp_path / "record.json").write_text(json.dumps(data))
    result = typer.testing.CliRunner().invoke(command_line.app, ["status", str(tmp_path)])
    assert result.exit_code == 1
    for words in (str(tmp_path / "record.json"), "trials[1].epochs", "many", "same run id"):
        assert words in result.output, result.output


def test_a_leaderboard_for_a_file_is_as_wide_as_it_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    names = [f"hyperparameter_number_{number}" for number in range(5)]
    values: dict[str, Any] = dict.fromkeys(names, 0.5)
    made = search(trial("1", 2.0, **values))
    (tmp_path / "record.json").write_text(encoding.dumps(record_to_json(made)))
    result = typer.testing.CliRunner().invoke(command_line.app, ["leaderboard", str(tmp_path)])
    assert all(name in result.output.splitlines()[0] for name in names), result.output
