"""Restarts a program in place (exec), to shed its memory where a replacement process would cost more.

A replacement pod for a worker would have to wait for a machine, and a worker started by hand has nobody to restart it.
The process keeps its id, and with it everything that others know it by; its memory, threads, descriptors and child
processes are gone.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

from custom_components.distributed_tuner.host import descendants, variables

# Signals that arrive meanwhile wait for the restarted program's handlers, instead of being lost.
_KEPT_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_END_SECONDS = 5.0


@dataclasses.dataclass(frozen=True)
class Start:
    """How this program was started, before the user's code could change any of it.

    Attributes:
      command: its arguments.
      folder: its working directory.
      environment: its variables.
      again: whether it has restarted itself.
    """

    command: list[str]
    folder: Path
    environment: Mapping[str, str]
    again: bool

    @classmethod
    def of_this_program(cls) -> Start:
        """Call it at the program's start; from then on, orphaned descendants are adopted by this process."""
        descendants.adopt()
        again = os.environ.pop(variables.AGAIN, None) is not None
        return cls([sys.executable, *sys.orig_argv[1:]], Path.cwd(), dict(os.environ), again)

    def repeat(self) -> NoReturn:
        """Ends everything that this program has started, and restarts it in place.

        Raises:
          OSError: that is impossible: the folder or the interpreter is gone.
        """
        descendants.end(_END_SECONDS)
        os.chdir(self.folder)
        signal.pthread_sigmask(signal.SIG_BLOCK, _KEPT_SIGNALS)
        _let_go_of_files()
        os.execve(self.command[0], self.command, {**self.environment, variables.AGAIN: "1"})


def hear_signals() -> None:
    """Call it once the program has handlers: delivers the signals that arrived during the restart."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _KEPT_SIGNALS)


def _let_go_of_files() -> None:
    """Marks all but the standard streams close-on-exec: a library's descriptors (of a GPU, a connection) end here."""
    for number in [int(entry.name) for entry in Path("/proc/self/fd").iterdir()]:
        if number > 2:
            with contextlib.suppress(OSError):
                fcntl.fcntl(number, fcntl.F_SETFD, fcntl.FD_CLOEXEC)
