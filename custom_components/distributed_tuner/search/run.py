"""Runs one search on a cluster: starts chief and workers, watches them, and collects the results."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import signal
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from types import FrameType
from typing import Any

from custom_components.distributed_tuner.cluster.base import Cluster, ClusterError, Loss, Member, MemberState, Snapshot
from custom_components.distributed_tuner.errors import ChiefUnreachable, ExitCode, SearchError, SearchLocked
from custom_components.distributed_tuner.host import descriptors
from custom_components.distributed_tuner.record.record import SearchRecord
from custom_components.distributed_tuner.record.record_json import record_from_json
from custom_components.distributed_tuner.rpc import messages
from custom_components.distributed_tuner.rpc.client import ChiefClient
from custom_components.distributed_tuner.search import watchdog
from custom_components.distributed_tuner.search.watchdog import Watchdog
from custom_components.distributed_tuner.spec import SearchSpec
from custom_components.distributed_tuner.storage.base import Hold, Locked
from custom_components.distributed_tuner.storage.search_dir import ERROR, RUN_LOCK, SearchDir

_LOG = logging.getLogger(__name__)

_POLL_SECONDS = 0.25

Watcher = Callable[[SearchRecord, float, int], None]
Teller = Callable[[str], None]


def _tell_nobody(words: str) -> None:
    del words


@dataclasses.dataclass(frozen=True)
class Found:
    """The results of a search.

    Attributes:
      record: the search as data.
      trials: keras-tuner's `Trial.get_state()` of each completed trial, by trial id.
      error: (process, message, traceback) if a process gave up for good.
    """

    record: SearchRecord
    trials: Mapping[str, Mapping[str, Any]]
    error: tuple[str, str, str] | None


def run(
    spec: SearchSpec,
    directory: SearchDir,
    cluster: Cluster,
    *,
    workers: int,
    watch: Watcher,
    tell: Teller = _tell_nobody,
) -> Found:
    """Runs a search to its end, or resumes an earlier one in the same directory.

    Args:
      spec: what to search.
      directory: where its state is.
      cluster: where chief and workers run; it is closed in any case.
      workers: how many to start.
      watch: called about four times a second with (record, time, workers alive).
      tell: called as often with which members wait for a machine and why; with an empty text if none does.

    Returns:
      The results, whether or not they are enough.

    Raises:
      SearchLocked: another run works on the same directory.
      SearchError: the search could not be run: chief or workers cannot start, or the chief is gone for good.
      ClusterError: the cluster refused.
    """
    descriptors.raise_limit()
    directory = SearchDir(directory.storage.patient(spec.options.bucket_patience_seconds))
    with _locked(directory) as hold:
        directory.storage.remove(ERROR)
        spec.write(directory.storage)
        failed = False
        try:
            cluster.start(workers)
            # Without patience: a dead chief is restarted by the cluster, which has to be polled for that.
            with contextlib.closing(ChiefClient(cluster.chief_address, cluster.access(), 0.0)) as client:
                found = _Watch(spec, directory, cluster, client, watch, tell).until_over(hold)
                failed = found.error is not None
                return found
        except Locked as error:
            cluster.leave()
            raise SearchLocked(
                f"another run has taken the search in {directory.url} over, since this one was not heard of for a "
                "while; this one ends"
            ) from error
        except Exception:
            failed = True
            raise
        finally:
            _close(cluster, grace_seconds=min(spec.options.grace_seconds, 10.0), failed=failed)


def _close(cluster: Cluster, *, grace_seconds: float, failed: bool) -> None:
    """Ends what the cluster runs; a failure to do so neither loses results nor hides an earlier error."""
    try:
        cluster.close(grace_seconds=grace_seconds, failed=failed)
    except ClusterError as error:
        _LOG.error("something of the search is left and may go on running: %s", error)


@contextlib.contextmanager
def cancellable() -> Iterator[None]:
    """In this context SIGTERM raises KeyboardInterrupt, so that a search is ended.

    Otherwise Python ends at once, and leaves behind whatever is not its child. An existing handler is kept, and in
    threads other than the main one this has no effect.
    """
    main = threading.current_thread() is threading.main_thread()
    if not main or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


class _Watch:
    def __init__(
        self,
        spec: SearchSpec,
        directory: SearchDir,
        cluster: Cluster,
        client: ChiefClient,
        watch: Watcher,
        tell: Teller,
    ) -> None:
        self._options = spec.options
        self._directory = directory
        self._cluster = cluster
        self._client = client
        self._watch = watch
        self._tell = tell
        self._record: SearchRecord | None = None
        self._revision: tuple[str, int] | None = None
        self._untold: list[Loss] = []
        self._watchdog = Watchdog(spec.options, cluster)

    def until_over(self, hold: Hold) -> Found:
        """Returns the results once the chief says that the search is over.

        Raises:
          Locked: another run has taken the search over.
        """
        while True:
            hold.check()
            snapshot = self._cluster.poll()
            self._tell(snapshot.waiting())
            if (ended := watchdog.fatal(snapshot)) is not None:
                raise SearchError(self._given_up(ended))
            self._watchdog.check(snapshot, self._record)
            self._untold.extend(snapshot.losses)
            try:
                record, over = self._ask(snapshot)
                if over:
                    return self._collect(record)
            except ChiefUnreachable:
                # The chief may die at any moment, even at the end; the cluster restarts it.
                if self._record is not None:
                    self._watchdog.check_silence()
            time.sleep(_POLL_SECONDS)

    def _ask(self, snapshot: Snapshot) -> tuple[SearchRecord, bool]:
        """The search so far, and whether it is over."""
        while self._untold:
            # Losses wait here until an unreachable chief is back.
            loss = self._untold[0]
            self._client.ask(messages.Gone(loss.name, loss.reason, loss.process, loss.fault))
            del self._untold[0]
        status = self._client.ask(messages.Status(self._revision))
        self._watchdog.heard()
        self._revision = status.revision
        record = self._record
        if status.record is not None:
            changed = record_from_json(status.record)
            record = changed if status.whole or record is None else record.updated(changed)
        assert record is not None, "the first answer holds the whole record"
        if record != self._record:
            # A restarted chief sends the whole record again, which is no progress.
            self._watchdog.changed(snapshot)
        self._record = record
        alive = sum(member.state is MemberState.RUNNING for member in snapshot.workers)
        # Workers that joined by hand are not members, but work all the same.
        joined = set(status.workers) - {member.name for member in snapshot.workers}
        self._watch(record, time.time(), alive + len(joined))
        if status.stop_reason is None and not status.over:
            self._report_fatal(snapshot)
            for name in self._watchdog.silent(snapshot.workers, status.workers, status.renewing):
                _LOG.warning("%s has a process that says nothing: it is started anew", name)
                self._cluster.replace(name)
        return record, status.over

    def _report_fatal(self, snapshot: Snapshot) -> None:
        """Ends the search, with the results so far, if a worker gave up for good and could not tell the chief.

        The snapshot is older than the chief's answer that the search is not over: a worker that has ended in it by
        itself cannot have been told that it is.
        """
        for member in snapshot.workers:
            if member.state in (MemberState.FAILED, MemberState.SUCCEEDED):
                message = f"{member.name} ended with {member.reason}"
                if member.state is MemberState.SUCCEEDED:
                    message += ", but the search is not over; its tuner's code ended the process, as os._exit does"
                message += f". Its log is {member.log}"
                trace = self._cluster.tail(member.name)
                self._client.ask(messages.Fail(member.name, message, trace))
                return

    def _collect(self, record: SearchRecord) -> Found:
        best = self._client.best(max(1, len(record.completed())))
        trials = {trial["trial_id"]: trial for trial in best}
        return Found(record, trials, self._directory.read_error())

    def _given_up(self, member: Member) -> str:
        if member.exit_code == ExitCode.CANNOT_STORE:
            return (
                f"{member.name} cannot store the search in {self._directory.url}: the disk is full or may not be "
                "written, or the bucket is out of reach. Make room or grant access, then run the same run id again; "
                "finished trials are kept\n"
                f"{self._cluster.tail(member.name)}"
            )
        error = self._directory.read_error()
        if error is not None:
            _, message, trace = error
            return f"{message}\n{trace}" if trace and trace not in message else message
        return (
            f"the {member.name} ended with {member.reason}. Its log is {member.log}\n{self._cluster.tail(member.name)}"
        )


@contextlib.contextmanager
def _locked(directory: SearchDir) -> Iterator[Hold]:
    directory.create()
    with contextlib.ExitStack() as stack:
        try:
            held = directory.storage.held(RUN_LOCK, owner=uuid.uuid4().hex, wait_seconds=0.0)
            hold = stack.enter_context(held)
        except Locked as error:
            raise SearchLocked(
                f"another run works on the search in {directory.url}. Wait for it, or stop it, or use another run id"
            ) from error
        yield hold
