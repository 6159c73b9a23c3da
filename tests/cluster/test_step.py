"""The pipeline's step as a real process in a pod: killed, retried, and not alone."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import signal
import threading
from pathlib import Path

import psutil
import pytest

from custom_components.distributed_tuner.cluster.kube.manifests.names import SEARCH_LABEL, SearchName
from custom_components.distributed_tuner.record.record import SearchRecord, TrialStatus
from tests.cluster import held_tuner, step
from tests.cluster.kubernetes_search import KINDS, POD_USER, STEP
from tests.cluster.searching import Make, Once, all_completed, each_of
from tests.harness.cluster.kubernetes.api import Object
from tests.harness.cluster.kubernetes.objects import IGNORE_DISRUPTIONS, RESTRICTED_CONTAINER, RESTRICTED_POD, Namespace
from tests.harness.cluster.kubernetes.waiting import until

pytestmark = pytest.mark.timeout(500)
pytest_plugins = ["tests.cluster.search_fixtures"]

#: The name of the search of a step without a pipeline around it.
SEARCH = SearchName("pipeline", "search", "DistributedTuner")


class Step:
    """A step that runs as a Job: whoever kills its process sees it run again.

    Args:
      team: where; deploy/ has been applied to it.
      folder: which pods see at the same path; the pipeline root is in it.
      trials: how many the search has.
      free: how many of them need not wait until they are let go.
    """

    def __init__(self, team: Namespace, folder: Path, trials: int, free: int) -> None:
        self.team = team
        self.root = folder / "pipeline"
        self.root.mkdir()
        os.chown(self.root, POD_USER, POD_USER)
        self.search = step.search_root(self.root)
        self._config = json.dumps({"trials": trials, "free": free})
        self._source = {"persistentVolumeClaim": {"claimName": "runs"}}
        self._folder = str(folder)

    def start(self, execution: str) -> None:
        """Makes its Job."""
        small = {"cpu": "100m", "memory": "512Mi"}
        cluster = {
            "kind": "kubernetes",
            "image": self.team.image,
            "groups": [{**small, "price_per_hour": 1.0, "on_demand_price_per_hour": 4.0}],
            "chief": small,
            "volumes": [{"name": "runs", "source": self._source, "mount_path": self._folder}],
        }
        self.team.run(
            execution,
            ["python", "-m", "tests.cluster.step", str(self.root), execution, self._config, json.dumps(cluster)],
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
                "env": [{"name": "HOME", "value": "/tmp"}],
            },
            backoffLimit=6,
            podFailurePolicy=IGNORE_DISRUPTIONS,
        )

    def kill(self, execution: str) -> None:
        """SIGKILL to its process, as the kernel does to one that takes too much memory."""
        arguments = ["tests.cluster.step", str(self.root), execution]
        (process,) = [one for one in psutil.process_iter(["cmdline"]) if _has(one.info["cmdline"] or [], arguments)]
        os.kill(process.pid, signal.SIGKILL)

    def watched(self, execution: str, attempt: int) -> None:
        """Waits until this attempt, 1 for the first, has the search in view: it tells how the trials stand."""

        def sees() -> bool:
            pods = self.team.pods(execution)
            begun = len(pods) == attempt and pods[-1]["status"]["phase"] != "Pending"
            return begun and "trials done" in self.team.log(pods[-1])

        until(
            sees,
            f"attempt {attempt} of the step to see the search",
            seconds=240,
            tell=lambda: self.told(execution),
        )

    def ran(self) -> list[str]:
        """The trials that were begun so far, each as often as it was."""
        return held_tuner.ran(self.search)

    def told(self, execution: str) -> object:
        """What became of it, for messages."""
        begun = [pod for pod in self.team.pods(execution) if pod["status"]["phase"] != "Pending"]
        return self.team.brief(execution), [self.team.log(pod) for pod in begun]

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
    pipeline = Step(team, tmp_path, trials=12, free=6)
    pipeline.start("first")
    seen: list[dict[str, str]] = []
    for attempt in (1, 2):
        pipeline.watched("first", attempt)
        if attempt == 1:
            until(lambda: len(pipeline.ran()) == 8, "both workers to be held", seconds=240, tell=pipeline.ran)
        seen.append({**uids(pipeline.objects("jobs")), **uids(pipeline.objects("pods"))})
        pipeline.kill("first")
    pipeline.watched("first", 3)
    (owner,) = pipeline.objects("jobs", ",app.kubernetes.io/component=chief")[0]["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["name"]) == ("Job", "first"), "what outlives the pod of one attempt owns the search"
    seen.append({**uids(pipeline.objects("jobs")), **uids(pipeline.objects("pods"))})
    held_tuner.let_go(pipeline.search)
    job = team.finish("first", seconds=240)
    assert job["status"].get("succeeded") == 1 and job["status"]["failed"] == 2, pipeline.told("first")
    assert seen[0] == seen[1] == seen[2] and len(seen[0]) == 5, "chief and workers were not touched"
    assert sorted(pipeline.ran()) == sorted(row["trial_id"] for row in step.results(pipeline.root, "first"))
    assert len(pipeline.ran()) == 12
    assert re.search(r"search: cost: \d+\.\d\d, \d+\.\d\d less than on demand \(worker: 2 w", team.logs("first")[-1])
    assert not any(pipeline.objects(kind) for kind in KINDS)


@pytest.mark.usefixtures("token")
def test_a_second_step_of_the_same_run_is_refused_and_hurts_nobody(team: Namespace, tmp_path: Path) -> None:
    pipeline = Step(team, tmp_path, trials=6, free=2)
    pipeline.start("first")
    until(pipeline.ran, "a trial", seconds=240, tell=lambda: pipeline.told("first"))
    before = uids(pipeline.objects("pods"))
    pipeline.start("second")
    team.finish("second", seconds=240)
    assert f"another run works on the search in {pipeline.search}" in team.logs("second")[0]
    assert uids(pipeline.objects("pods")) == before
    held_tuner.let_go(pipeline.search)
    assert team.finish("first", seconds=240)["status"].get("succeeded") == 1
    assert len(pipeline.ran()) == len(set(pipeline.ran())) == 6
    assert not any(pipeline.objects(kind) for kind in KINDS)


def test_two_pipelines_with_the_same_run_and_node_keep_apart_also_when_one_ends(make: Make) -> None:
    long, short = (make(held_tuner.TUNER, {"trials": 4, "free": free}, run=run) for free, run in ((2, "a"), (4, "b")))
    for made, pipeline in ((long, "one"), (short, "other")):
        made.name = SearchName(pipeline, "monday", "Tuner")
        made.plan = dataclasses.replace(made.plan, search=made.name)
    assert long.name.name != short.name.name and long.name.name.startswith("monday-tuner-")
    ended: list[SearchRecord | BaseException] = []
    pods: list[dict[str, str]] = []

    def run() -> None:
        try:
            ended.append(short.run(workers=1).record)
        except BaseException as error:
            ended.append(error)

    thread = threading.Thread(target=run)

    def begin() -> None:
        pods.append(uids([*long.pods("chief"), *long.pods("worker")]))
        thread.start()

    def end() -> None:
        thread.join()
        pods.append(uids([*long.pods("chief"), *long.pods("worker")]))
        held_tuner.let_go(long.directory.root)

    first = Once(lambda record: record.count(TrialStatus.COMPLETED) >= 1, begin)
    last = Once(lambda record: bool(ended), end)
    found = long.run(workers=1, watch=each_of(first, last))
    all_completed(long, 4, found.record)
    assert isinstance(ended[0], SearchRecord), ended
    all_completed(short, 4, ended[0])
    assert pods[0] == pods[1] and len(pods[0]) == 2
    assert long.left() == short.left() == []
