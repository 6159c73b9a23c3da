"""What a search needs of the place where its chief and workers run."""

from __future__ import annotations

import abc
import dataclasses
import enum
from collections.abc import Sequence
from typing import Any

from custom_components.distributed_tuner.errors import TunerError
from custom_components.distributed_tuner.rpc.credentials import Access

# A line has room for those of the chief and of some groups.
_REASONS_TOLD = 3

#: The end of a worker that was replaced.
SILENCED = "it said nothing to the chief, and was killed for that"


class MemberState(str, enum.Enum):
    """Where a chief or worker stands, in the cluster's eyes."""

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
      restarts: how often the cluster started it anew after a fault of its own, or its silence.
      exit_code: of its last end by a fault of its own, else of its last end; None before one; 128 + n after signal n.
      reason: of its last end, or why it is pending, for people.
      end: how it last ended by a fault of its own, for people; empty before that.
      silenced: whether that was since it said nothing.
      process: what tells its process from the one before it; empty while there is none, or that is not known.
      log: where its log is: a file's path or a command that shows it.
      waiting: whether it waits for a machine, which is no fault of its own and may take long; `reason` says for what.
      incurable: whether its settings are at fault for its last end, so that another start will hardly help.
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
      fault: whether it ended by itself, for all that is known, or was replaced since it said nothing; False where its
        machine was taken away, or another order ended it.
    """

    name: str
    reason: str
    process: str
    fault: bool = True


@dataclasses.dataclass(frozen=True)
class Snapshot:
    """The members at one moment, and who died since the last one."""

    chief: Member
    workers: Sequence[Member]
    losses: Sequence[Loss] = ()

    def waiting(self) -> str:
        """Who waits for a machine and why, for people; empty if nobody does."""
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

    One thread calls it. Where members outlive whoever started them, `start` adopts those of an earlier run. The cluster
    restarts a chief or worker that died, except one that ended with `ExitCode.FATAL`, `ExitCode.CANNOT_STORE` or
    `ExitCode.DONE`; it never gives up by itself: the caller decides from the `Snapshot`. After `close` nothing of the
    search is left.
    """

    @abc.abstractmethod
    def start(self, workers: int) -> None:
        """Starts the chief and so many workers; returns at once.

        Raises:
          ClusterError: the place refuses.
        """

    @abc.abstractmethod
    def poll(self) -> Snapshot:
        """Looks after the members and tells how they are. Called about once a second.

        Raises:
          ClusterError: the place cannot be reached any more.
        """

    @abc.abstractmethod
    def chief_address(self) -> str | None:
        """`host:port` of the chief as the caller reaches it, None before it is known."""

    @abc.abstractmethod
    def access(self) -> Access:
        """What the chief asks of those who call it. Called after `start`."""

    @abc.abstractmethod
    def replace(self, member: str) -> None:
        """Kills the process of a worker that is there and says nothing; another one is started, as after any death.

        A place that is out of reach is no error: it is tried again when the place is polled.
        """

    @abc.abstractmethod
    def tail(self, member: str, lines: int = 20) -> str:
        """The last lines of a member's log, empty if there is none."""

    @abc.abstractmethod
    def close(self, *, grace_seconds: float, failed: bool = False) -> None:
        """Ends all members: told first, killed after `grace_seconds`. May be called twice.

        Args:
          grace_seconds: between the two.
          failed: whether the search could not be run; a place may then keep what explains it, if it was told to.

        Raises:
          ClusterError: something may be left, and what.
        """

    def leave(self) -> None:
        """Lets go of the members, for another run of the search that has taken them over.

        Where they are this process's own, they end.

        Raises:
          ClusterError: something may be left, and what.
        """
        self.close(grace_seconds=0.0)


class ClusterError(TunerError):
    """The place where chief and workers run refused something."""


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
