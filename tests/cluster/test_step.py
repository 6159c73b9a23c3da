"""The pipeline's step as a real process in a pod: killed, retried, and not alone."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import signal
import threading
from pathlib import Path
from typing import Any

import psutil
import pytest

from custom_components.distributed_tuner.cluster.kube.names import SEARCH_LABEL, SearchName
from custom_components.distributed_tuner.record import SearchRecord, TrialStatus
from tests.cluster import step
from tests.cluster.api import Object
from tests.cluster.kubernetes_search import KINDS, POD_USER, STEP, TUNERS
from tests.cluster.objects import IGNORE_DISRUPTIONS, RESTRICTED_CONTAINER, RESTRICTED_POD, Namespace
from tests.cluster.searching import Make, Once, all_completed, each_of
from tests.cluster.waiting import until

pytestmark = pytest.mark.timeout(500)
pytest_plugins = ["tests.cluster.search_fixtures"]

#: The name of the search of a step without a pipeline around it.
SEARCH = SearchName("pipeline", "search", "DistributedTuner")


class Step:
    """A step that runs as a Job: whoever kills its process sees it run again.

    Args:
      team: where; deploy/ has been applied to it.
      folder: which pods see at the same path; the pipeline root is in it.
      trials: how many the search has, of a second each.
    """

    def __init__(self, team: Namespace, folder: Path, trials: int) -> None:
        self.team = team
        self.root = folder / "pipeline"
        self.root.mkdir()
        os.chown(self.root, POD_USER, POD_USER)
        self._trials = trials
        self._source = {"persistentVolumeClaim": {"claimName": "runs"}}
        self._folder = str(folder)

    def start(self, execution: str) -> None:
        """Makes its Job."""
        env = {"PYTHONPATH": str(TUNERS)}
        small = {"cpu": "100m", "memory": "512Mi", "env": env}
        cluster = {
            "kind": "kubernetes",
            "image": self.team.image,
            "groups": [{**small, "price_per_hour": 1.0, "on_demand_price_per_hour": 4.0}],
            "chief": small,
            "volumes": [{"name": "runs", "source": self._source, "mount_path": self._folder}],
        }
        config = {"max_trials": self._trials, "seconds": 1.0}
        self.team.run(
            execution,
            ["python", "-m", "tests.cluster.step", str(self.root), execution, json.dumps(config), json.dumps(cluster)],
            pod={
                "serviceAccountName": STEP,
                "securityContext": RESTRICTED_POD,
                "volumes": [{"name": "runs", **self._source}, {"name": "tmp", "emptyDir": {}}],
            },
            container={
                "securityContext": RESTRICTED_CONTAINER,
                "volumeMounts": [
                    {"name": "runs", "mountPath": self._folder},
                    {"name": "tmp", "mountPath": "/tmp"},
                ],
                "env": [{"name": name, "value": value} for name, value in {**env, "HOME": "/tmp"}.items()],
            },
            backoffLimit=6,
            podFailurePolicy=IGNORE_DISRUPTIONS,
        )

    def kill(self, execution: str) -> None:
        """SIGKILL to its process, as the kernel does to one that takes too much memory."""
        arguments = ["tests.cluster.step", str(self.root), execution]
        (process,) = [one for one in psutil.process_iter(["cmdline"]) if _has(one.info["cmdline"] or [], arguments)]
        os.kill(process.pid, signal.SIGKILL)

    def ran(self) -> list[str]:
        """The trials that ran so far, each as often as it did."""
        log = step.search_root(self.root) / "ran.log"
        return [line.split()[0] for line in log.read_text().splitlines()] if log.exists() else []

    def objects(self, kind: str, selector: str = "") -> list[Object]:
        """The search's objects of a kind."""
        label = f"{SEARCH_LABEL}={SEARCH.name}{selector}"
        return self.team.api.items(self.team.path(kind), labelSelector=label)


def _has(command: list[str], arguments: list[str]) -> bool:
    return any(command[at : at + len(arguments)] == arguments for at in range(len(command)))


def uids(objects: list[Object]) -> dict[str, str]:
    return {one["metadata"]["name"]: one["metadata"]["uid"] for one in objects}


