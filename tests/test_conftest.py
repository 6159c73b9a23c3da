"""In CI a skipped test fails the run, unless its reason is one of those listed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SKIPPED = "import pytest\n\ndef test_passes(): pass\n\ndef test_skips(): pytest.skip('{}')\n"
MODULE = "import pytest\n\npytest.importorskip('no_such_module')\n"
EXPECTED_FAILURE = "import pytest\n\n@pytest.mark.xfail(reason='known')\ndef test_fails(): assert False\n"


def run(folder: Path, source: str, *options: str, ci: str = "true") -> subprocess.CompletedProcess[str]:
    shutil.copy(Path(__file__).with_name("conftest.py"), folder / "conftest.py")
    (folder / "test_it.py").write_text(source)
    (folder / "test_other.py").write_text("def test_other(): pass\n")
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    command = [sys.executable, "-m", "pytest", "-c", os.devnull, "--rootdir", str(folder), *options, str(folder)]
    return subprocess.run(command, cwd=folder, env={**environ, "CI": ci}, capture_output=True, text=True, timeout=100)


@pytest.mark.parametrize("options", [(), ("-n", "2")], ids=["alone", "xdist"])
@pytest.mark.parametrize(
    ("source", "reason"), [(SKIPPED.format("no browser"), "no browser"), (MODULE, "no_such_module")]
)
def test_a_skip_fails_the_run_in_ci_and_is_named(
    tmp_path: Path, source: str, reason: str, options: tuple[str, ...]
) -> None:
    result = run(tmp_path, source, *options)
    assert result.returncode == 1, result.stdout
    told = result.stdout.partition("skipped, and CI skips nothing")[2]
    assert reason in told
    assert " passed, 1 skipped in " in result.stdout.splitlines()[-1]


@pytest.mark.parametrize("source", [SKIPPED.format("BIKES_DATA names no file"), EXPECTED_FAILURE])
def test_an_allowed_reason_does_not(tmp_path: Path, source: str) -> None:
    assert run(tmp_path, source).returncode == 0


def test_the_tests_of_a_group_share_one_process(tmp_path: Path) -> None:
    """What they share is made once then; with pytest 9.2.0 xdist 3.8.0 would scatter them."""
    grouped = (
        "import os, pathlib, pytest\n\n@pytest.mark.xdist_group('one')\n@pytest.mark.parametrize('number', range(8))\n"
        "def test_it(number): pathlib.Path(f'{number}.pid').write_text(os.environ['PYTEST_XDIST_WORKER'])\n"
    )
    assert run(tmp_path, grouped, "-n", "2", "--dist", "loadgroup").returncode == 0
    processes = [path.read_text() for path in tmp_path.glob("*.pid")]
    assert len(processes) == 8 and len(set(processes)) == 1


def test_outside_ci_a_skip_is_only_told(tmp_path: Path) -> None:
    result = run(tmp_path, SKIPPED.format("no browser"), ci="")
    assert result.returncode == 0
    assert "CI skips nothing" not in result.stdout
