"""A directory of runs, and the project's commands on it in processes of their own."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import filelock
import psutil

from tfx_pipeline.settings import PROJECT, Settings, load

TINY = {
    "SAMPLE_ROWS": "500",
    "TRIALS": "2",
    "EPOCHS": "1",
    "WORKERS": "2",
    "TRAIN_EPOCHS": "1",
    "MAX_MAE_SECONDS": "5000",
    "MAX_WORSENING_SECONDS": "5000",
    "RUN_ID": "first",
}
RUN = ("-m", "tfx_pipeline", "run")


@dataclasses.dataclass(frozen=True)
class Finished:
    """A command that has ended."""

    code: int
    output: str


class Home:
    """A directory of runs, and commands on it in processes of their own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def alone(self) -> filelock.FileLock:
        """Keeps other tests from running anything here meanwhile: a second run would be refused."""
        self.directory.parent.mkdir(parents=True, exist_ok=True)
        return filelock.FileLock(self.directory.with_name("alone.lock"), is_singleton=True)

    def environment(self, **more: str) -> dict[str, str]:
        names = {field.upper() for field in Settings.__fields__}
        inherited = {name: value for name, value in os.environ.items() if name not in names}
        return {**inherited, **TINY, "RUNS_DIR": str(self.directory), **more}

    def settings(self, **more: str) -> Settings:
        return load(self.environment(**more))

    def start(self, arguments: Sequence[str] = RUN, **more: str) -> subprocess.Popen[str]:
        """Starts Python in a session of its own, as a terminal does; standard error goes where output goes."""
        return subprocess.Popen(
            [sys.executable, *arguments],
            cwd=PROJECT,
            env=self.environment(**more),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def call(self, arguments: Sequence[str] = RUN, timeout: float = 280, **more: str) -> Finished:
        process = self.start(arguments, **more)
        try:
            output, _ = process.communicate(timeout=timeout)
        finally:
            process.kill()
        return Finished(process.returncode, output)

    def tfx(self, *arguments: str, cwd: Path = PROJECT, **more: str) -> Finished:
        """Calls TFX's command line, in an activated environment: it looks for `pip` on the path."""
        environment = self.environment(**more)
        folder = Path(sys.executable).parent
        environment |= {"PATH": f"{folder}{os.pathsep}{environment['PATH']}", "PYTHONPATH": str(PROJECT)}
        for engine in ("LOCAL", "BEAM"):  # Where it keeps what it knows of pipelines.
            environment[f"{engine}_HOME"] = str(self.directory.parent / "tfx")
        ended = subprocess.run(
            [folder / "tfx", *arguments],
            cwd=cwd,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=280,
            check=False,
        )
        return Finished(ended.returncode, ended.stdout)

    def processes(self) -> list[psutil.Process]:
        """Processes that were started for this directory and still run."""
        found = []
        for process in psutil.process_iter():
            try:
                mine = process.environ().get("RUNS_DIR") == str(self.directory)
            except psutil.Error:
                continue
            if mine and process.pid != os.getpid() and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        return found


def wait_for(condition: Callable[[], bool], seconds: float) -> bool:
    """Whether the condition came true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True
