"""How the oracle benchmark starts a chief; the chiefs themselves are stood in for by what a tree holds."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import chiefs

SERVES = """
import json, pathlib, sys, time
import custom_components
token = sys.stdin.readline().strip()
told = {"address": ",".join([__file__, custom_components.__file__, token, *sys.argv[1:2], *sys.argv[3:]])}
pathlib.Path(sys.argv[2], "chief.json").write_text(json.dumps(told))
time.sleep(600)
"""


def make_tree(root: Path, server: str) -> Path:
    for package in ("benchmarks", "custom_components"):
        (root / package).mkdir()
        (root / package / "__init__.py").touch()
    (root / "benchmarks" / "oracle_server.py").write_text(server)
    return root


def test_a_chief_runs_the_code_of_its_tree(tmp_path: Path) -> None:
    tree = make_tree(tmp_path, SERVES)
    with chiefs.starting(chiefs.OURS, "random", 7, tree) as wait:
        server = wait()
        file, package, token, *arguments = server.address.split(",")
        assert Path(file) == tree / "benchmarks" / "oracle_server.py"
        assert Path(package) == tree / "custom_components" / "__init__.py"
        assert token == server.token
        assert arguments == ["ours", "random", "7"]
        assert server.memory_mib() > 1


def test_a_chief_that_does_not_serve_is_told_with_its_last_words(tmp_path: Path) -> None:
    tree = make_tree(tmp_path, "raise SystemExit('this build is older than the benchmark')")
    with (
        pytest.raises(RuntimeError, match=r"the ours chief does not serve:\n(?s:.*)older than the benchmark"),
        chiefs.starting(chiefs.OURS, "random", 7, tree) as wait,
    ):
        wait()
