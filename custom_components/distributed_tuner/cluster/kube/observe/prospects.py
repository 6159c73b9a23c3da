"""Whether chief and workers can still start: what they wait for, and when waiting is pointless."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from custom_components.distributed_tuner.cluster.base import ClusterError, MemberState
from custom_components.distributed_tuner.cluster.kube.manifests import names
from custom_components.distributed_tuner.cluster.kube.observe.diagnosis import Health
from custom_components.distributed_tuner.cluster.kube.observe.members import Seen

_ENDED = (MemberState.FAILED, MemberState.SUCCEEDED)
# How long a state that may pass for no known reason may last: several attempts, with a node's pauses between them.
_DOUBT_SECONDS = 300.0


class Prospects:
    """Judges the members each time they are checked.

    Args:
      pending_seconds: how long the chief, or all workers, may wait.
      clock: a monotonic clock, in seconds.
    """

    def __init__(self, pending_seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = pending_seconds
        self._clock = clock
        self._ran: set[str] = set()
        self._waits: dict[str, float] = {}
        self._doubted: dict[str, float] = {}

    def check(self, who: str, members: Sequence[Seen]) -> None:
        """Checks the chief, or all workers.

        Args:
          who: what the members are, for people.
          members: as they are now.

        Raises:
          ClusterError: none of them can ever start, or all have waited for too long.
        """
        groups: dict[str, list[Seen]] = {}
        for seen in members:
            groups.setdefault(seen.job, []).append(seen)
        self._doubt(members)
        self._ran.update(seen.job for seen in members if seen.member.state is MemberState.RUNNING)
        self._check_hopeless(list(groups.values()))
        if not members or not all(seen.member.waiting for seen in members):
            self._waits.pop(who, None)
            return
        now = self._clock()
        if now - self._waits.setdefault(who, now) > self._limit:
            reasons = "; ".join(dict.fromkeys(seen.member.reason for seen in members))
            raise ClusterError(f"{who} has been waiting for {self._limit:g} s (pending_seconds): {reasons}")

    def _check_hopeless(self, groups: Sequence[Sequence[Seen]]) -> None:
        hopeless = [group for group in groups if self._is_hopeless(group)]
        # A group that can start does the work of one that cannot, once it has its machines; and a worker that succeeded
        # means that the search is over: the chief is asked next.
        rest = [group for group in groups if group not in hopeless]
        if not hopeless or any(seen.member.state is not MemberState.FAILED for group in rest for seen in group):
            return
        raise ClusterError("; ".join(f"{_who(group)} cannot start: {_why(group)}" for group in hopeless))

    def _is_hopeless(self, group: Sequence[Seen]) -> bool:
        # A group that has run once may run again; one that never could has a fault that time does not fix.
        left = [seen for seen in group if seen.member.state not in _ENDED]
        return bool(left) and group[0].job not in self._ran and all(self._cannot_start(seen) for seen in left)

    def _cannot_start(self, seen: Seen) -> bool:
        since = self._doubted.get(seen.member.name)
        return seen.state.health is Health.HOPELESS or (since is not None and self._clock() - since > _DOUBT_SECONDS)

    def _doubt(self, members: Sequence[Seen]) -> None:
        for seen in members:
            if seen.state.health is Health.DOUBTFUL:
                self._doubted.setdefault(seen.member.name, self._clock())
            else:
                self._doubted.pop(seen.member.name, None)


def _why(group: Sequence[Seen]) -> str:
    return next(seen.member.reason for seen in group if seen.member.state not in _ENDED)


def _who(group: Sequence[Seen]) -> str:
    first = group[0].member
    if first.name == names.CHIEF:
        return "the chief"
    return first.name if len(group) == 1 else f"{first.name} and {len(group) - 1} more"
