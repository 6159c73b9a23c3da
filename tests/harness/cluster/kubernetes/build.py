"""etcd and Kubernetes as programs, built once from Go modules into the user's cache folder."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from tests.harness.cluster.kubernetes.errors import HarnessError

_GO = Path(__file__).with_name("go")
_VERSION = "k8s.io/component-base/version"
_OLDEST_GO = (1, 21)  # the first that fetches by itself the newer Go that a go.mod asks for
_BUILD_SECONDS = 50 * 60.0


@dataclass(frozen=True)
class Wrapper:
    """A Go module of ours that pins what is built by go.mod and go.sum.

    Args:
      name: of what is built.
      folder: the module's below go/.
      module: what it builds from, with a version in go.mod; empty where the program is our own.
      programs: program to Go package.
      stamp: the package that holds the version to report, if any.
    """

    name: str
    folder: str
    module: str
    programs: tuple[tuple[str, str], ...]
    stamp: str = ""

    @property
    def path(self) -> Path:
        return _GO / self.folder

    @property
    def version(self) -> str:
        """The version of `module`, as v1.2.3."""
        if not self.module:
            return "v0"
        found = re.search(
            rf"^\s*(?:require )?{re.escape(self.module)} (v\S+)", (self.path / "go.mod").read_text(), re.M
        )
        if found is None:
            raise HarnessError(f"{self.path / 'go.mod'} names no version of {self.module}")
        return found[1]

    def key(self) -> str:
        """What a program of this module depends on, as a folder's name."""
        digest = hashlib.sha256(repr((self.flags(), self.programs)).encode())
        for path in sorted(path for path in self.path.rglob("*") if path.is_file()):
            digest.update(path.relative_to(self.path).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
        return f"{self.name}-{self.version}-{digest.hexdigest()[:12]}"

    def flags(self) -> str:
        """The linker's flags: no debugging symbols, and the version."""
        values = {}
        if self.stamp:
            major, minor, _ = self.version.lstrip("v").split(".", 2)
            values = {"gitVersion": self.version, "gitMajor": major, "gitMinor": minor, "gitTreeState": "clean"}
        return " ".join(["-s -w", *(f"-X {self.stamp}.{name}={value}" for name, value in values.items())])


ETCD = Wrapper("etcd", "etcd", "go.etcd.io/etcd/server/v3", (("etcd", "go.etcd.io/etcd/server/v3"),))
CONTROL_PLANE = Wrapper(
    "kubernetes",
    "kubernetes",
    "k8s.io/kubernetes",
    (
        ("kube-apiserver", "k8s.io/kubernetes/cmd/kube-apiserver"),
        ("kube-controller-manager", "./kube-controller-manager"),
        ("kube-scheduler", "k8s.io/kubernetes/cmd/kube-scheduler"),
    ),
    stamp=_VERSION,
)
PAUSE = Wrapper("pause", "pause", "", (("pause", "."),))
KUBELET = Wrapper(
    "kubelet",
    "kubernetes",
    "k8s.io/kubernetes",
    (("kubelet", "k8s.io/kubernetes/cmd/kubelet"),),
    stamp=_VERSION,
)
ARGO_LINT = Wrapper("argolint", "argo", "github.com/argoproj/argo-workflows/v3", (("argolint", "./lint"),))


def cache_folder() -> Path:
    """The folder of the user's cache that holds the programs."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "tfx-distributed-tuner" / "cluster-tests"


def missing_go() -> str:
    """Says what is wrong with Go on this machine, in one line; empty where it can build."""
    go = shutil.which("go")
    if go is None:
        return "Go is not installed (https://go.dev/dl, 1.21 or later): it builds the Kubernetes that these tests run"
    told = subprocess.run([go, "env", "GOVERSION"], capture_output=True, text=True, timeout=60)
    found = re.match(r"go(\d+)\.(\d+)", told.stdout.strip())
    if found is None or (int(found[1]), int(found[2])) < _OLDEST_GO:
        return (
            f"Go 1.21 or later is needed to build Kubernetes; {go} says {told.stdout.strip() or told.stderr.strip()!r}"
        )
    return ""


def is_built(*wrappers: Wrapper) -> bool:
    """Whether the cache holds the programs of these modules."""
    return all((cache_folder() / wrapper.key()).is_dir() for wrapper in wrappers)


def programs(*wrappers: Wrapper) -> dict[str, Path]:
    """The programs of these modules, built where the cache lacks them.

    Returns:
      Program to its file.

    Raises:
      HarnessError: Go is missing, or a build failed or took too long.
    """
    found: dict[str, Path] = {}
    for wrapper in wrappers:
        folder = cache_folder() / wrapper.key()
        if not folder.is_dir():
            _build(wrapper, folder)
        found.update({name: folder / name for name, _ in wrapper.programs})
    return found


def _build(wrapper: Wrapper, folder: Path) -> None:
    problem = missing_go()
    if problem:
        raise HarnessError(problem)
    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(f"{folder}.lock", timeout=_BUILD_SECONDS):
            if not folder.is_dir():
                _run_go(wrapper, folder)
    except Timeout as error:
        raise HarnessError(
            f"another process has been building {folder.name} for {_BUILD_SECONDS / 60:.0f} min"
        ) from error


def _run_go(wrapper: Wrapper, folder: Path) -> None:
    names = ", ".join(name for name, _ in wrapper.programs)
    print(f"building {names} {wrapper.version} into {folder}; once, it takes minutes", file=sys.stderr, flush=True)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as unfinished:
        packages = [package for _, package in wrapper.programs]
        # The program of a major version's package is called after the folder above it; only etcd's differs in name.
        target = f"{unfinished}/{wrapper.programs[0][0]}" if len(packages) == 1 else f"{unfinished}/"
        command = ["go", "build", "-trimpath", "-buildvcs=false", "-mod=readonly", "-ldflags", wrapper.flags()]
        settings = {"CGO_ENABLED": "0", "GOWORK": "off", "GOFLAGS": ""}
        try:
            built = subprocess.run(
                [*command, "-o", target, *packages],
                cwd=wrapper.path,
                env={**os.environ, **settings},
                capture_output=True,
                text=True,
                timeout=_BUILD_SECONDS,
            )
        except subprocess.TimeoutExpired as error:
            raise HarnessError(f"building {names} took longer than {_BUILD_SECONDS / 60:.0f} min") from error
        if built.returncode:
            raise HarnessError(
                f"`go build` of {names} failed: {built.stderr.strip()[-1500:]}. Is the module proxy reachable (go env "
                "GOPROXY), and is there 6 GB of disk and 3 GB of memory?"
            )
        Path(unfinished).rename(folder)
        Path(unfinished).mkdir()  # for the context manager to remove
    print(f"built {names} in {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
