"""An earlier build, out of a repository that is made here."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from benchmarks import earlier_build


def git(repository: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=Test", "-c", "user.email=test@example.com", "-c", "commit.gpgsign=false"]
    command = ["git", "-C", str(repository), *identity, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Two commits of one file."""
    made = tmp_path / "repository"
    made.mkdir()
    git(made, "init", "--quiet")
    for text in ("first", "second"):
        (made / "code").mkdir(exist_ok=True)
        (made / "code" / "module.py").write_text(text)
        git(made, "add", ".")
        git(made, "commit", "--quiet", "--message", text)
    return made


def test_the_files_are_those_of_the_revision_and_are_gone_afterwards(repository: Path) -> None:
    (repository / "code" / "module.py").write_text("not committed")
    with earlier_build.unpacked("HEAD~1", repository) as tree:
        assert (tree / "code" / "module.py").read_text() == "first"
    assert not tree.exists()
    assert git(repository, "worktree", "list").count("\n") == 0


def test_a_shallow_clone_says_what_is_missing(repository: Path, tmp_path: Path) -> None:
    first = git(repository, "rev-parse", "HEAD~1")
    git(tmp_path, "clone", "--quiet", "--depth=1", repository.as_uri(), "shallow")
    with (
        pytest.raises(earlier_build.NoSuchBuild, match=f"the earlier build '{first}' is left out: .*--unshallow"),
        earlier_build.unpacked(first, tmp_path / "shallow"),
    ):
        pass


@pytest.mark.parametrize("revision", ["no-such-revision", "--help", ""])
def test_what_is_no_revision_is_told(repository: Path, revision: str) -> None:
    with pytest.raises(earlier_build.NoSuchBuild, match="is left out"), earlier_build.unpacked(revision, repository):
        pass


def test_files_without_a_repository_have_no_earlier_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    with pytest.raises(earlier_build.NoSuchBuild, match="not a git repository"), earlier_build.unpacked("x", tmp_path):
        pass