@pytest.mark.usefixtures("token")
def test_a_step_that_is_killed_is_run_again_and_goes_on(team: Namespace, tmp_path: Path) -> None:
    pipeline = Step(team, tmp_path, trials=24)
    pipeline.start("first")

    def told() -> object:
        return team.brief("first"), team.logs("first")

    seen: list[dict[str, str]] = []
    for count in (2, 8):  # killed twice, with trials done and under way
        until(lambda count=count: len(pipeline.ran()) >= count, f"{count} trials", seconds=240, tell=told)  # type: ignore[misc]
        seen.append({**uids(pipeline.objects("jobs")), **uids(pipeline.objects("pods"))})
        pipeline.kill("first")
        until(
            lambda count=count: len(team.pods("first")) > (1 if count == 2 else 2),  # type: ignore[misc]
            "the step's next pod",
            tell=told,
        )
    (owner,) = pipeline.objects("jobs", ",app.kubernetes.io/component=chief")[0]["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["name"]) == ("Job", "first"), "what outlives the pod of one attempt owns the search"
    job = team.finish("first", seconds=240)
    assert job["status"].get("succeeded") == 1 and job["status"]["failed"] == 2, told()
    assert seen[0] == seen[1] and len(seen[0]) == 5, "chief and workers were not touched"
    assert sorted(pipeline.ran()) == sorted({row["trial_id"] for row in step.results(pipeline.root, "first")})
    assert len(pipeline.ran()) == 24
    assert re.search(r"search: cost: 0\.01, 0\.0[23] less than on demand \(worker: 2 workers", team.logs("first")[-1])
    assert not any(pipeline.objects(kind) for kind in KINDS)


@pytest.mark.usefixtures("token")
def test_a_second_step_of_the_same_run_is_refused_and_hurts_nobody(team: Namespace, tmp_path: Path) -> None:
    pipeline = Step(team, tmp_path, trials=60)
    pipeline.start("first")
    until(lambda: pipeline.ran(), "a trial", seconds=240, tell=lambda: (team.brief("first"), team.logs("first")))
    before = uids(pipeline.objects("pods"))
    pipeline.start("second")
    until(
        lambda: team.pods("second") and team.pods("second")[0]["status"]["phase"] == "Failed",
        "the refusal",
        tell=lambda: team.logs("second"),
    )
    assert f"another run works on the search in {step.search_root(pipeline.root)}" in team.logs("second")[0]
    team.api.delete(team.path("jobs", "second"))
    assert uids(pipeline.objects("pods")) == before
    assert team.finish("first", seconds=240)["status"].get("succeeded") == 1
    assert len(pipeline.ran()) == len(set(pipeline.ran())) == 60
    assert not any(pipeline.objects(kind) for kind in KINDS)


def test_two_pipelines_with_the_same_run_and_node_keep_apart_also_when_one_ends(make: Make) -> None:
    long, short = (
        make("waiting", {"max_trials": count, "seconds": 1.0}, run=run) for count, run in ((24, "a"), (2, "b"))
    )
    for made, pipeline in ((long, "one"), (short, "other")):
        made.name = SearchName(pipeline, "monday", "Tuner")
        made.plan = dataclasses.replace(made.plan, search=made.name)
    assert long.name.name != short.name.name and long.name.name.startswith("monday-tuner-")
    found: list[SearchRecord] = []
    before: list[Any] = []

    def run() -> None:
        found.append(short.run(workers=1).record)
        found.append(long.records[-1])

    thread = threading.Thread(target=run)

    def begin() -> None:
        before.append(uids([*long.pods("chief"), *long.pods("worker")]))
        thread.start()

    last = Once(
        lambda record: record.count(TrialStatus.COMPLETED) >= 20,
        lambda: before.append(uids([*long.pods("chief"), *long.pods("worker")])),
    )
    first = Once(lambda record: record.count(TrialStatus.COMPLETED) >= 1, begin)
    all_completed(long, 24, long.run(workers=1, watch=each_of(first, last)).record)
    thread.join(240)
    all_completed(short, 2, found[0])
    assert found[1].count(TrialStatus.COMPLETED) < 24, "the short search ended last: nothing was shown"
    assert before[0] == before[1] and len(before[0]) == 2
    assert long.left() == short.left() == []
