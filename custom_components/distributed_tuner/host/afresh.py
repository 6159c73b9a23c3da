"""A program that starts itself anew in its own place, where another process would cost more than this one's memory.

A pod that took the place of a worker's would have to wait for a machine, and a worker that somebody started by hand
has nobody who starts it again. The number of the process stays, and with it all that others know it by; its memory, its
threads, its descriptors and what it has started do not.
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

# A signal that comes meanwhile waits for the handlers of the program that begins, instead of being lost.
_KEPT_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_END_SECONDS = 5.0


@dataclasses.dataclass(frozen=True)
class Start:
    """How this program was started, before the user's code could change any of it.

    Attributes:
      command: its arguments.
      folder: its working directory.
      environment: its variables.
      again: whether it began itself anew.
    """

    command: list[str]
    folder: Path
    environment: Mapping[str, str]
    again: bool

    @classmethod
    def of_this_program(cls) -> Start:
        """Called as it begins; descendants of it that lose their parent are adopted from now on."""
        descendants.adopt()
        again = os.environ.pop(variables.AGAIN, None) is not None
        return cls([sys.executable, *sys.orig_argv[1:]], Path.cwd(), dict(os.environ), again)

    def repeat(self) -> NoReturn:
        """Ends this program and all it has started, and begins it anew.

        Raises:
          OSError: that cannot be done: the folder or the interpreter is gone.
        """
        descendants.end(_END_SECONDS)
        os.chdir(self.folder)
        signal.pthread_sigmask(signal.SIG_BLOCK, _KEPT_SIGNALS)
        _let_go_of_files()
        os.execve(self.command[0], self.command, {**self.environment, variables.AGAIN: "1"})


def hear_signals() -> None:
    """Called once the program has handlers: what came while it began anew is heard now."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _KEPT_SIGNALS)


def _let_go_of_files() -> None:
    """Nothing but input and output goes on: a library's descriptors (of a GPU, of a connection) end with it."""
    for number in [int(entry.name) for entry in Path("/proc/self/fd").iterdir()]:
        if number > 2:
            with contextlib.suppress(OSError):
                fcntl.fcntl(number, fcntl.F_SETFD, fcntl.FD_CLOEXEC)
