"""A search whose chief and workers are real containers: their limits hold, and they have no right that they do not need."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from custom_components.distributed_tuner.record import Outcome, SearchRecord, TrialStatus
from tests.cluster.api import Api, Object
from tests.cluster.kubernetes_search import KubernetesSearch, connect, deploy
from tests.cluster.local_cluster import LocalCluster
from tests.cluster.objects import Namespace
from tests.cluster.teams import make_team, use_cluster_dns

# Each container imports TensorFlow and TFX, on whatever cores there are.
pytestmark = [pytest.mark.containers, pytest.mark.timeout(600)]

TUNER = "tests.cluster.greedy_tuner.tuner_fn"

_numbers = itertools.count(1)


@pytest.fixture(scope="module", autouse=True)
def cluster_dns(local_cluster: LocalCluster, tmp_path_factory: pytest.TempPathFactory) -> None:
    """The tests are the pipeline's step, and call the chief by the name of its Service."""
    use_cluster_dns(tmp_path_factory.mktemp("dns"))


@pytest.fixture
def team(local_cluster: LocalCluster, api: Api, image: str, tmp_path: Path) -> Iterator[Namespace]:
    made = make_team(local_cluster, api, f"real-{next(_numbers)}", image, tmp_path)
    yield made
    api.delete(f"/api/v1/namespaces/{made.name}")


@pytest.fixture
def make(local_cluster: LocalCluster, team: Namespace, tmp_path: Path, on_real_node: Object) -> Any:
    plane = local_cluster.control_plane
    step = connect(plane.url, plane.authority.certificate, deploy(team))
    where = {"node_selector": on_real_node["nodeSelector"], "tolerations": on_real_node["tolerations"]}

    def made(config: dict[str, Any], **group: Any) -> KubernetesSearch:
        settings = {"groups": [{**where, **group}], "chief": where}
        return KubernetesSearch(local_cluster, team, tmp_path, step, TUNER, config, settings=settings)

    return made


def once(look: Callable[[], object]) -> Callable[[SearchRecord], None]:
    """Looks when a trial runs for the first time."""
    looked: list[object] = []

    def watch(record: SearchRecord) -> None:
        if not looked and record.count(TrialStatus.RUNNING):
            looked.append(look())

    return watch


def rights(root: Path) -> dict[str, dict[str, str]]:
    """What the kernel says of the processes of chief and workers, by their part."""
    found = {}
    for process in psutil.process_iter(["cmdline"]):
        command = process.info["cmdline"] or []
        if "custom_components.distributed_tuner" in command and str(root) in command:
            lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
            found[command[command.index(str(root)) - 1]] = dict(line.split(":\t", 1) for line in lines)
    return found


def test_a_search_in_real_containers_has_no_right_that_it_can_do_without(make: Any) -> None:
    made = make({"trials": 6, "seconds": 1.0})
    seen: dict[str, dict[str, str]] = {}
    found = made.run(watch=once(lambda: seen.update(rights(made.directory.root))))
    assert found.record.count(TrialStatus.COMPLETED) == len(found.record.trials) == 6
    assert set(seen) == {"chief", "worker"}
    for status in seen.values():
        assert set(status["Uid"].split()) == set(status["Gid"].split()) == {"1000"}
        assert int(status["CapEff"], 16) == int(status["CapBnd"], 16) == 0
        assert status["NoNewPrivs"] == "1" and status["Seccomp"] == "2"
    logs = {path.name: path.read_text() for path in made.directory.logs.iterdir()}
    assert set(logs) == {"chief.log", "worker-0.log", "worker-1.log"} and "serving on" in logs["chief.log"]
    assert made.left() == []


def test_a_worker_that_takes_more_memory_than_it_asked_for_is_killed_and_the_user_is_told(make: Any) -> None:
    made = make({"trials": 4, "seconds": 0.5, "greedy": ["1"]}, memory="1200Mi")
    found = made.run(workers=1)
    assert found.error is None
    (failed,) = found.record.failed()
    assert failed.trial_id == "1" and found.record.count(TrialStatus.COMPLETED) == 3
    assert [stay.outcome for stay in failed.stays] == [Outcome.LOST] * made.options.max_fruitless_losses
    assert failed.message is not None and "out of memory (OOMKilled)" in failed.message
    assert "it used more than 1200Mi; raise `memory`" in failed.message
    assert made.left() == []
