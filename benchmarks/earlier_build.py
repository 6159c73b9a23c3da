"""An earlier build of the project, to measure beside this one on the same machine in the same minutes."""

from __future__ import annotations

import contextlib
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.run import ROOT


class NoSuchBuild(Exception):
    """The revision is not to be had here; the message says what to do."""


@contextlib.contextmanager
def unpacked(revision: str, repository: Path = ROOT) -> Iterator[Path]:
    """The files of a git revision, in a temporary folder.

    Raises:
      NoSuchBuild: there is no such revision in the repository, or no repository.
    """
    commit = _git(repository, revision, "rev-parse", "--verify", "--end-of-options", f"{revision}^{{commit}}")
    with tempfile.TemporaryDirectory(prefix="earlier-build-") as folder:
        archive = Path(folder, "archive.tar")
        _git(repository, revision, "archive", f"--output={archive}", commit)
        tree = Path(folder, "tree")
        with tarfile.open(archive) as files:
            files.extractall(tree, filter="data")
        yield tree


def _git(repository: Path, revision: str, *arguments: str) -> str:
    command = ["git", "-C", str(repository), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    except FileNotFoundError as error:
        raise NoSuchBuild(f"the earlier build {revision!r} is left out: there is no git here") from error
    if done.returncode != 0:
        words = done.stderr.strip().splitlines() or [f"git ended with status {done.returncode}"]
        raise NoSuchBuild(
            f"the earlier build {revision!r} is left out: {words[-1]} (a shallow clone has no old commits: "
            "git fetch --unshallow)"
        )
    return done.stdout.strip()
