"""Workers' pods killed because they were silent: no trace of them remains in the cluster that could be counted."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable

from custom_components.distributed_tuner.cluster.base import SILENCED, Loss
from custom_components.distributed_tuner.cluster.kube.observe.members import Seen


class Silences:
    """Counts such kills by member.

    Attributes:
      pods: the names of the pods that were to be killed, whether or not their node was there to do it.
    """

    def __init__(self) -> None:
        self.pods: set[str] = set()
        self._counts: Counter[str] = Counter()
        self._last: set[str] = set()  # members whose last failure was such a kill

    def note(self, losses: Iterable[Loss]) -> None:
        """Records the workers that were lost."""
        for loss in losses:
            if loss.fault and loss.process in self.pods:
                self._counts[loss.name] += 1
                self._last.add(loss.name)
            elif loss.fault:
                self._last.discard(loss.name)

    def shown(self, seen: Seen) -> Seen:
        """The member with these kills added to its restarts."""
        member = seen.member
        if not self._counts[member.name]:
            return seen
        member = dataclasses.replace(member, restarts=member.restarts + self._counts[member.name])
        if member.name in self._last:
            member = dataclasses.replace(member, end=SILENCED, silenced=True)
        return dataclasses.replace(seen, member=member)
