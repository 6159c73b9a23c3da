"""A process that has imported TensorFlow, keras-tuner and TFX once, and forks a chief or worker in milliseconds.

It reads one JSON object a line from standard input and writes one a line to standard output:

    {"start": name, "role": "chief" | "worker", "log": path, "env": {}, "arguments": {}}
                                   is answered by  {"started": name, "pid": n}
    the end of a child is reported as              {"ended": name, "pid": n, "code": n, "renewed": true | false}
    {"kill": name, "signal": n}    is not answered

`renewed` says that a worker gave way to a fresh process, which is to be started: the exit code alone would not show it,
since the user's code may end a process with any code.

The token of the search comes this way too, which keeps it out of argument lists and environments. When standard input
ends, the process that started the server is gone: the children get SIGTERM, then SIGKILL, and the server ends.

When a child ends, however it ends, whatever it has started and left behind is killed: nothing of the user's code (a
`multiprocessing.Pool`, a program, a daemon) runs on beside the next one. Each child leads a process group of its own,
for whatever stays in it, and adopts its orphaned descendants; the server adopts them when the child has ended. So a
child of the server that was not forked by it is such a descendant.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import json
import os
import select
import signal
import sys
import time
from typing import Any, NoReturn

from custom_components.distributed_tuner.errors import ExitCode
from custom_components.distributed_tuner.host import crash, descendants, descriptors

# Imported before the first fork, each only as a module: no channel is opened and no TensorFlow operation is run here,
# since neither survives a fork. The TFX part is what builds `fn_args`.
PRELOAD = (
    "tensorflow",
    "keras_tuner",
    "grpc.aio",
    "custom_components.distributed_tuner.chief.server",
    "custom_components.distributed_tuner.worker.worker",
)
PRELOAD_TFX = ("tfx.components.trainer.fn_args_utils", "tfx.components.util.udf_utils")

_PR_SET_PDEATHSIG = 1
_PR_SET_NAME = 15
_ORPHAN_GRACE_SECONDS = 5.0


class ForkServer:
    """The server's state: its children by name."""

    def __init__(self, output: int) -> None:
        self._output = output
        # Where a worker writes its pid when it gives way to a fresh process.
        self._notes, self._note = os.pipe()
        os.set_blocking(self._notes, False)
        self._noted: set[int] = set()
        self._pids: dict[int, str] = {}

    def serve(self, requests: int) -> None:
        """Serves requests until the descriptor `requests` ends."""
        wake_reader, wake_writer = os.pipe()
        os.set_blocking(wake_writer, False)
        os.set_blocking(wake_reader, False)
        signal.set_wakeup_fd(wake_writer, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        pending = b""
        while True:
            self._reap()
            ready, _, _ = select.select([requests, wake_reader], [], [])
            if wake_reader in ready:
                with contextlib.suppress(BlockingIOError):
                    os.read(wake_reader, 4096)
            if requests in ready:
                data = os.read(requests, 1 << 16)
                if not data:
                    break
                *lines, pending = (pending + data).split(b"\n")
                for line in lines:
                    self._handle(json.loads(line), requests)
        self._end_children()

    def _handle(self, request: dict[str, Any], requests: int) -> None:
        if "kill" in request:
            for pid, name in self._pids.items():
                if name == request["kill"]:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, request["signal"])
            return
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            os.close(requests)
            os.close(self._output)
            os.close(self._notes)
            _become(request, parent, self._note)
        self._pids[pid] = request["start"]
        self._tell({"started": request["start"], "pid": pid})

    def _reap(self) -> bool:
        """Reaps the children that have ended. Returns whether there are others, including adopted ones."""
        ended, others = [], True
        while True:
            try:
                found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                others = False
                break
            if found is None:
                break
            # Before the wait: until then the pid cannot be reused.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(found.si_pid, signal.SIGKILL)
            pid, status = os.waitpid(found.si_pid, 0)
            ended.append((self._pids.pop(pid, None), pid, os.waitstatus_to_exitcode(status)))
        if ended and others:
            # Their orphans are the server's now; they end before the caller learns of the end and starts the next one.
            descendants.kill(but=self._pids)
        for name, pid, code in ended:
            if name is not None:
                renewed = self._gave_way(pid)
                self._tell({"ended": name, "pid": pid, "code": code if code >= 0 else 128 - code, "renewed": renewed})
        return others

    def _gave_way(self, pid: int) -> bool:
        with contextlib.suppress(BlockingIOError):
            # Each note is written atomically.
            self._noted.update(map(int, os.read(self._notes, 1 << 16).split()))
        noted = pid in self._noted
        self._noted.discard(pid)
        return noted

    def _tell(self, message: dict[str, Any]) -> None:
        # The reader may be gone already; the end of its requests shows that too.
        with contextlib.suppress(BrokenPipeError):
            os.write(self._output, json.dumps(message).encode() + b"\n")

    def _end_children(self) -> None:
        deadline = time.monotonic() + _ORPHAN_GRACE_SECONDS
        for number in (signal.SIGTERM, signal.SIGKILL):
            for pid in self._pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)
            while self._reap() and (number == signal.SIGKILL or time.monotonic() < deadline):
                signal.sigtimedwait([signal.SIGCHLD], 0.05)


