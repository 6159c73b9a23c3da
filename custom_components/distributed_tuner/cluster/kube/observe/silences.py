"""The workers' pods that were killed since they said nothing: nothing of them is left that anybody could count."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable

from custom_components.distributed_tuner.cluster.base import SILENCED, Loss
from custom_components.distributed_tuner.cluster.kube.observe.members import Seen


class Silences:
    """Counts them, by member.

    Attributes:
      pods: the names of those that were to be killed, be it that their node was there to do it or not.
    """

    def __init__(self) -> None:
        self.pods: set[str] = set()
        self._counts: Counter[str] = Counter()
        self._last: set[str] = set()  # the members whose last end by a fault of their own was such a one

    def note(self, losses: Iterable[Loss]) -> None:
        """Takes notice of workers that were lost."""
        for loss in losses:
            if loss.fault and loss.process in self.pods:
                self._counts[loss.name] += 1
                self._last.add(loss.name)
            elif loss.fault:
                self._last.discard(loss.name)

    def shown(self, seen: Seen) -> Seen:
        """A member with those of its ends."""
        member = seen.member
        if not self._counts[member.name]:
            return seen
        member = dataclasses.replace(member, restarts=member.restarts + self._counts[member.name])
        if member.name in self._last:
            member = dataclasses.replace(member, end=SILENCED, silenced=True)
        return dataclasses.replace(seen, member=member)
