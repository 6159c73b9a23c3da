"""A search whose chief and workers are real containers: limits hold, and there is no right that is not needed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psutil
import pytest

from custom_components.distributed_tuner.record.record import Outcome, TrialStatus
from tests.cluster.kubernetes_search import KubernetesSearch
from tests.cluster.searching import Make, Once, all_completed, trials_run
from tests.harness.cluster.kubernetes.api import Object

# Each container imports TensorFlow and TFX, on whatever cores there are.
pytestmark = [pytest.mark.containers, pytest.mark.timeout(600)]

pytest_plugins = ["tests.cluster.search_fixtures"]

TUNER = "tests.cluster.greedy_tuner.tuner_fn"


@pytest.fixture
def make_real(make: Make, on_real_node: Object) -> Make:
    """Makes a search of this configuration whose pods go to the real node; the rest are settings of its workers."""
    where = {"node_selector": on_real_node["nodeSelector"], "tolerations": on_real_node["tolerations"]}

    def made(config: dict[str, Any], **group: Any) -> KubernetesSearch:
        return make(TUNER, config, settings={"groups": [{**where, **group}], "chief": where})

    return made


def rights(root: Path) -> dict[str, dict[str, str]]:
    """What the kernel says of the processes of chief and workers, by their part."""
    found = {}
    for process in psutil.process_iter(["cmdline"]):
        command = process.info["cmdline"] or []
        if "custom_components.distributed_tuner" in command and str(root) in command:
            lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
            found[command[command.index(str(root)) - 1]] = dict(line.split(":\t", 1) for line in lines)
    return found


def test_a_search_in_real_containers_has_no_right_that_it_can_do_without(make_real: Make) -> None:
    made = make_real({"trials": 6, "seconds": 1.0})
    seen: dict[str, dict[str, str]] = {}
    found = made.run(watch=Once(trials_run, lambda: seen.update(rights(made.directory.root))))
    all_completed(made, 6, found.record)
    assert set(seen) == {"chief", "worker"}
    for status in seen.values():
        assert set(status["Uid"].split()) == set(status["Gid"].split()) == {"1000"}
        assert int(status["CapEff"], 16) == int(status["CapBnd"], 16) == 0
        assert status["NoNewPrivs"] == "1" and status["Seccomp"] == "2"
    logs = {path.name: path.read_text() for path in made.directory.logs.iterdir()}
    assert set(logs) == {"chief.log", "worker-0.log", "worker-1.log"} and "serving on" in logs["chief.log"]
    assert made.left() == []


def test_a_worker_that_takes_more_memory_than_it_asked_for_is_killed_and_the_user_is_told(make_real: Make) -> None:
    made = make_real({"trials": 4, "seconds": 0.5, "greedy": ["1"]}, memory="1200Mi")
    found = made.run(workers=1)
    assert found.error is None
    (failed,) = found.record.failed()
    assert failed.trial_id == "1" and found.record.count(TrialStatus.COMPLETED) == 3
    assert [stay.outcome for stay in failed.stays] == [Outcome.LOST] * made.options.max_fruitless_losses
    assert failed.message is not None and "out of memory (OOMKilled)" in failed.message
    assert "it used more than 1200Mi; raise `memory`" in failed.message
    assert made.left() == []
