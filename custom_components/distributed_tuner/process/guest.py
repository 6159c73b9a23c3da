"""One more worker for a search that runs on this machine, started by hand."""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import signal
import threading
import time
from pathlib import Path

from custom_components.distributed_tuner.errors import ChiefRefused, ChiefUnreachable, ExitCode, SearchError
from custom_components.distributed_tuner.host import afresh
from custom_components.distributed_tuner.process import fork_server, main
from custom_components.distributed_tuner.rpc import credentials, messages, presence
from custom_components.distributed_tuner.rpc.client import ChiefClient
from custom_components.distributed_tuner.rpc.credentials import Access
from custom_components.distributed_tuner.rpc.presence import Presence
from custom_components.distributed_tuner.storage.search_dir import SearchDir

_LOG = logging.getLogger(__name__)

_PATIENCE_SECONDS = 10.0
_WATCH_SECONDS = 1.0
# From the end of the run: an idle worker learns from the chief itself that the search is over, and ends well.
_FAREWELL_SECONDS = 10.0
_RUN_ENDED = "the run that this worker joined has ended"


def admit(directory: SearchDir) -> tuple[str, int]:
    """Checks that a search runs here and admits workers started by this user.

    Returns:
      (the search's token, how many workers the search has now).

    Raises:
      SearchError: no search runs here, or it admits nobody.
    """
    try:
        if not directory.spec.exists():
            raise SearchError(f"{directory.root} holds no search")
        token = credentials.stored_token(directory.token)
        if token is None:
            raise SearchError(_closed(directory))
        answer = _ask(directory, token)
    except OSError as error:
        raise SearchError(f"{directory.root} cannot be read: {error}") from error
    if answer.over:
        raise SearchError(f"the search in {directory.root} is over: there is nothing left to do")
    return token, len(answer.workers)


def join(root: Path, *, again: bool = False) -> ExitCode:
    """Runs trials of the search in `root` until it is over, or until SIGTERM or Ctrl-C, which give the trial back.

    Args:
      root: the search directory. The user's function is imported as the run imports it: from the same folder.
      again: whether this worker had joined before, and has restarted itself.

    Returns:
      How the process should end.

    Raises:
      SearchError: see `admit`.
    """
    for number in (signal.SIGTERM, signal.SIGINT):
        # Until the worker has handlers of its own, there is no trial to give back.
        signal.signal(number, lambda number, frame: os._exit(ExitCode.PREEMPTED))
    afresh.hear_signals()
    directory = SearchDir(root)
    try:
        token, workers = admit(directory)
    except SearchError as error:
        if not again:
            raise
        _LOG.info("%s", error)
        return ExitCode.DONE
    name = f"guest-{os.getpid()}"
    _LOG.info("joining the search in %s as %s; Ctrl-C gives its trial back", root, name)
    importlib.import_module("custom_components.distributed_tuner.worker.worker")
    fork_server.share_cores(workers + 1)
    threading.Thread(target=_leave_with_the_run, args=(directory, token), name="run", daemon=True).start()
    code = main.run_worker(root, name, token, share=workers + 1, guest=True)
    if code is ExitCode.DONE:
        _LOG.info("the search is over")
    elif not _still_open(directory, token):
        _LOG.warning(_RUN_ENDED)
    elif code is ExitCode.FATAL:
        _LOG.error(
            "this worker cannot run trials. The user's function is looked for in the folder where this command was "
            "given, which should be the one where the search was started, and in PYTHONPATH"
        )
    return code


def _ask(directory: SearchDir, token: str) -> messages.Search:
    with contextlib.closing(ChiefClient(directory.read_address, Access(token), _PATIENCE_SECONDS)) as client:
        try:
            return client.ask(messages.Status(), timeout=_PATIENCE_SECONDS)
        except ChiefUnreachable as error:
            raise SearchError(_closed(directory)) from error
        except ChiefRefused as error:
            raise SearchError(
                f"the chief of the search in {directory.root} does not know the token in {directory.token}: another "
                "run has just begun there, or ended. Try again"
            ) from error


def _closed(directory: SearchDir) -> str:
    """Why a search that was set up admits nobody."""
    record = directory.read_record()
    if record is not None and record.ended is not None:
        return f"the search in {directory.root} has ended; the same run id with more trials goes on with it"
    found = presence.look(directory)
    if found is Presence.UNKNOWN:
        return (
            f"the search in {directory.root} has its chief on another machine "
            f"({directory.read_machine() or directory.read_address()}): only workers of that machine can join by hand. "
            "On Kubernetes the command `scale` adds workers"
        )
    if found is Presence.SERVED:
        return (
            f"a chief serves the search in {directory.root}, but {directory.token} is not there: it was not started as "
            "a local search, or ends just now"
        )
    return (
        f"no search runs in {directory.root} now: no chief answers. One that is starting needs some seconds more; one "
        "that was interrupted goes on when it is run with the same run id again"
    )


def _leave_with_the_run(directory: SearchDir, token: str) -> None:
    """Ends this process some time after the run that it joined.

    An interrupted run takes its chief with it, and a worker would wait minutes for another one.
    """
    while _still_open(directory, token):
        time.sleep(_WATCH_SECONDS)
    time.sleep(_FAREWELL_SECONDS)
    _LOG.warning(_RUN_ENDED)
    os.kill(os.getpid(), signal.SIGTERM)


def _still_open(directory: SearchDir, token: str) -> bool:
    try:
        return credentials.stored_token(directory.token) == token
    except SearchError:
        return False
