"""Looking on while a search runs, and stepping in at the right moment."""

from __future__ import annotations

from collections.abc import Callable

from custom_components.distributed_tuner.record.record import SearchRecord, TrialStatus
from tests.cluster.kubernetes_search import KubernetesSearch

Make = Callable[..., KubernetesSearch]


class Once:
    """Does something when a record shows that the time has come, once."""

    def __init__(self, when: Callable[[SearchRecord], bool], then: Callable[[], object]) -> None:
        self.when, self.then, self.done = when, then, False

    def __call__(self, record: SearchRecord) -> None:
        if not self.done and self.when(record):
            self.done = True
            self.then()


def each_of(*watchers: Once) -> Callable[[SearchRecord], None]:
    """All of them, one after another."""

    def watch(record: SearchRecord) -> None:
        for watcher in watchers:
            watcher(record)

    return watch


def trials_run(record: SearchRecord) -> bool:
    return record.count(TrialStatus.RUNNING) >= 1


def all_completed(made: KubernetesSearch, count: int, record: SearchRecord) -> None:
    assert record.count(TrialStatus.COMPLETED) == len(record.trials) == count, made.directory.root
    assert record.stop_reason is None
