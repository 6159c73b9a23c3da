"""The main functions of chief and worker containers: `process`, with a pod's means instead of a fork server.

Credentials come from a mounted folder. The process is the container's first, to which the kernel delivers no signal
without a handler. And a Job's controller sees nothing but exit codes, so a chief that was told to stop must not look
like one that has finished.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

from custom_components.distributed_tuner.errors import ExitCode, SearchError
from custom_components.distributed_tuner.host import afresh, gpu_check, variables
from custom_components.distributed_tuner.host.afresh import Start
from custom_components.distributed_tuner.process import main
from custom_components.distributed_tuner.record import cause
from custom_components.distributed_tuner.rpc import credentials
from custom_components.distributed_tuner.storage.search_dir import ATTEMPT, RECORD, SearchDir

_LOG = logging.getLogger(__name__)


_ANY_ADDRESS = "0.0.0.0"
_WATCH_SECONDS = 1.0
# A record may have megabytes: it is read rarely.
_RECORD_SECONDS = 30.0


def chief(
    root: Path | str,
    folder: Path,
    *,
    port: int,
    attempt: str,
    lock_seconds: float,
    linger_seconds: float,
    deserted_seconds: float,
) -> ExitCode:
    """Serves the search in `root`, on all addresses of the pod.

    Args:
      root: the path or gs:// address of the search directory.
      folder: where the credentials are mounted.
      port: to listen on.
      attempt: the same for all chiefs of one attempt at the search.
      lock_seconds: how long to wait for an earlier chief, whose node may be lost.
      linger_seconds: how long this chief stays after the end of the search.
      deserted_seconds: how long it stays without any call from the step or workers.

    Returns:
      How the process should end: DONE only when it waited long enough.
    """
    _end_at_once_on_sigterm()
    directory = SearchDir(root)
    try:
        importlib.import_module("custom_components.distributed_tuner.chief.server")
        token, server_key = credentials.read_chief(folder)
    except Exception as error:
        return _no_start("chief", error, directory)
    try:
        watch = _Desertion(directory, attempt, linger_seconds, deserted_seconds)
    except OSError as error:
        _LOG.error("the chief cannot read the search: %s", error)
        return ExitCode.CANNOT_STORE
    watch.start()
    try:
        code = main.run_chief(
            root,
            token,
            host=_ANY_ADDRESS,
            port=port,
            go_on=watch.is_new_attempt,
            server_key=server_key,
            lock_seconds=lock_seconds,
            # The Job has one pod at a time: an earlier one is dead, or cut off on a machine that is being lost.
            owner=attempt,
            called=watch.called,
        )
    except (Exception, SystemExit):
        _LOG.exception("the chief failed")
        return ExitCode.ABANDONED
    return ExitCode.DONE if code is ExitCode.PREEMPTED and watch.in_vain else code


def worker(
    root: Path | str,
    folder: Path,
    *,
    address: str,
    group: str,
    gpus: int = 0,
    environment: Mapping[str, str] = os.environ,
) -> ExitCode:
    """Runs trials of the search in `root`, as the member of its group that the Job's controller assigned.

    Args:
      root: the path or gs:// address of the search directory.
      folder: where the credentials are mounted.
      address: `host:port` of the chief.
      group: the worker's group.
      gpus: how many the group requests; if any, TensorFlow must see one.
      environment: has the index in the group, and the pod's own id.

    Returns:
      How the process should end.
    """
    _end_at_once_on_sigterm()
    try:
        importlib.import_module("custom_components.distributed_tuner.worker.worker")
        access = credentials.read_access(folder)
        name = f"{group}-{_index(environment)}"
    except Exception as error:
        return _no_start("worker", error, None)
    try:
        gpu_check.check(gpus, group, environment)
    except SearchError as error:
        # A restart would use the same image, and usually a node with the same driver.
        _LOG.error("the worker cannot start: %s", error)
        return ExitCode.FATAL
    return main.run_worker(
        root,
        name,
        access.token,
        address=address,
        authority=access.authority,
        process=environment.get(variables.PROCESS),
    )


def leave(code: ExitCode, start: Start | None = None) -> NoReturn:
    """Ends the process, without waiting for threads that the user's code may have left behind.

    Args:
      code: the exit code.
      start: how the process was started, for one that restarts itself in place.
    """
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(ValueError, OSError):
            stream.flush()
    if code is ExitCode.RENEWED and start is not None:
        try:
            start.repeat()
        except OSError:
            _LOG.exception("this worker cannot begin anew")
            os._exit(ExitCode.FAULT)
    os._exit(code)


class _Desertion:
    """A chief's duties in a pod besides serving: noting which attempt it is, and ending if nobody wants it any more."""

    def __init__(self, directory: SearchDir, attempt: str, linger_seconds: float, deserted_seconds: float) -> None:
        self._storage = directory.storage
        self._attempt = attempt
        self._linger = linger_seconds
        self._deserted = deserted_seconds
        self._quiet: float | None = None
        self._journal = self._storage.journal_position()
        self._ended: float | None = None
        self.is_new_attempt = self._storage.read(ATTEMPT) != attempt.encode()
        self.in_vain = False

    def called(self) -> None:
        """Call it when serving begins, and at each call by a client with the search's token: the step or a worker."""
        self._quiet = 0.0

    def start(self) -> None:
        threading.Thread(target=self._run, name="watch", daemon=True).start()

    def _run(self) -> None:
        noted, looked = not self.is_new_attempt, time.monotonic()
        look_every = min(_RECORD_SECONDS, self._linger / 2)
        while not self.in_vain:
            time.sleep(_WATCH_SECONDS)
            self._look_who_calls()
            try:
                if not noted and self._storage.journal_position() != self._journal:
                    # Only now: a chief that dies before it has stored anything has not begun the attempt.
                    self._storage.write(ATTEMPT, self._attempt.encode())
                    noted = True
                if time.monotonic() - looked >= look_every:
                    looked = time.monotonic()
                    self._look_at_the_end(looked)
            except (OSError, SearchError):
                _LOG.warning("the search directory cannot be looked at", exc_info=True)

    def _look_who_calls(self) -> None:
        # A search that is over has its own limit.
        if self._quiet is None or self._ended is not None:
            return
        # Not by the clock: nobody can call this process while it is suspended.
        self._quiet += _WATCH_SECONDS
        if self._quiet >= self._deserted:
            # The step is dead, and no worker can start: such a search never ends, and nobody else would end it.
            self._end(f"neither step nor workers have called for {self._deserted:g} s")

    def _look_at_the_end(self, now: float) -> None:
        record = self._storage.read_json(RECORD)
        if not isinstance(record, dict) or record.get("ended") is None:
            self._ended = None
        elif self._ended is None:
            self._ended = now
        elif now - self._ended >= self._linger:
            self._end(f"the search is over for {self._linger:g} s and nobody came for it")

    def _end(self, why: str) -> None:
        if self.in_vain:
            return
        _LOG.warning("%s: this chief ends. The same run id goes on with the search", why)
        self.in_vain = True
        os.kill(os.getpid(), signal.SIGTERM)


def _index(environment: Mapping[str, str]) -> int:
    index = environment.get(variables.INDEX, "")
    if not index.isdigit():
        raise SearchError(
            f"{variables.INDEX} is {index!r}: workers are pods of an Indexed Job, whose controller sets it. Do not "
            "start them by hand"
        )
    return int(index)


def _no_start(name: str, error: Exception, directory: SearchDir | None) -> ExitCode:
    """Reports a fault of the image or of what is mounted, which no restart fixes."""
    trace = traceback.format_exc()
    message = str(error) if isinstance(error, SearchError) else cause.of_error(error)
    _LOG.error("the %s cannot start: %s\n%s", name, message, trace)
    if directory is not None:
        try:
            directory.write_error(name, f"the {name} cannot start: {message}", trace)
        except OSError:
            _LOG.exception("the reason could not be stored")
    return ExitCode.FATAL


def _end_at_once_on_sigterm() -> None:
    """Applies until chief or worker have a handler of their own."""
    signal.signal(signal.SIGTERM, lambda number, frame: os._exit(ExitCode.PREEMPTED))
    afresh.hear_signals()
