"""`python3 -m scripts.bootstrap`: sets up what is missing and says nothing where nothing is.

`python3 -m scripts.bootstrap uv …` runs the project's uv with the given arguments instead.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator, List, Mapping

from scripts.bootstrap import SetupError, interpreter, pip_settings, say, uv_tool
from scripts.bootstrap.environment import SYNC_SECONDS, Environment
from scripts.bootstrap.interpreter import NAME, WANTED, Interpreter, Rejection

ROOT = Path(__file__).resolve().parents[2]
DOWNLOAD_SECONDS = 900


def main(arguments: List[str]) -> int:
    """Returns the exit status: 0 when the environment is ready."""
    try:
        if arguments[:1] == ["uv"]:
            uv = uv_tool.locate(ROOT, os.environ)
            return subprocess.run(
                [uv, *arguments[1:]], env={**os.environ, **pip_settings.for_uv(os.environ)}
            ).returncode
        set_up(ROOT, os.environ)
    except SetupError as error:
        print("setup: {}".format(error), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("setup: interrupted; the same command goes on from here", file=sys.stderr)
        return 130
    return 0


def set_up(root: Path, environ: Mapping[str, str]) -> None:
    """Makes the environment of the checkout at `root` ready to use.

    Raises:
        SetupError: it cannot be made ready.
    """
    environment = Environment(root, environ)
    if environment.is_current():
        return
    with _only_one(root / ".tools" / "setup.lock"):
        if environment.is_current():  # another set-up finished while this one waited
            return
        uv = uv_tool.locate(root, environ)
        python = find_python(uv, environ)
        if environment.stamped() != environment.fingerprint(python):
            first = environment.stamped() is None
            say("setting up .venv (the first time it downloads several hundred MB)" if first else "updating .venv")
            started = time.monotonic()
            environment.build(uv, python)
            say("ready in {:.0f} s, Python {}".format(time.monotonic() - started, python.version))


def find_python(uv: str, environ: Mapping[str, str]) -> Interpreter:
    """Returns a Python that runs: one of the machine's, else one that uv brings.

    Raises:
        SetupError: there is none, and uv could not download one.
    """
    found, rejected = interpreter.find(environ)
    wish = environ.get("PYTHON")
    if wish and rejected:
        say("PYTHON={} will not do: {}".format(wish, rejected[0].reason))
    if found is not None:
        return found
    wanted = "{}.{}".format(*WANTED)
    say("no Python {} runs here; uv fetches one".format(wanted))
    _ask_uv([uv, "python", "install", "--no-bin", wanted], environ, rejected)
    answer = _ask_uv([uv, "python", "find", "--managed-python", "--no-project", wanted], environ, rejected)
    result = interpreter.probe(answer.strip())
    if isinstance(result, Rejection):
        raise SetupError(_no_python([*rejected, result], "the one that uv brought does not run"))
    return result


def _ask_uv(command: List[str], environ: Mapping[str, str], rejected: List[Rejection]) -> str:
    """Returns what uv prints; where it fails, its message goes into ours."""
    child = {**environ, **pip_settings.for_uv(environ)}
    try:
        run = subprocess.run(command, env=child, capture_output=True, text=True, timeout=DOWNLOAD_SECONDS)
    except subprocess.TimeoutExpired:
        raise SetupError(_no_python(rejected, "uv's download took more than {} s".format(DOWNLOAD_SECONDS))) from None
    if run.returncode != 0:
        why = "uv could not fetch one ({})".format(" ".join(run.stderr.split()))
        raise SetupError(_no_python(rejected, why))
    return run.stdout


def _no_python(rejected: List[Rejection], why: str) -> str:
    tried = "".join("\n  {}: {}".format(path, reason) for path, reason in rejected) or "\n  none was found"
    return (
        "the project needs Python {}.{}, and {}.\nTried on this machine:{}\n"
        "Install one (pyenv install {}.{}, or your system's packages) and run the same command again, or name one:\n"
        "  make setup PYTHON=/path/to/{}".format(*WANTED, why, tried, *WANTED, NAME)
    )


@contextmanager
def _only_one(path: Path) -> Iterator[None]:
    """Holds a lock file, so that two set-ups of one checkout do not mix. The kernel frees it when the holder dies."""
    path.parent.mkdir(exist_ok=True)
    deadline = time.monotonic() + SYNC_SECONDS
    told = False
    with path.open("w") as handle:
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise SetupError(
                        "another set-up has held {} for {} s; end it first".format(path, SYNC_SECONDS)
                    ) from None
                if not told:
                    say("waiting for another set-up of this checkout")
                    told = True
                time.sleep(0.2)
        yield


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
