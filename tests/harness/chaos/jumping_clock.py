"""A wall clock that jumps, in the process of a chief or worker.

The file `clock` in the search directory holds by how many seconds it is off now. Python's `time.time` follows it; the
monotonic clock does not, as on a machine whose time is set. gRPC keeps the kernel's clock: it turns a call's timeout
into a time of day in Python and back into a delay in C, where no jump can be brought about from here.
"""

from __future__ import annotations

import os
import sys
import time
import types
from pathlib import Path

FILE = "clock"

_real = time.time


def jump(root: Path, seconds: float) -> None:
    """From now on the clocks of the search in `root` are so many seconds ahead; behind, below 0."""
    temporary = root / f".{FILE}"
    temporary.write_text(str(seconds))
    temporary.replace(root / FILE)


def install(root: Path) -> None:
    """Puts the clock into this process."""
    path = root / FILE

    def jumping() -> float:
        try:
            return _real() + float(path.read_text())
        except FileNotFoundError:
            return _real()

    kept = types.SimpleNamespace(**{name: getattr(time, name) for name in dir(time)})
    for name, module in list(sys.modules.items()):
        if name.split(".")[0] == "grpc" and getattr(module, "time", None) is time:
            module.time = kept  # type: ignore[attr-defined]
    time.time = jumping
    _say(f"the clock of process {os.getpid()} follows {path}")


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
