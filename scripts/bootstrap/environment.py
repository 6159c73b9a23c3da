"""The environment `.venv`: when it is still good, and how it is built.

A stamp inside the environment says what it was built from. It is removed before anything is touched and written last,
so that a set-up that was cut short is seen as such and done over; without a stamp nothing in the folder is trusted.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Dict, List, Mapping, NamedTuple, Optional

from scripts.bootstrap import SetupError, pip_settings
from scripts.bootstrap.interpreter import Interpreter

SYNC_SECONDS = 3600
BYTES_NEEDED = 3 * 1000**3  # the packages take 2.0 GB unpacked, and the wheels pass through uv's cache
STAMP = ".stamp.json"
PATH_FILE = "project.pth"


class Fingerprint(NamedTuple):
    """What an environment depends on: when any of it changes, it is brought up to date."""

    lock: str
    interpreter: str
    version: str
    root: str


class Environment:
    """The virtual environment of the checkout at `root`."""

    def __init__(self, root: Path, environ: Mapping[str, str]) -> None:
        self.root = root
        self.folder = root / ".venv"
        self.python = self.folder / "bin" / "python"
        self.lock = root / "requirements" / "lock.txt"
        self._stamp = self.folder / STAMP
        self._environ = environ

    def fingerprint(self, interpreter: Interpreter) -> Fingerprint:
        """Says what an environment built now, on `interpreter`, would depend on."""
        lock = hashlib.sha256(self.lock.read_bytes()).hexdigest()
        return Fingerprint(lock, interpreter.path, interpreter.version, str(self.root))

    def stamped(self) -> Optional[Fingerprint]:
        """Returns what the environment was built from; None where it is absent, incomplete or no longer runs."""
        if not self.python.exists():  # False as well where its interpreter is gone, since it is a link to that
            return None
        try:
            return Fingerprint(**json.loads(self._stamp.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None

    def is_current(self) -> bool:
        """Whether there is nothing to do, told without a search: unless $PYTHON asks for another interpreter."""
        built = self.stamped()
        if built is None:
            return False
        wish = self._environ.get("PYTHON")
        if wish and os.path.realpath(shutil.which(wish) or wish) != built.interpreter:
            return False
        return built == self.fingerprint(Interpreter(built.interpreter, built.version))

    def build(self, uv: str, interpreter: Interpreter) -> None:
        """Brings the environment to the state of the lock: from nothing, or by the difference where only that changed.

        Raises:
            SetupError: the disk is too full, or uv failed; the message ends with uv's own.
        """
        wanted = self.fingerprint(interpreter)
        built = self.stamped()
        if built == wanted:
            return
        if self._stamp.exists():
            self._stamp.unlink()
        if built is None or built._replace(lock=wanted.lock) != wanted:
            self._check_space()
            self._run([uv, "venv", "--quiet", "--clear", "--python", interpreter.path, str(self.folder)])
        sync = [
            uv,
            "pip",
            "sync",
            "--python",
            str(self.python),
            "--require-hashes",
            "--compile-bytecode",
            str(self.lock),
        ]
        self._run(sync)
        self._make_importable()
        unfinished = self._stamp.with_suffix(".new")
        unfinished.write_text(json.dumps(wanted._asdict(), indent=2), encoding="utf-8")
        os.replace(str(unfinished), str(self._stamp))

    def _make_importable(self) -> None:
        """Puts the checkout on the environment's import path, for child processes and from any folder.

        A path file rather than an editable install: it needs no build, and pip's and uv's records stay as locked.
        """
        site_packages = next(self.folder.glob("lib/python3.*/site-packages"))
        (site_packages / PATH_FILE).write_text(str(self.root) + "\n", encoding="utf-8")

    def _check_space(self) -> None:
        free = shutil.disk_usage(str(self.root)).free
        if free < BYTES_NEEDED and not self.folder.exists():
            raise SetupError(
                "{} has {:.1f} GB free and the environment needs {:.1f} GB: make room, or move the checkout".format(
                    self.root, free / 1e9, BYTES_NEEDED / 1e9
                )
            )

    def _run(self, command: List[str]) -> None:
        """Runs uv: its progress on a terminal; elsewhere its words go to a log that an error quotes."""
        environ: Dict[str, str] = {**self._environ, **pip_settings.for_uv(self._environ)}
        environ.pop("VIRTUAL_ENV", None)  # whichever environment is active, this is about ours
        log = self.root / ".tools" / "setup.log"
        log.parent.mkdir(exist_ok=True)
        watched = sys.stderr.isatty()
        with log.open("w", encoding="utf-8") as output:
            target = None if watched else output
            try:
                status = subprocess.run(
                    command, env=environ, stdout=target, stderr=target, timeout=SYNC_SECONDS
                ).returncode
            except subprocess.TimeoutExpired:
                raise SetupError(
                    "uv was still not done after {} s: {}".format(SYNC_SECONDS, " ".join(command))
                ) from None
        if status != 0:
            said = "" if watched else "\n" + "\n".join(log.read_text(encoding="utf-8").splitlines()[-20:])
            raise SetupError(
                "uv could not install the locked packages ({}).\nUsual causes are the network (uv reads pip's index "
                "settings, and UV_DEFAULT_INDEX) and a machine other than x86-64 Linux, for which TensorFlow Extended "
                "publishes no packages.{}".format(" ".join(command[1:3]), said)
            )
