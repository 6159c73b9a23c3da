"""Of a crash in native code people see the stack that led to it, however much else the log holds."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from custom_components.distributed_tuner.errors import SearchError
from custom_components.distributed_tuner.host import crash, files

BEFORE = [f"said before {number}" for number in range(40)]
FATAL = "Fatal Python error: Segmentation fault"


def stack(head: str, name: str, calls: int) -> list[str]:
    frames = [f'  File "{name}.py", line {number} in f' for number in range(calls)]
    return [f"{head} 0x00007f (most recent call first):", *frames, ""]


OTHERS = [*stack("Thread", "other", 30), *stack("Thread", "another", 30)]
MAIN = stack("Thread", "main", 60)
MODULES = ["Extension modules: numpy, tensorflow (total: 2)"]


def test_the_stack_of_the_thread_that_crashed_is_shown_innermost_first() -> None:
    dump = [FATAL, "", *OTHERS, *stack("Current thread", "user", 25), *MAIN, *MODULES]
    shown = crash.last_lines("\n".join([*BEFORE, *dump]), 20).splitlines()
    assert shown == [*BEFORE[-5:], FATAL, *stack("Current thread", "user", 20)[:-1], "  ..."]


def test_where_no_python_crashed_the_main_thread_is_shown() -> None:
    dump = [FATAL, "", *OTHERS, *MAIN, *MODULES]
    shown = crash.last_lines("\n".join([*BEFORE, *dump, "started again"]), 20).splitlines()
    assert shown == [*BEFORE[-5:], FATAL, *MAIN[:21], "  ...", "started again"]


def test_a_crash_long_ago_and_one_that_fits_change_nothing() -> None:
    dump = [FATAL, "", *stack("Current thread", "user", 3)]
    assert crash.last_lines("\n".join([*dump, *BEFORE]), 20).splitlines() == BEFORE[-20:]
    fits = crash.last_lines("\n".join([*BEFORE, *dump]), 20).splitlines()
    assert fits == [*BEFORE[-14:], FATAL, *dump[2:-1]]
    assert crash.last_lines("\n".join([FATAL, "cut off by another line"]), 20).splitlines()[0] == FATAL
    assert crash.last_lines("", 20) == ""


def test_a_process_writes_its_stacks_to_whatever_its_standard_error_is_by_then(tmp_path: Path) -> None:
    log = tmp_path / "log"
    code = (
        "import os, sys, threading, time\n"
        "from custom_components.distributed_tuner.host import crash\n"
        "crash.tell()\n"
        "threading.Thread(target=time.sleep, args=(60,), daemon=True).start()\n"
        "os.dup2(os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_APPEND), 2)\n"
        "def deep(n):\n    deep(n - 1) if n else os.abort()\n"
        "deep(15)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(log)], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (-signal.SIGABRT, "")
    shown = files.tail(log, 20).splitlines()
    assert shown[0] == "Fatal Python error: Aborted" and shown[1].startswith("Current thread")
    assert shown[2] == '  File "<string>", line 7 in deep' and shown[-1] == '  File "<string>", line 8 in <module>'


@pytest.mark.timeout(180)
def test_a_worker_that_crashes_in_a_trial_leaves_the_stack_in_its_own_log(make_search: Callable[..., Any]) -> None:
    made = make_search("crashes_after_a_trial")
    with pytest.raises(SearchError, match=r"(?s)exit code 139.* in crashes_after_a_trial"):
        made.run(workers=1)
    _, first, *_ = made.directory.log("worker-0").read_text().split(FATAL)
    assert re.search(r'user_tuners\.py", line \d+ in end\n', first), first
    assert FATAL not in made.directory.log("chief").read_text()
