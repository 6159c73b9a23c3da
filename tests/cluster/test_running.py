"""A search is looked at by its name, through the API server, with the rights of deploy/ and no others."""

from __future__ import annotations

import pytest

from custom_components.distributed_tuner.cluster.kube import running
from custom_components.distributed_tuner.cluster.kube.api.client import KubernetesApi
from custom_components.distributed_tuner.cluster.kube.running import Running
from custom_components.distributed_tuner.record.record import TrialStatus
from tests.cluster.searching import Make, Once
from tests.harness.cluster.kubernetes.objects import Namespace

pytest_plugins = ["tests.cluster.search_fixtures"]


@pytest.mark.timeout(400)
def test_the_chiefs_log_tells_how_the_trials_stand(make: Make, team: Namespace, step: KubernetesApi) -> None:
    made = make("waiting", {"max_trials": 3, "seconds": 1.0})
    seen: list[Running] = []
    look = Once(
        lambda record: record.count(TrialStatus.COMPLETED) >= 1,
        lambda: seen.append(running.find(step, team.name, made.name.name)),
    )
    made.run(workers=1, watch=look)
    (found,) = seen
    assert found.directory == str(made.directory.root) and found.readable
    assert [(member.name, member.state.value) for member in found.members] == [
        ("chief", "running"),
        ("worker-0", "running"),
    ]
    assert found.progress is not None and "of 3 trials done" in found.progress[1]
