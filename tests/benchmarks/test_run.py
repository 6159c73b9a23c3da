"""The benchmarks' runner, on benchmarks that take no time."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import run


@pytest.fixture
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of throw-away benchmarks that the runner's processes can import."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return tmp_path


def test_the_last_line_gives_the_figures(modules: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (modules / "fine.py").write_text("print('warming up')\nprint('{\"seconds\": 1.25, \"runs\": [1, 2]}\\n')\n")
    result = run.run_one("fine", deadline=60)
    assert result.figures == {"seconds": 1.25, "runs": [1, 2]}
    assert not result.failure
    assert "warming up" in capfd.readouterr().out


@pytest.mark.parametrize(
    ("source", "failure"),
    [
        ("raise SystemExit(3)", "ended with status 3; its output is above"),
        ("print('no figures')", "its last line is not a JSON object: 'no figures'"),
        ("print('[1]')", "its last line is not a JSON object: '[1]'"),
        ("", "its last line is not a JSON object: ''"),
    ],
)
def test_a_failure_says_why(modules: Path, source: str, failure: str) -> None:
    (modules / "broken.py").write_text(source)
    assert run.run_one("broken", deadline=60).failure == failure


def test_one_that_does_not_end_is_ended(modules: Path) -> None:
    (modules / "endless.py").write_text("import time\nprint('on', flush=True)\ntime.sleep(600)\n")
    result = run.run_one("endless", deadline=1)
    assert result.failure == "ended with status -15 after its deadline of 1 s; its output is above"


def test_one_failure_keeps_no_other_from_running(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "benchmarks"
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / "bad.py").write_text("raise SystemExit('broken')")
    (folder / "good.py").write_text("print('{\"ratio\": 0.98765}')")
    monkeypatch.setattr(run, "ROOT", tmp_path)
    table = tmp_path / "out" / "table.md"
    assert run.run_all(["bad", "good"], table=table, deadline=60) == 1
    rows = table.read_text().splitlines()
    assert "| bad | failed | ended with status 1; its output is above |" in rows
    assert "| good | ratio | 0.9877 |" in rows
    assert table.read_text() in capsys.readouterr().out


def test_each_name_is_a_module() -> None:
    folder = Path(run.__file__).parent
    assert [name for name in run.NAMES if not (folder / f"{name}.py").exists()] == []


def test_an_unknown_name_is_told_the_names() -> None:
    command = [sys.executable, "-m", "benchmarks", "speed"]
    result = subprocess.run(command, cwd=run.ROOT, capture_output=True, text=True, timeout=60)
    assert result.returncode == 2
    assert f"there is no benchmark speed; the benchmarks are {', '.join(run.NAMES)}" in result.stderr
