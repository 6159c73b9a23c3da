"""Finds a Python 3.10 that really runs.

A name on PATH proves nothing: pyenv leaves a `python3.10` shim there that fails unless that version is switched on, and
an interpreter built without OpenSSL or ctypes starts well and fails at the first import of TensorFlow. So every
candidate is run, and the first one that passes is taken.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Iterator, List, Mapping, NamedTuple, Optional, Tuple, Union

WANTED = (3, 10)
NAME = "python{}.{}".format(*WANTED)
PROBE_SECONDS = 60

# Answers with the interpreter beneath a virtual environment, so that ours does not hang on another one's life.
_PROBE = """
import json, os, platform, sys
import bz2, ctypes, lzma, sqlite3, ssl, zlib
path = os.path.realpath(sys.executable)
if sys.prefix != sys.base_prefix and path.startswith(os.path.realpath(sys.prefix) + os.sep):
    path = os.path.join(sys.base_prefix, "bin", "python%d.%d" % sys.version_info[:2])
print(json.dumps({"path": path, "version": list(sys.version_info[:3]), "name": platform.python_implementation()}))
"""


class Interpreter(NamedTuple):
    """A Python that has been run and found fit."""

    path: str
    version: str


class Rejection(NamedTuple):
    """A Python that was tried, and why it will not do."""

    path: str
    reason: str


def candidates(environ: Mapping[str, str]) -> Iterator[str]:
    """Yields the paths to try, best first: $PYTHON, every python3.10 on PATH, then pyenv's versions, newest first."""
    search_path = environ.get("PATH", os.defpath)
    wish = environ.get("PYTHON")
    if wish:
        yield shutil.which(wish, path=search_path) or wish
    for folder in search_path.split(os.pathsep):
        found = shutil.which(NAME, path=folder) if folder else None
        if found:
            yield found
    pyenv_root = environ.get("PYENV_ROOT") or os.path.join(environ.get("HOME") or os.path.expanduser("~"), ".pyenv")
    versions = Path(pyenv_root, "versions")
    fitting = re.compile(r"{}\.{}(\.\d+)?".format(*WANTED))
    names = [entry.name for entry in versions.iterdir() if fitting.fullmatch(entry.name)] if versions.is_dir() else []
    for name in sorted(names, key=lambda name: [int(part) for part in name.split(".")], reverse=True):
        yield str(versions / name / "bin" / NAME)


def probe(path: str) -> Union[Interpreter, Rejection]:
    """Runs the Python at `path` and says what it is, or why it will not do."""
    try:
        run = subprocess.run([path, "-I", "-c", _PROBE], capture_output=True, text=True, timeout=PROBE_SECONDS)
    except subprocess.TimeoutExpired:
        return Rejection(path, "gave no answer in {} s".format(PROBE_SECONDS))
    except OSError as error:
        return Rejection(path, error.strerror or str(error))
    if run.returncode != 0:
        return Rejection(path, _complaint(run.stderr) or "exit status {}".format(run.returncode))
    try:
        answer = json.loads(run.stdout)
    except ValueError:
        return Rejection(path, "does not behave like a Python: it printed {!r}".format(run.stdout[:80]))
    version = ".".join(str(part) for part in answer["version"])
    if tuple(answer["version"][:2]) != WANTED:
        return Rejection(path, "is Python {}, not {}.{}".format(version, *WANTED))
    if answer["name"] != "CPython":
        return Rejection(path, "is {}, not CPython".format(answer["name"]))
    return Interpreter(answer["path"], version)


def find(environ: Mapping[str, str]) -> Tuple[Optional[Interpreter], List[Rejection]]:
    """Returns the first candidate that runs, or None, and those tried before it."""
    rejected: List[Rejection] = []
    for path in candidates(environ):
        result = probe(path)
        if isinstance(result, Interpreter):
            return result, rejected
        rejected.append(result)
    return None, rejected


def _complaint(stderr: str) -> str:
    """Picks the telling line: a traceback ends with it, anything else (pyenv's shim) starts with it."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    if not lines:
        return ""
    return lines[-1] if lines[0].startswith("Traceback") else lines[0]