def _become(request: dict[str, Any], parent: int, note: int) -> NoReturn:
    """Turns the forked child into a chief or worker, which writes its pid to `note` if it gives way; never returns."""
    code = 1
    try:
        os.setpgid(0, 0)
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGCHLD, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        # A server that is killed outright must not leave its children behind.
        libc = ctypes.CDLL(None)
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        # `ps`, `top` and `pgrep` would show chief and workers by the server's name.
        libc.prctl(_PR_SET_NAME, request["start"].encode())
        if os.getppid() != parent:
            os._exit(1)
        descendants.adopt()
        log = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        null = os.open(os.devnull, os.O_RDONLY)
        for source, target in ((null, 0), (log, 1), (log, 2)):
            os.dup2(source, target)
        os.environ.update(request.get("env", {}))
        sys.stdin = open(0)  # noqa: SIM115
        # Text of the user's code, such as a file name that is not UTF-8, must not fail on its way into the log.
        sys.stdout = open(1, "w", buffering=1, errors="backslashreplace")  # noqa: SIM115
        sys.stderr = open(2, "w", buffering=1, errors="backslashreplace")  # noqa: SIM115

        from custom_components.distributed_tuner.process import main as process

        process.set_up_logging()
        arguments = dict(request["arguments"])
        if request["role"] == "worker":
            share_cores(arguments.get("share", 1))
            code = process.run_worker(**arguments)
            if code is ExitCode.RENEWED:
                os.write(note, b"%d\n" % os.getpid())
        else:
            code = process.run_chief(**arguments)
    finally:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(ValueError, OSError):
                stream.flush()
        os._exit(int(code))


def share_cores(workers: int) -> None:
    """Limits TensorFlow's threads: workers on one machine that each used every core would slow each other down."""
    import tensorflow as tf

    threads = max(1, len(os.sched_getaffinity(0)) // max(1, workers))
    tf.config.threading.set_intra_op_parallelism_threads(threads)


def main() -> None:
    """Imports the modules, reports that it is ready, and serves standard input."""
    crash.tell()
    descriptors.raise_limit()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # ctrl-C is for whoever started the server
    requests, output = os.dup(0), os.dup(1)
    os.set_inheritable(output, False)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)  # output of an import must not mix with the messages
    for module in PRELOAD + (PRELOAD_TFX if "--tfx" in sys.argv else ()):
        importlib.import_module(module)
    # keras-tuner collects garbage before each model it builds; the many objects imported here are not garbage.
    gc.freeze()
    descendants.adopt()
    server = ForkServer(output)
    os.write(output, b'{"ready": true}\n')
    server.serve(requests)
    # Nothing is left to do, and tearing down TensorFlow's modules one by one takes seconds.
    os._exit(0)


if __name__ == "__main__":
    main()
