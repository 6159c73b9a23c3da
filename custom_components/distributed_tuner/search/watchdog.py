"""Notices that a search, or one of its workers, is stuck, even if its processes are alive."""

from __future__ import annotations

import dataclasses
import signal
import time
from collections.abc import Callable, Collection, Sequence

from custom_components.distributed_tuner.cluster.base import Cluster, Member, MemberState, Snapshot, exit_reason
from custom_components.distributed_tuner.errors import ExitCode, SearchError
from custom_components.distributed_tuner.options import SearchOptions
from custom_components.distributed_tuner.record import formatting
from custom_components.distributed_tuner.record.record import SearchRecord

# Before the first trial has run, a worker with this many restarts has a fault that a restart does not fix; later, all
# workers must have them, with nothing else happening meanwhile. More restarts are allowed after kills: a loaded
# machine, or nodes that are taken away, may cause them for a while.
_MAX_STARTS = 4
_MAX_KILLED_STARTS = 16
# The chief is allowed more: its restarts are quick, and the whole search depends on it.
_MAX_CHIEF_STARTS = 12
_MAX_CHIEF_KILLED_STARTS = 40
# But fewer for these ends: its memory, or the image, is too small for what it does before its first answer.
_MAX_INCURABLE_STARTS = 3
_KILLED = frozenset({128 + signal.SIGKILL, 128 + signal.SIGTERM})
# Python's exit code if it cannot import its program; once started, our programs end with other codes.
_NEVER_BEGAN = 1
# For this long an ended chief may still be one of an earlier run, which is about to be replaced.
_ENDED_SECONDS = 15.0
# For this long, workers that wait for machines may still come, and do better than those in a crash loop.
_BESIDE_WAITING_SECONDS = 900.0
# After this many silent leases a worker whose process is up counts as silent.
_SILENT_LEASES = 4


@dataclasses.dataclass
class _Life:
    """One process of a worker: which, when it was first seen, and when the chief last heard from it, if ever."""

    process: str
    began: float
    heard: float | None = None

    def shift(self, seconds: float) -> None:
        """Discounts this much time."""
        self.began += seconds
        if self.heard is not None:
            self.heard += seconds


