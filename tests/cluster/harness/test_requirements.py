"""What the harness says where it cannot run, and how it runs on a user's cluster."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.harness.cluster.kubernetes import build
from tests.harness.cluster.kubernetes.errors import HarnessError
from tests.harness.cluster.local_cluster import LocalCluster
from tests.harness.cluster.node.images import HOST_IMAGE
from tests.repository import ROOT

PYTEST = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q"]


def run(*options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "TEST_", "FULL"))}
    command = [*PYTEST, *options]
    return subprocess.run(command, cwd=ROOT, env={**kept, **environment}, capture_output=True, text=True, timeout=250)


@pytest.mark.parametrize(("program", "told"), [("go", "Go is not installed"), ("ip", "`ip` is not installed")])
def test_what_is_missing_is_told_in_one_line(tmp_path: Path, program: str, told: str) -> None:
    folder = tmp_path / "programs"
    folder.mkdir()
    for other in {"go", "ip"} - {program}:
        (folder / other).write_text("#!/bin/sh\necho go1.26.0\n")
        (folder / other).chmod(0o755)
    result = run("tests/cluster", PATH=str(folder), XDG_CACHE_HOME=str(tmp_path))
    assert result.returncode == pytest.ExitCode.USAGE_ERROR
    (line,) = [line for line in (result.stdout + result.stderr).splitlines() if line.strip()]
    assert "the cluster tests cannot run here" in line
    assert told in line


def test_a_build_that_fails_says_why_and_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "go").write_text(
        '#!/bin/sh\nif [ "$1" = env ]; then echo go1.26.0; exit; fi\necho no proxy >&2; exit 1\n'
    )
    (programs / "go").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with pytest.raises(HarnessError, match="no proxy"):
        build.programs(build.ETCD)
    assert not build.is_built(build.ETCD)
    assert [path.name for path in build.cache_folder().iterdir() if path.is_dir()] == []


def test_the_cache_knows_what_the_programs_were_built_from() -> None:
    assert build.ETCD.key() != build.CONTROL_PLANE.key()
    assert build.CONTROL_PLANE.key().startswith(f"kubernetes-{build.CONTROL_PLANE.version}-")


def test_the_control_plane_says_the_version_that_it_was_built_from(local_cluster: LocalCluster) -> None:
    assert local_cluster.api().get("/version")["gitVersion"] == build.CONTROL_PLANE.version


GREET = """
import os, pathlib
from tests.cluster import objects
from tests.harness.cluster.kubernetes.api import Api
from tests.harness.cluster.node.images import HOST_IMAGE
namespace = objects.make_namespace(Api(pathlib.Path(os.environ["KUBECONFIG"])), "rootless", HOST_IMAGE)
namespace.run("greeting", "echo hello")
namespace.finish("greeting")
print(namespace.logs("greeting"))
"""


@pytest.mark.full
def test_pods_run_without_roots_powers() -> None:
    without = ["unshare", "--user", "--map-root-user"]
    command = [
        *without,
        sys.executable,
        "-m",
        "tests.harness.cluster",
        "exec",
        "--nodes",
        "1",
        sys.executable,
        "-c",
        GREET,
    ]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=200)
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[-1] == "['hello\\n']"


def test_a_command_enters_a_cluster_that_is_up(local_cluster: LocalCluster) -> None:
    """The session's own cluster is one: only the file that `up` leaves is missing."""
    pid_file = local_cluster.folder / "pid"
    pid_file.write_text(str(os.getpid()))
    command = [
        sys.executable,
        "-m",
        "tests.harness.cluster",
        "enter",
        str(local_cluster.folder),
        "printenv",
        "KUBECONFIG",
    ]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100)
    assert result.stdout.strip() == str(local_cluster.kubeconfig)
    pid_file.unlink()
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100)
    assert (result.returncode, len(result.stderr.splitlines())) == (1, 1)
    assert "no cluster is up" in result.stderr


def test_the_tests_run_on_a_cluster_of_the_users(local_cluster: LocalCluster) -> None:
    result = run(
        "tests/cluster/harness/test_jobs.py::test_a_job_completes_and_its_log_is_read_through_the_api[any]",
        "tests/cluster/harness/test_nodes.py::test_more_pods_than_gpus_wait_for_their_turn",
        TEST_KUBECONFIG=str(local_cluster.kubeconfig),
        TEST_IMAGE=HOST_IMAGE,
    )
    assert result.returncode == 0, result.stdout
    # What makes nodes or breaks them stays out.
    assert "1 passed, 1 deselected" in result.stdout
