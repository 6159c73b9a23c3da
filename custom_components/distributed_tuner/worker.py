"""A worker: runs the user's tuner, trial after trial, for the search's chief."""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
import traceback
from collections.abc import Callable

from keras_tuner.src import errors as keras_tuner_errors

from custom_components.distributed_tuner import rpc, training, user_code
from custom_components.distributed_tuner.answers import Directive
from custom_components.distributed_tuner.client import ChiefClient
from custom_components.distributed_tuner.credentials import Access
from custom_components.distributed_tuner.errors import ChiefUnreachable, DiskFull, ExitCode, SearchError
from custom_components.distributed_tuner.heartbeat import Heartbeat
from custom_components.distributed_tuner.remote_oracle import CurrentTrial, RemoteOracle
from custom_components.distributed_tuner.resume import randomness
from custom_components.distributed_tuner.resume.executions import Executions
from custom_components.distributed_tuner.search_dir import SearchDir
from custom_components.distributed_tuner.spec import SearchSpec

_LOG = logging.getLogger(__name__)


def work(
    directory: SearchDir, worker: str, access: Access, address: Callable[[], str | None], process: str | None = None
) -> ExitCode:
    """Runs trials until the search is over.

    Args:
      directory: the search.
      worker: this worker's id.
      access: what the chief asks for.
      address: where the chief is.
      process: tells this process from others, also on other machines, that bear the same worker's id; its number if
        left out.

    Returns:
      How the process should end.
    """
    spec = SearchSpec.read(directory.spec)
    options = spec.options
    process = process or str(os.getpid())
    current = CurrentTrial()
    executions = Executions(current)

    def client(patience: float) -> ChiefClient:
        return ChiefClient(address, access, patience)

    calls = client(options.chief_timeout_seconds)
    give_back_on_sigterm(client(options.grace_seconds / 2), worker, current)
    randomness.make_restorable()
    try:
        tuner, fit_kwargs = user_code.build(spec, directory.root, process=worker, populate=False)
    except user_code.UserCodeError as error:
        calls.call(rpc.FAIL, {"worker": worker, "message": str(error), "traceback": error.trace})
        return ExitCode.FATAL
    oracle = RemoteOracle(tuner.oracle, calls, worker, process, current)
    tuner.oracle, tuner.tuner_id = oracle, worker
    # A worker stores no tuner state; the trial's results are with the chief.
    tuner.save = lambda: None
    heartbeat = Heartbeat(
        client(options.chief_timeout_seconds),
        worker,
        process,
        current,
        every_seconds=options.heartbeat_seconds,
        lease_seconds=options.lease_seconds,
        grace_seconds=options.grace_seconds,
    )

    def on_epoch() -> tuple[Directive, str]:
        executions.epoch()
        directive, reason = heartbeat.orders(current.trial_id or "")
        if directive is Directive.ABANDON:
            current.abandon()
        return directive, reason

    heartbeat.start()
    try:
        with executions.kept(tuner), training.followed(on_epoch, executions):
            tuner.search(**fit_kwargs)
    except ChiefUnreachable as error:
        _LOG.error("%s", error)
        return ExitCode.CHIEF_LOST
    except DiskFull as error:
        _LOG.error("%s", error)
        _give_back(calls, worker, current, patience_seconds=options.grace_seconds / 2)
        return ExitCode.CANNOT_STORE
    except (keras_tuner_errors.FatalError, SearchError) as error:
        # keras-tuner's word for a fault of the user's code that every trial would meet.
        trace = traceback.format_exc()
        _LOG.error("%s", trace)
        oracle.end_running(error)
        message = f"{type(error).__name__}: {error}"
        calls.call(rpc.FAIL, {"worker": worker, "message": message, "traceback": trace})
        return ExitCode.FATAL
    finally:
        heartbeat.stop()
        try:
            oracle.give_back_next()
        except SearchError as error:
            _LOG.warning("the next trial could not be given back, its lease expires by itself: %s", error)
        calls.close()
    return ExitCode.DONE


def give_back_on_sigterm(client: ChiefClient, worker: str, current: CurrentTrial) -> None:
    """On SIGTERM the trial goes back to the chief at once, and the process ends.

    Python runs a signal handler between two bytecodes of the main thread, which a long TensorFlow call puts off; the
    wake-up descriptor is written by the C handler itself, so a thread that reads it is told within milliseconds.
    """
    reader, writer = socket.socketpair()
    writer.setblocking(False)
    signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
    signal.signal(signal.SIGTERM, lambda number, frame: None)

    def wait(open_end: socket.socket = writer) -> None:
        # Python keeps the descriptor only; the socket must live as long as this thread, hence `open_end`. Every signal
        # that Python handles is written to it.
        while signal.SIGTERM not in reader.recv(16):
            continue
        _LOG.warning("SIGTERM: this worker ends")
        _give_back(client, worker, current)
        logging.shutdown()
        os._exit(ExitCode.PREEMPTED)

    threading.Thread(target=wait, name="sigterm", daemon=True).start()


def _give_back(
    client: ChiefClient, worker: str, current: CurrentTrial, *, patience_seconds: float | None = None
) -> None:
    trial_id = current.held
    if trial_id is None:
        return
    try:
        message = {"worker": worker, "trial_id": trial_id}
        client.call(rpc.RELEASE, message, timeout=2.0, patience_seconds=patience_seconds)
        _LOG.warning("trial %s is given back", trial_id)
    except SearchError as error:
        # The lease expires by itself then.
        _LOG.warning("trial %s could not be given back: %s", trial_id, error)
