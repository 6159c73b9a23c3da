"""A worker: runs the user's tuner, trial after trial, for the search's chief."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import threading
import traceback
from collections.abc import Callable

from keras_tuner.src import errors as keras_tuner_errors

from custom_components.distributed_tuner.errors import (
    ChiefRefused,
    ChiefUnreachable,
    DiskFull,
    ExitCode,
    SearchError,
    WorkerReplaced,
    describe,
    storable,
)
from custom_components.distributed_tuner.options import SearchOptions
from custom_components.distributed_tuner.oracle import user_tuner
from custom_components.distributed_tuner.rpc import messages
from custom_components.distributed_tuner.rpc.client import ChiefClient
from custom_components.distributed_tuner.rpc.credentials import Access
from custom_components.distributed_tuner.space import entry_values
from custom_components.distributed_tuner.spec import SearchSpec
from custom_components.distributed_tuner.storage.search_dir import SearchDir
from custom_components.distributed_tuner.study.answers import Directive
from custom_components.distributed_tuner.worker import (
    best_epoch,
    one_time_input,
    termination,
    traced_gradients,
    training,
)
from custom_components.distributed_tuner.worker.current_trial import CurrentTrial
from custom_components.distributed_tuner.worker.heartbeat import Heartbeat
from custom_components.distributed_tuner.worker.remote_oracle import RemoteOracle
from custom_components.distributed_tuner.worker.renewal import Renewal, Renewed
from custom_components.distributed_tuner.worker.resume import randomness
from custom_components.distributed_tuner.worker.resume.executions import Executions
from custom_components.distributed_tuner.worker.resume.pace import Pace
from custom_components.distributed_tuner.worker.termination import Departure

_LOG = logging.getLogger(__name__)


def work(
    directory: SearchDir,
    worker: str,
    access: Access,
    address: Callable[[], str | None],
    process: str | None = None,
    *,
    share: int = 1,
    guest: bool = False,
) -> ExitCode:
    """Runs trials until the search is over.

    Args:
      directory: the search directory.
      worker: this worker's id.
      access: the credentials for the chief.
      address: returns the chief's address.
      process: distinguishes this process from others, also on other machines, with the same worker id; the PID if left
        out.
      share: how many workers share the memory of this machine or pod.
      guest: whether this worker was started by hand: if the tuner cannot be built, its environment is to blame, and the
        worker ends instead of the search.

    Returns:
      How the process should end.

    Raises:
      ChiefUnreachable: no chief answered for `chief_timeout_seconds`.
      SearchError: the search directory cannot be read, or the tuner of a guest cannot be built.
    """
    spec = SearchSpec.read(directory.storage)
    options = spec.options
    process = process or str(os.getpid())
    current = CurrentTrial()
    departure = Departure()
    executions = Executions(current, Pace.in_directory(directory.url), departure)

    calls = ChiefClient(address, access, options.chief_timeout_seconds)
    patience = options.grace_seconds / 2
    termination.give_back_on_sigterm(calls, worker, process, current, departure, patience_seconds=patience)
    randomness.make_restorable()
    begun = threading.Event()
    _end_unless_begun(begun, calls, worker, process, options)
    try:
        tuner, fit_kwargs, _ = user_tuner.build(spec, directory.url, process=worker, populate=False)
    except user_tuner.UserCodeError as error:
        if guest:
            raise
        return _fault(calls, worker, process, str(error), error.trace)
    places = (directory.url, f"{tuner.directory}/{tuner.project_name}")
    oracle = RemoteOracle(tuner.oracle, calls, worker, process, current, begun, places, Renewal(options, share))
    tuner.oracle, tuner.tuner_id = oracle, worker
    # A worker stores no tuner state; the chief has the trials' results.
    tuner.save = lambda: None
    heartbeat = Heartbeat(
        calls,
        worker,
        process,
        current,
        every_seconds=options.heartbeat_seconds,
        lease_seconds=options.lease_seconds,
        grace_seconds=options.grace_seconds,
    )

    def on_epoch() -> tuple[Directive, str]:
        executions.epoch()
        directive, reason = heartbeat.orders()
        if directive is Directive.ABANDON:
            current.abandon()
        return directive, reason

    def finishing() -> str | None:
        directive, reason = heartbeat.orders()
        return reason if directive is Directive.FINISH else None

    heartbeat.start()
    try:
        followed = training.followed(on_epoch, executions, current.cut_short)
        defaults = entry_values.defaults_fitted(lambda words: _LOG.warning("%s", words))
        with (
            contextlib.suppress(Renewed),
            executions.kept(tuner, finishing),
            one_time_input.told(tuner),
            oracle.watching(tuner),
            followed,
            best_epoch.chosen(),
            traced_gradients.kept_by_their_graphs(),
            defaults,
        ):
            tuner.search(**fit_kwargs)
    except ChiefUnreachable as error:
        _LOG.error("%s", error)
        return ExitCode.CHIEF_LOST
    except DiskFull as error:
        _LOG.error("%s", error)
        termination.give_back(calls, worker, process, current, patience_seconds=patience)
        return ExitCode.CANNOT_STORE
    except WorkerReplaced as error:
        _LOG.error("%s", error)
        return ExitCode.ABANDONED
    except keras_tuner_errors.FatalError as error:
        # keras-tuner's class for an error in the user's code that every trial would raise.
        trace = storable(traceback.format_exc())
        _LOG.error("%s", trace)
        oracle.end_running(error, retry=False)
        calls.ask(messages.Fail(worker, describe(error), trace, process=process))
        return ExitCode.FATAL
    except BaseException as error:
        # Errors of the tuner outside trials, `sys.exit` and a refusal by the chief end up here.
        trace = storable(traceback.format_exc())
        if not isinstance(error, ChiefRefused) and oracle.end_running(error, retry=True):
            _LOG.error("%s", trace)
            return ExitCode.FAULT
        return _fault(calls, worker, process, describe(error), trace)
    finally:
        heartbeat.stop()
        try:
            oracle.give_back_next()
        except SearchError as error:
            _LOG.warning("the next trial could not be given back, its lease expires by itself: %s", error)
    if oracle.renewed is not None:
        return _renewed(calls, worker, process, oracle.renewed)
    if not oracle.over:
        name = f"{type(tuner).__name__}.search"
        return _fault(
            calls, worker, process, f"{name} returned although the search is not over: it has trials left", ""
        )
    return ExitCode.DONE


def _fault(
    client: ChiefClient, worker: str, process: str, message: str, trace: str, *, patience_seconds: float | None = None
) -> ExitCode:
    _LOG.error("%s\n%s", message, trace)
    told = messages.Fail(worker, message, trace, again=True, process=process)
    client.ask(told, patience_seconds=patience_seconds)
    return ExitCode.FAULT


def _renewed(client: ChiefClient, worker: str, process: str, reason: str) -> ExitCode:
    _LOG.info("this process gives way to a fresh one: %s", reason)
    try:
        client.ask(messages.Renew(worker, process), timeout=2.0, patience_seconds=0.0)
    except SearchError as error:
        # The report only keeps the start of the next process from being taken for a silence.
        _LOG.warning("the chief could not be told of that: %s", error)
    return ExitCode.RENEWED


def _end_unless_begun(
    begun: threading.Event, client: ChiefClient, worker: str, process: str, options: SearchOptions
) -> None:
    """Ends the process, reporting where it hangs, unless it has asked for a trial within `start_seconds`."""
    main, seconds = threading.get_ident(), options.start_seconds

    def watch() -> None:
        if begun.wait(seconds):
            return
        stack = "".join(traceback.format_stack(sys._current_frames()[main]))
        message = f"no trial was asked for within start_seconds={seconds:g} of its start: tuner_fn hangs, or is slow"
        try:
            trace = f"Where it was (most recent call last):\n{stack}"
            _fault(client, worker, process, message, trace, patience_seconds=options.grace_seconds)
        except SearchError as error:
            _LOG.error("%s", error)
        logging.shutdown()
        os._exit(ExitCode.FAULT)

    threading.Thread(target=watch, name="start", daemon=True).start()
