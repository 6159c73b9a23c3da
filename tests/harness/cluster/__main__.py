"""A cluster by hand: `python -m tests.harness.cluster up FOLDER`, and `enter FOLDER COMMAND …` to use it."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.harness.cluster.kubernetes import build
from tests.harness.cluster.kubernetes.errors import HarnessError
from tests.harness.cluster.local_cluster import LocalCluster, prepare
from tests.harness.cluster.machine import namespaces

# What a shell ends with.
_NO_PROGRAM = 127


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.harness.cluster", description=__doc__)
    actions = parser.add_subparsers(dest="action", required=True)
    up = actions.add_parser("up", help="keep a cluster up until ctrl-C")
    actions.add_parser("build", help="build the programs of the cluster and of Argo now, where they are not built yet")
    run = actions.add_parser("exec", help="start a cluster, run a command in it, stop it")
    enter = actions.add_parser("enter", help="run a command in a cluster that is up")
    for action in (up, run):
        action.add_argument("--nodes", type=int, default=2, help="process nodes to start (2)")
        action.add_argument("--gpus", type=int, default=0, help="GPUs that each node claims to have (0)")
        action.add_argument("--stock", action="store_true", help="leave the Job controller's waits as they are")
    for action in (up, enter):
        action.add_argument("folder", type=Path, help="the cluster's; `up` makes it")
    for action in (run, enter):
        action.add_argument("command", nargs=argparse.REMAINDER, help="runs with KUBECONFIG set")
    arguments = parser.parse_args()
    if arguments.action in ("exec", "enter") and not arguments.command:
        parser.error("name the command to run, such as kubectl get pods")
    return arguments


def _run(command: list[str], kubeconfig: Path) -> int:
    try:
        return subprocess.run(command, env={**os.environ, "KUBECONFIG": str(kubeconfig)}).returncode
    except OSError as error:
        print(f"{command[0]} cannot be run: {error.strerror}", file=sys.stderr)
        return _NO_PROGRAM


def _enter(arguments: argparse.Namespace) -> int:
    folder: Path = arguments.folder.resolve()
    try:
        namespaces.join(int((folder / "pid").read_text()))
    except (FileNotFoundError, ProcessLookupError, ValueError) as error:
        raise HarnessError(f"no cluster is up in {folder} (`python -m tests.harness.cluster up` makes one)") from error
    except OSError as error:
        raise HarnessError(f"the cluster in {folder} cannot be entered: {error.strerror}") from error
    return _run(arguments.command, folder / "admin.kubeconfig")


def _start(arguments: argparse.Namespace) -> int:
    built = prepare()
    folder = Path(arguments.folder if arguments.action == "up" else tempfile.mkdtemp(prefix="cluster-")).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise HarnessError(f"{folder} is not empty: name a new folder")
    namespaces.enter(folder / "pid")
    with LocalCluster(folder, built, quick_jobs=not arguments.stock) as cluster:
        for _ in range(arguments.nodes):
            cluster.nodes.add(gpus=arguments.gpus)
        if arguments.action == "exec":
            return _run(arguments.command, cluster.kubeconfig)
        print(f"up, in seconds: {cluster.control_plane.seconds}", flush=True)
        print(f"a command in it: python -m tests.harness.cluster enter {arguments.folder} COMMAND …", flush=True)
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
        signal.sigwait({signal.SIGINT, signal.SIGTERM})
    return 0


def _build(_: argparse.Namespace) -> int:
    prepare()
    build.programs(build.ARGO_LINT)
    return 0


def main() -> int:
    """Runs the command line and returns its exit status."""
    arguments = _arguments()
    try:
        return {"build": _build, "enter": _enter}.get(arguments.action, _start)(arguments)
    except HarnessError as error:
        print(f"no cluster: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
