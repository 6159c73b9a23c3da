"""The main functions of chief and worker processes, the same under every cluster backend."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import sys
import traceback
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from custom_components.distributed_tuner.errors import ChiefUnreachable, DiskFull, ExitCode, SearchError, SearchLocked
from custom_components.distributed_tuner.host import crash, descriptors, shortage
from custom_components.distributed_tuner.host.bounded_formatter import BoundedFormatter
from custom_components.distributed_tuner.oracle import environment
from custom_components.distributed_tuner.record import cause
from custom_components.distributed_tuner.rpc import chief_address
from custom_components.distributed_tuner.rpc.credentials import Access, ServerKey
from custom_components.distributed_tuner.spec import SearchSpec
from custom_components.distributed_tuner.storage.base import Locked, StorageError
from custom_components.distributed_tuner.storage.search_dir import LOCK, SearchDir

_LOG = logging.getLogger(__name__)

# A chief whose oracle computes in another thread must still answer a heartbeat at once: with Python's default switch
# interval, each call would wait for the interpreter several times, 5 ms each.
_CHIEF_SWITCH_SECONDS = 0.0005

# The chief of an earlier run that was killed holds the lock until it is told to stop, or is killed too.
_LOCK_SECONDS = 10.0


def run_chief(
    root: Path | str,
    token: str,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    fixed_port: bool = True,
    go_on: bool,
    server_key: ServerKey | None = None,
    lock_seconds: float = _LOCK_SECONDS,
    owner: str = "",
    called: Callable[[], None] | None = None,
) -> ExitCode:
    """Serves the search in `root` until SIGTERM.

    Args:
      root: the path or gs:// address of the search directory, with its spec.
      token: the bearer token that callers must present.
      host: the address to listen on.
      port: the port, 0 for any.
      fixed_port: whether it must be this port. Otherwise another one is taken if this one is in use.
      go_on: whether this is a new attempt at an earlier search, see `Study.restore`.
      server_key: for TLS; without it the chief serves unencrypted, for this machine only.
      lock_seconds: how long to wait for another chief of the same search, on a machine that is being lost.
      owner: the same for all chiefs of one cluster, of which one runs at a time. In a bucket, where nobody can tell at
        once whether a process is dead, a chief takes the search over from an earlier one of the same owner without
        waiting.
      called: called when serving begins, and at each call by a client with the token.

    Returns:
      How the process should end; the reason for a fatal end is in the search directory's error file.
    """
    environment.drop()
    descriptors.raise_limit()
    directory = SearchDir(root)
    try:
        with directory.storage.held(LOCK, owner=owner or uuid.uuid4().hex, wait_seconds=lock_seconds):
            return _serve(directory, token, host, port, fixed_port, go_on, server_key, called)
    except Locked:
        _LOG.error("another chief serves the search in %s already; this one ends", root)
        return ExitCode.FATAL
    except SearchLocked as error:
        # The error file belongs to the search that the other chief serves.
        _LOG.error("%s", error)
        return ExitCode.FATAL
    except (SearchError, OSError) as error:
        _LOG.error("the chief gives up", exc_info=True)
        if shortage.passes(error):
            # A restart may find what was short this time; the cluster counts the restarts.
            return ExitCode.FAULT
        if isinstance(error, StorageError):
            # The reason could not be stored in an unreachable bucket either; it is in the log.
            return ExitCode.CANNOT_STORE
        trace = getattr(error, "trace", "") if isinstance(error, SearchError) else traceback.format_exc()
        return ExitCode.FATAL if _leave_word(directory, str(error), trace) else ExitCode.CANNOT_STORE
    except BaseException as error:
        # SystemExit too. Whatever it is, a restart would meet it again.
        _LOG.critical("the chief met an error of its own", exc_info=True)
        message = f"the chief met an error of its own, {cause.of_error(error)}"
        return ExitCode.FATAL if _leave_word(directory, message, traceback.format_exc()) else ExitCode.CANNOT_STORE


def run_worker(
    root: Path | str,
    worker: str,
    token: str,
    *,
    address: str | None = None,
    authority: bytes | None = None,
    process: str | None = None,
    share: int = 1,
    guest: bool = False,
) -> ExitCode:
    """Runs trials of the search in `root`.

    Args:
      root: the path or gs:// address of the search directory, with its spec.
      worker: this worker's id.
      token: the search's bearer token.
      address: `host:port` of the chief; read from the search directory if left out.
      authority: the certificate that signed the chief's, if the chief requires TLS.
      process: see `worker.work`.
      share: see `worker.work`.
      guest: see `worker.work`.

    Returns:
      How the process should end.
    """
    from custom_components.distributed_tuner.worker import worker as worker_module

    # The tuner reads the variables again when its search begins.
    environment.drop()
    descriptors.raise_limit()
    directory = SearchDir(root)
    find = chief_address.finder(directory)
    try:
        return worker_module.work(
            directory,
            worker,
            Access(token, authority),
            (lambda: address) if address else find,
            process,
            share=share,
            guest=guest,
        )
    except DiskFull as error:
        _LOG.error("%s", error)
        return ExitCode.CANNOT_STORE
    except ChiefUnreachable as error:
        _LOG.error("%s", error)
        return ExitCode.CHIEF_LOST
    except SearchError as error:
        _LOG.error("%s", "\n".join(filter(None, (str(error), getattr(error, "trace", "")))))
        return ExitCode.FATAL
    except BaseException:
        # SystemExit too: the user's code must not decide what the exit code tells the cluster.
        _LOG.exception("the worker failed")
        return ExitCode.FAULT


def set_up_logging() -> None:
    """Logs to standard error, the process's log file, with timestamps; in a crash the stacks go there too."""
    crash.tell()
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(BoundedFormatter("%(asctime)s %(levelname).1s %(name)s: %(message)s"))
    logging.basicConfig(handlers=[handler], level=logging.INFO, force=True)


