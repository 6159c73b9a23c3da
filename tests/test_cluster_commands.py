"""The command lines of the harness's cluster and of its chaos, as far as no cluster is needed."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import pytest
import rich.console

from tests.cluster.chaos import __main__ as chaos
from tests.harness.cluster import __main__ as by_hand
from tests.harness.cluster.machine import namespaces


@pytest.fixture
def up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder as of a cluster that is up."""
    (tmp_path / "pid").write_text("1")
    monkeypatch.setattr(namespaces, "join", lambda pid: None)
    return tmp_path


def ended(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int | str | None:
    monkeypatch.setattr(sys, "argv", ["cluster", *arguments])
    try:
        return by_hand.main()
    except SystemExit as end:
        return end.code


@pytest.mark.parametrize("arguments", [["exec"], ["enter", "folder"]])
def test_a_command_is_needed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    monkeypatch.setattr(by_hand, "_start", lambda _: pytest.fail("a cluster was started"))
    assert ended(monkeypatch, *arguments) == 2
    assert "error: name the command to run" in capsys.readouterr().err


def test_a_command_runs_with_the_clusters_kubeconfig(up: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = f'test "$KUBECONFIG" = {up.resolve()}/admin.kubeconfig && exit 3'
    assert ended(monkeypatch, "enter", str(up), "sh", "-c", script) == 3


def test_a_command_that_is_not_there_is_told_in_one_line(
    up: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ended(monkeypatch, "enter", str(up), "no-such-command") == 127
    assert capsys.readouterr().err == "no-such-command cannot be run: No such file or directory\n"


@pytest.mark.parametrize("content", [None, "", "999999999"], ids=["no file", "no number", "no process"])
def test_a_cluster_that_is_not_up_is_told_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], content: str | None
) -> None:
    if content is not None:
        (tmp_path / "pid").write_text(content)
    assert ended(monkeypatch, "enter", str(tmp_path), "true") == 1
    assert capsys.readouterr().err.startswith(f"no cluster: no cluster is up in {tmp_path.resolve()}")


def test_the_folder_that_chaos_keeps_is_a_path_that_pods_can_have(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    roots: list[Path] = []

    def hold(arguments: argparse.Namespace, root: Path, console: rich.console.Console) -> int:
        roots.append(root)
        return 0

    monkeypatch.setattr(chaos, "prepare", lambda: None)
    monkeypatch.setattr(namespaces, "enter", lambda: None)
    monkeypatch.setattr(chaos, "_hold", hold)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setattr(sys, "argv", ["chaos", "--keep", "../kept"])
    assert chaos.main() == 0
    assert roots == [tmp_path.resolve() / "kept"]
