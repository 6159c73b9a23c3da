"""What a search needs from the place where its chief and workers run."""

from __future__ import annotations

import abc
import dataclasses
import enum
from collections.abc import Sequence
from typing import Any

from custom_components.distributed_tuner.errors import TunerError
from custom_components.distributed_tuner.rpc.credentials import Access

# A line has room for the logs of the chief and of some groups.
_REASONS_TOLD = 3

#: The end of a worker that was replaced.
SILENCED = "it said nothing to the chief, and was killed for that"


class MemberState(str, enum.Enum):
    """The state of a chief or worker, as the cluster sees it."""

    PENDING = "pending"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


@dataclasses.dataclass(frozen=True)
class Member:
    """The chief or a worker.

    Attributes:
      name: `chief`, or the worker's id; stable over restarts.
      state: as the cluster sees it.
      restarts: how often the cluster restarted it after a failure of its own, or because it was silent.
      exit_code: of its last failure of its own, else of its last end; None before one; 128 + n after signal n.
      reason: why it last ended, or why it is pending, for people.
      end: how its last failure of its own happened, for people; empty before that.
      silenced: whether that end was a kill because the member was silent.
      process: identifies its process among earlier ones of the member; empty while there is none, or it is not known.
      log: where its log is: a file's path or a command that shows it.
      waiting: whether it waits for a machine, which is not its fault and may take long; `reason` says for what.
      incurable: whether its settings caused its last end, so that a restart will hardly help.
    """

    name: str
    state: MemberState
    restarts: int = 0
    exit_code: int | None = None
    reason: str = ""
    log: str = ""
    waiting: bool = False
    incurable: bool = False
    end: str = ""
    silenced: bool = False
    process: str = ""


@dataclasses.dataclass(frozen=True)
class Loss:
    """A worker that the cluster saw die since the last `poll`.

    Attributes:
      name: the worker's id.
      reason: of its end, for people.
      process: as in `Study.ask`.
      fault: whether it ended by itself, as far as is known, or was replaced because it was silent; False if its machine
        was taken away, or it was told to end for another reason.
    """

    name: str
    reason: str
    process: str
    fault: bool = True


@dataclasses.dataclass(frozen=True)
class Snapshot:
    """The members at one moment, and who died since the previous snapshot."""

    chief: Member
    workers: Sequence[Member]
    losses: Sequence[Loss] = ()

    def waiting(self) -> str:
        """Which members wait for a machine and why, for people; empty if none does."""
        by_reason: dict[str, list[str]] = {}
        for member in (self.chief, *self.workers):
            if member.waiting:
                by_reason.setdefault(member.reason, []).append(member.name)
        told = [
            f"{names[0] if len(names) == 1 else f'{len(names)} ({names[0]}, …)'}: {reason}"
            for reason, names in by_reason.items()
        ]
        if len(told) > _REASONS_TOLD:
            told[_REASONS_TOLD:] = [f"and {len(told) - _REASONS_TOLD} more reasons"]
        return f"waiting for a machine: {'; '.join(told)}" if told else ""


class Cluster(abc.ABC):
    """Starts, watches and ends the processes of one search.

    Not thread-safe: called by one thread. Where members outlive the process that started them, `start` adopts those of
    an earlier run. The cluster restarts a chief or worker that died, unless it ended with `ExitCode.FATAL`,
    `ExitCode.CANNOT_STORE` or `ExitCode.DONE`; it never gives up by itself: the caller decides, from the `Snapshot`.
    After `close` nothing of the search is left.
    """

    @abc.abstractmethod
    def start(self, workers: int) -> None:
        """Starts the chief and the workers; returns at once.

        Args:
          workers: how many workers to start.

        Raises:
          ClusterError: the cluster refused.
        """

    @abc.abstractmethod
    def poll(self) -> Snapshot:
        """Restarts members as needed and reports their states. Called about once a second.

        Raises:
          ClusterError: the cluster has become unreachable.
        """

    @abc.abstractmethod
    def chief_address(self) -> str | None:
        """`host:port` of the chief as seen by the caller, None before it is known."""

    @abc.abstractmethod
    def access(self) -> Access:
        """The credentials that the chief requires of its callers. Called after `start`."""

    @abc.abstractmethod
    def replace(self, member: str) -> None:
        """Kills the process of a worker that is up but silent; it is restarted, as after any death.

        An unreachable cluster is not an error: the kill is retried at the next polls.

        Args:
          member: the worker's id.
        """

    @abc.abstractmethod
    def tail(self, member: str, lines: int = 20) -> str:
        """The last lines of a member's log, empty if there is none.

        Args:
          member: `chief`, or the worker's id.
          lines: how many.
        """

    @abc.abstractmethod
    def close(self, *, grace_seconds: float, failed: bool = False) -> None:
        """Ends all members: SIGTERM first, SIGKILL after `grace_seconds`. May be called twice.

        Args:
          grace_seconds: the time between the two signals.
          failed: whether the search could not be run; the cluster may then keep what explains it, if so configured.

        Raises:
          ClusterError: something may be left; the message says what.
        """

    def leave(self) -> None:
        """Releases the members to another run of the search, which has taken them over.

        Members that are this process's own children are ended.

        Raises:
          ClusterError: something may be left; the message says what.
        """
        self.close(grace_seconds=0.0)


class ClusterError(TunerError):
    """The place where chief and workers run refused something, or is unreachable."""


def exit_reason(code: int) -> str:
    """An exit code in words; 128 + n is signal n."""
    known: dict[int, str] = {
        0: "ended",
        70: "gave up for good",
        71: "met an error outside of a trial",
        74: "could not store the search",
        75: "left a trial that was taken from it",
        76: "found no chief",
        79: "gave way to a fresh process",
        137: "was killed (SIGKILL; out of memory, if nobody did it)",
        143: "was told to stop (SIGTERM)",
        139: "crashed in native code (SIGSEGV)",
        134: "crashed in native code (SIGABRT)",
    }
    return f"exit code {code}: {known.get(code, 'crashed')}"


def describe(members: Sequence[Member]) -> dict[str, Any]:
    """How many members are in each state."""
    return {state.value: sum(member.state is state for member in members) for state in MemberState}