def _serve(
    directory: SearchDir,
    token: str,
    host: str,
    port: int,
    fixed_port: bool,
    go_on: bool,
    server_key: ServerKey | None,
    called: Callable[[], None] | None,
) -> ExitCode:
    from custom_components.distributed_tuner.chief import server, stock_service
    from custom_components.distributed_tuner.chief.chief import Chief
    from custom_components.distributed_tuner.oracle import user_tuner
    from custom_components.distributed_tuner.oracle.calls import OracleError
    from custom_components.distributed_tuner.oracle.suggester import OracleSuggester

    spec = SearchSpec.read(directory.storage)
    directory = SearchDir(directory.storage.patient(spec.options.bucket_patience_seconds))
    if server_key and spec.options.allow_stock_workers:
        raise SearchError(
            "search option allow_stock_workers: keras-tuner's own workers know neither TLS nor a token, so they can "
            "join no search whose chief is on a network"
        )
    tuner, _, notices = user_tuner.build(spec, directory.url, process="chief", populate=True)
    for notice in notices:
        _LOG.warning("%s", notice)
    if spec.options.allow_stock_workers:
        stock_service.check_algorithm(tuner.oracle)
    user_tuner.check_space(tuner)
    project_dir = _project_dir(tuner, directory)
    sys.setswitchinterval(_CHIEF_SWITCH_SECONDS)
    # TensorFlow's million objects are permanent: a collection that walks through them delays every call.
    gc.collect()
    gc.freeze()

    async def main() -> None:
        try:
            chief = Chief(
                name=spec.name,
                suggester=OracleSuggester(tuner.oracle, repeat=spec.options.repeat_configurations),
                options=spec.options,
                directory=directory,
                project_dir=project_dir,
                go_on=go_on,
                notices=notices,
            )
        except OracleError as error:
            raise SearchError(f"the stored search in {directory.url} cannot be taken up: {error}") from error
        await server.run(
            chief,
            directory,
            token=token,
            host=host,
            port=port,
            fixed_port=fixed_port,
            stock_workers=spec.options.allow_stock_workers,
            server_key=server_key,
            called=called,
        )

    asyncio.run(main())
    # It was told to stop. Only its cluster knows whether the search is over; if not, the cluster restarts it.
    return ExitCode.PREEMPTED


def _project_dir(tuner: Any, directory: SearchDir) -> str:
    """The folder of keras-tuner's own files, in the search directory."""
    project = os.path.relpath(f"{tuner.directory}/{tuner.project_name}", directory.url)
    if directory.storage.path is None and project.startswith(os.pardir):
        _LOG.warning(
            "the tuner's directory is %s, which other machines do not see: give it fn_args.working_dir. Until then a "
            "lost worker's trials begin anew",
            tuner.directory,
        )
        return str(tuner.project_name)
    return project


def _leave_word(directory: SearchDir, message: str, trace: str) -> bool:
    """Stores the chief's reason; returns whether that succeeded."""
    try:
        directory.write_error("chief", message, trace)
    except OSError:
        # A full disk has no room for the reason either; it is then in the log only.
        _LOG.exception("the reason could not be stored")
        return False
    return True
