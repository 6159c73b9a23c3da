"""The stream on which the project talks to the person at the terminal.

TFX, TensorFlow and Beam write to standard output and standard error at will, also from C++ and from child processes.
The command line therefore points file descriptors 1 and 2 at a log file and hands the real terminal to this module;
whatever a person should see goes through `stream()`.
"""

from __future__ import annotations

import sys
from typing import TextIO

_stream: TextIO | None = None


def use(stream: TextIO | None) -> None:
    """Makes `stream` the console; None goes back to standard error."""
    global _stream
    _stream = stream


def stream() -> TextIO:
    """The console: the stream given to `use`, else standard error as it is now."""
    return _stream if _stream is not None else sys.stderr