class Watchdog:
    """Judges each snapshot of a cluster.

    Args:
      options: of the search.
      cluster: queried for the logs of failed members.
      clock: a monotonic clock, in seconds.
    """

    def __init__(self, options: SearchOptions, cluster: Cluster, clock: Callable[[], float] = time.monotonic) -> None:
        self._options = options
        self._cluster = cluster
        self._clock = clock
        self._heard = clock()
        self._chief: Member | None = None
        self._chief_restarts = 0
        self._restarts: dict[str, int] = {}
        self._excused: dict[str, int] = {}
        self._in_vain_since: float | None = None
        self._lives: dict[str, _Life] = {}
        self._asked: float | None = None

    def heard(self) -> None:
        """Call it when the chief answers, or when the cluster is responsible for its absence."""
        self._heard = self._clock()

    def changed(self, snapshot: Snapshot) -> None:
        """Call it when the search has made progress: restarts are counted from here.

        Args:
          snapshot: of the cluster.
        """
        self._restarts = {member.name: member.restarts for member in (snapshot.chief, *snapshot.workers)}

    def check(self, snapshot: Snapshot, record: SearchRecord | None) -> None:
        """Checks the members.

        Args:
          snapshot: of the cluster.
          record: the chief's latest record of the search, None before its first answer.

        Raises:
          SearchError: waiting longer would be pointless.
        """
        if self._chief is None:
            # Restarts from before this step began do not count against the chief.
            self._chief_restarts = snapshot.chief.restarts
        self._chief = snapshot.chief
        if snapshot.chief.waiting:
            self.heard()
            # Workers that give up looking for it are not at fault.
            self._excused = {member.name: member.restarts for member in snapshot.workers}
        if snapshot.chief.state is MemberState.SUCCEEDED and self._clock() - self._heard > _ENDED_SECONDS:
            raise SearchError(f"the chief ended before the search did, with {self._words(snapshot.chief)}")
        started = record is not None and bool(record.trials)
        if record is None:
            self._check_beginning(snapshot.chief)
            self._check_incurable(snapshot.chief)
        for member in () if started else snapshot.workers:
            self._check_beginning(member)
            starts = member.restarts - self._excused.get(member.name, 0)
            if starts >= _MAX_STARTS:
                raise SearchError(
                    f"{member.name} died {starts} times before any trial began, the last time with "
                    f"{self._words(member)}"
                )
        if record is None:
            self.check_silence(self._options.start_seconds)
        self._check_restarts(snapshot)

    def check_silence(self, limit: float | None = None) -> None:
        """Call it while the chief does not answer.

        Args:
          limit: in seconds; `chief_timeout_seconds` if left out.

        Raises:
          SearchError: the chief has been silent for longer than the limit.
        """
        limit = limit or self._options.chief_timeout_seconds
        if self._clock() - self._heard > limit:
            raise SearchError(f"the chief was not heard of for {limit:g} s. {self._last_of_chief()}")

    def silent(self, workers: Sequence[Member], heard: Collection[str], renewing: Collection[str] = ()) -> list[str]:
        """Finds workers whose process is up but silent: suspended, or in native code that blocks all other threads.

        Args:
          workers: of the cluster.
          heard: workers that the chief has heard from within the last lease.
          renewing: workers whose process, under whatever name the cluster knows it, has restarted itself and is still
            silent.

        Returns:
          The workers to restart, each once for each of its processes.
        """
        now, found = self._clock(), []
        away = 0.0 if self._asked is None else now - self._asked
        self._asked = now
        if (unheard := away - self._options.heartbeat_seconds) > 0:
            # While the chief, or this step, was away, nobody could be heard from; and a restarted chief has heard from
            # nobody yet.
            for known in self._lives.values():
                known.shift(unheard)
        lives: dict[str, _Life] = {}
        for member in workers:
            life = self._lives.get(member.name)
            if member.state is not MemberState.RUNNING or member.waiting:
                continue
            # The next snapshot may already show its successor, if a machine was taken away and nobody looked meanwhile.
            anew = member.name in renewing and life is not None and life.heard is not None
            if life is None or life.process != member.process or anew:
                life = _Life(member.process, now)
            if member.name in heard:
                life.heard = now
            lives[member.name] = life
            # A process that has not begun yet ends itself after `start_seconds`, if it can.
            patience = (
                self._options.start_seconds if life.heard is None else _SILENT_LEASES * self._options.lease_seconds
            )
            if now - (life.began if life.heard is None else life.heard) > patience + self._options.grace_seconds:
                found.append(member.name)
                life.heard = now
        self._lives = lives
        return found

    def _check_restarts(self, snapshot: Snapshot) -> None:
        """Raises SearchError if the chief, or all workers, are in a crash loop and nothing else happens."""
        chief = snapshot.chief
        if self._hopeless(chief, _MAX_CHIEF_STARTS, _MAX_CHIEF_KILLED_STARTS):
            raise SearchError(
                f"the chief died {chief.restarts} times and the search did not go on meanwhile, the last time with "
                f"{self._words(chief)}"
            )
        hopeless = [m for m in snapshot.workers if self._hopeless(m, _MAX_STARTS, _MAX_KILLED_STARTS)]
        if not hopeless or not all(member.waiting or member in hopeless for member in snapshot.workers):
            self._in_vain_since = None
            return
        if self._in_vain_since is None:
            self._in_vain_since = self._clock()
        others = len(snapshot.workers) - len(hopeless)
        if not others or self._clock() - self._in_vain_since > _BESIDE_WAITING_SECONDS:
            who = "all workers die" if not others else f"all workers but {others}, which wait for machines, die"
            raise SearchError(
                f"{who} as soon as they are started, {hopeless[0].name} {hopeless[0].restarts} times, the last time "
                f"with {self._words(hopeless[0])}"
            )

    def _hopeless(self, member: Member, limit: int, limit_if_killed: int) -> bool:
        before = max(self._restarts.get(member.name, 0), self._excused.get(member.name, 0))
        killed = member.exit_code in _KILLED and not member.silenced
        return member.restarts - before >= (limit_if_killed if killed else limit)

    def _check_beginning(self, member: Member) -> None:
        if member.exit_code == _NEVER_BEGAN:
            raise SearchError(
                f"{member.name} cannot start: {exit_reason(_NEVER_BEGAN)}. Its log is {member.log}\n"
                f"{self._cluster.tail(member.name)}"
            )

    def _check_incurable(self, chief: Member) -> None:
        ends = chief.restarts - self._chief_restarts
        if chief.incurable and ends >= _MAX_INCURABLE_STARTS:
            raise SearchError(
                f"the chief cannot start: it ended {ends} times before its first answer, the last time with "
                f"{self._words(chief)}"
            )

    def _last_of_chief(self) -> str:
        """The state of the chief as far as the cluster knows, and the end of its log, which may be empty."""
        parts = []
        if (chief := self._chief) is not None:
            ends = f", and has ended {formatting.plural(chief.restarts, 'time')}" if chief.restarts else ""
            parts.append(f"It is {chief.state.value}{ends}{f': {chief.reason}' if chief.reason else ''}.")
            parts.append(f"Its log is {chief.log}.")
        words = self._cluster.tail("chief")
        parts.append(f"Its last words:\n{words}" if words else "It left no last words")
        return " ".join(parts)

    def _words(self, member: Member) -> str:
        return f"{member.end or member.reason}. Its log is {member.log}\n{self._cluster.tail(member.name)}"


def fatal(snapshot: Snapshot) -> Member | None:
    """The member whose end is final, so that the search cannot continue: the chief, or a worker that cannot store.

    Args:
      snapshot: of the cluster.

    Returns:
      None if there is no such member.
    """
    if snapshot.chief.state is MemberState.FAILED:
        return snapshot.chief
    return next((member for member in snapshot.workers if member.exit_code == ExitCode.CANNOT_STORE), None)
