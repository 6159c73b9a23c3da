"""Redirects the process's output to a log file and keeps the terminal for what a person should see."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from custom_components import console


@contextlib.contextmanager
def output_to(log_file: Path) -> Iterator[TextIO]:
    """Redirects file descriptors 1 and 2 to `log_file` (appended to); yields the terminal, where `console` then writes.

    Covers C++ libraries and child processes too, and is undone at the end. Python's log records from INFO on go to the
    file with timestamps.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    terminal, errors = os.dup(1), os.dup(2)
    log_file.parent.mkdir(parents=True, exist_ok=True)
    log = os.open(log_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    root = logging.getLogger()
    before = root.handlers[:], root.level
    root.handlers, root.level = [handler], logging.INFO
    try:
        with open(terminal, "w", encoding="utf-8", errors="replace", closefd=False) as stream:
            console.use(stream)
            yield stream
    finally:
        console.use(None)
        sys.stdout.flush()
        sys.stderr.flush()
        root.handlers, root.level = before
        os.dup2(terminal, 1)
        os.dup2(errors, 2)
        os.close(terminal)
        os.close(errors)
