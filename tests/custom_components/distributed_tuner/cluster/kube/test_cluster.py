"""What the step's side of a cluster makes of what the API server says."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from custom_components.distributed_tuner.cluster.base import ClusterError, Snapshot
from custom_components.distributed_tuner.cluster.kube import cluster as cluster_module
from custom_components.distributed_tuner.cluster.kube.api.errors import ApiError, ApiUnavailable
from custom_components.distributed_tuner.cluster.kube.cluster import KubernetesCluster
from custom_components.distributed_tuner.cluster.kube.control.overdue import Overdue
from custom_components.distributed_tuner.cluster.kube.manifests.manifests import (
    ATTEMPT_ANNOTATION,
    DIRECTORY_ID_ANNOTATION,
)
from custom_components.distributed_tuner.cluster.kube.manifests.names import SearchName
from custom_components.distributed_tuner.cluster.kube.manifests.plan import Plan
from custom_components.distributed_tuner.cluster.kube.place import Place
from custom_components.distributed_tuner.cluster.kube.settings.options import KubernetesOptions
from custom_components.distributed_tuner.storage.search_dir import DIRECTORY_ID
from tests.custom_components.distributed_tuner.cluster.kube.fake_api import FakeApi

PODS = "/api/v1/namespaces/ml/pods"
JOBS = "/apis/batch/v1/namespaces/ml/jobs"
NAME = SearchName("taxi", "monday", "Tuner")


def plan(root: Path, **settings: Any) -> Plan:
    options = KubernetesOptions.from_mapping({"image": "registry.example/tuner:1", **settings})
    return Plan(NAME, "ml", str(root), options, grace_seconds=0.1, lock_seconds=1.0, attempt="a1")


@contextlib.contextmanager
def started(made: Plan, api: FakeApi, workers: int = 2) -> Iterator[KubernetesCluster]:
    cluster = KubernetesCluster(made, api, Place(()))
    cluster.start(workers)
    try:
        yield cluster
    finally:
        cluster.leave()


def until(what: Callable[[], bool]) -> None:
    ends = time.monotonic() + 30
    while not what():
        assert time.monotonic() < ends, "it did not come to that"
        time.sleep(0.02)


def runs(api: FakeApi, job: str, index: int = 0) -> str:
    """The path of a pod of a Job, which runs."""
    owner = api.objects[f"{JOBS}/{NAME.name}-{job}"]
    name = f"{owner['metadata']['name']}-{index}-{len(api.objects)}"
    made = api.create(
        PODS,
        {
            "metadata": {
                "name": name,
                "labels": owner["metadata"]["labels"],
                "annotations": {"batch.kubernetes.io/job-completion-index": str(index)},
                "ownerReferences": [{"uid": owner["metadata"]["uid"], "controller": True}],
            },
            "status": {"phase": "Running"},
        },
    )
    return f"{PODS}/{made['metadata']['name']}"


def poll_until(cluster: KubernetesCluster, what: Callable[[Snapshot], bool]) -> Snapshot:
    found: list[Snapshot] = []

    def happened() -> bool:
        found.append(cluster.poll())
        return what(found[-1])

    until(happened)
    return found[-1]


def test_events_of_an_earlier_job_of_the_same_name_say_nothing_of_this_one(tmp_path: Path) -> None:
    api = FakeApi()
    with started(plan(tmp_path), api) as cluster:
        job = api.objects[f"{JOBS}/{NAME.group('worker')}"]["metadata"]
        refused = {"reason": "FailedCreate", "message": 'pods "x" is forbidden: exceeded quota: q', "metadata": {}}
        api.events.append({**refused, "involvedObject": {"kind": "Job", "name": job["name"], "uid": "an-earlier-one"}})
        assert "has not made its pod yet" in cluster.poll().waiting()
    api = FakeApi()
    with started(plan(tmp_path), api) as cluster:
        job = api.objects[f"{JOBS}/{NAME.group('worker')}"]["metadata"]
        api.events.append({**refused, "involvedObject": {"kind": "Job", "name": job["name"], "uid": job["uid"]}})
        with pytest.raises(ClusterError, match="worker-0 and 1 more cannot start: the namespace's ResourceQuota"):
            cluster.poll()


@pytest.mark.parametrize(
    ("lacks", "ends"), [("Insufficient nvidia.com/gpu", False), ("untolerated taint {a: b}", True)]
)
def test_the_autoscaler_is_believed_where_the_scheduler_says_the_same(tmp_path: Path, lacks: str, ends: bool) -> None:
    api = FakeApi()
    with started(plan(tmp_path), api, workers=1) as cluster:
        pod = api.objects[runs(api, "worker")]
        words = f"0/1 nodes are available: 1 {lacks}."
        scheduled = {"type": "PodScheduled", "status": "False", "message": words}
        pod["status"] = {"phase": "Pending", "conditions": [scheduled]}
        no_pool = "pod didn't trigger scale-up: 2 node(s) didn't match Pod's node affinity/selector"
        about = {"involvedObject": {"kind": "Pod", "uid": pod["metadata"]["uid"]}, "metadata": {}}
        api.events.append({"reason": "NotTriggerScaleUp", "message": no_pool, **about})
        if ends:
            with pytest.raises(ClusterError, match="worker-0 cannot start: no node pool has a machine like this"):
                poll_until(cluster, lambda seen: False)
        else:
            seen = poll_until(cluster, lambda seen: lacks in seen.workers[0].reason)
            assert no_pool in seen.waiting()


def test_a_worker_is_replaced_when_the_server_is_back(tmp_path: Path) -> None:
    api = FakeApi()
    with started(plan(tmp_path), api) as cluster:
        runs(api, "chief")
        doomed, other = runs(api, "worker"), runs(api, "worker", 1)
        poll_until(cluster, lambda seen: all(member.state == "running" for member in seen.workers))
        api.trouble = ApiUnavailable("away")
        cluster.replace("worker-0")
        cluster.poll()
        api.trouble = None
        assert doomed in api.objects
        cluster._replacements._not_before = 0.0
        cluster.poll()
        assert doomed not in api.objects and other in api.objects


@pytest.mark.parametrize("part", ["chief", "worker"])
def test_a_pod_whose_node_does_not_end_it_is_given_up(tmp_path: Path, part: str) -> None:
    api, now = FakeApi(), [0.0]
    with started(plan(tmp_path), api, workers=1) as cluster:
        cluster._overdue = Overdue(lambda: now[0])
        pods = {name: runs(api, name) for name in ("chief", "worker")}
        poll_until(cluster, lambda seen: seen.chief.state == seen.workers[0].state == "running")
        lost = api.objects[pods[part]]
        lost["metadata"].update(deletionTimestamp="2026-01-01T00:00:00Z", deletionGracePeriodSeconds=1)
        poll_until(cluster, lambda seen: "pending" in (seen.chief.state, seen.workers[0].state))
        assert pods[part] in api.objects
        now[0] = 17.0
        cluster.poll()
        assert lost["status"]["phase"] == "Failed"
        assert pods[part] not in api.objects and len({*pods.values()} & {*api.objects}) == 1


def test_workers_whose_jobs_somebody_deleted_are_not_waited_for(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    api = FakeApi()
    with started(plan(tmp_path, groups=GROUPS), api) as cluster:
        for group, left in (("spot", True), ("demand", False)):
            api.delete(f"{JOBS}/{NAME.group(group)}")
            if left:
                poll_until(cluster, lambda seen: len(seen.workers) == 1)
                assert caplog.text.count(f"{NAME.group('spot')} is gone: somebody deleted it") == 1
            else:
                with pytest.raises(ClusterError, match="the Jobs of all workers are gone from namespace ml"):
                    poll_until(cluster, lambda seen: False)


def test_a_removal_that_fails_names_what_removes_the_rest(tmp_path: Path) -> None:
    api = FakeApi()
    with started(plan(tmp_path), api) as cluster:
        api.trouble = ApiUnavailable("away for minutes")
        with pytest.raises(ClusterError, match=rf"away for minutes.*kubectl delete jobs,pods,.*{NAME.name}$"):
            cluster.close(grace_seconds=0.0)
        api.trouble = None


def uids(api: FakeApi) -> dict[str, str]:
    """Of the Jobs, by chief or group."""
    return {
        path.removeprefix(f"{JOBS}/{NAME.name}-"): one["metadata"]["uid"]
        for path, one in api.objects.items()
        if path.startswith(JOBS)
    }


GROUPS: list[dict[str, Any]] = [{"name": "spot", "count": 2}, {"name": "demand", "count": 1}]


@pytest.mark.parametrize(
    ("changed", "replaced", "words"),
    [
        ({}, set(), "runs already and is gone on with"),
        ({"groups": [{**GROUPS[0], "count": 7}, GROUPS[1]]}, set(), "runs already and is gone on with"),
        ({"groups": [{**GROUPS[0], "env": {"A": "1"}}, GROUPS[1]]}, {"spot"}, "are replaced: spot; removed: none"),
        ({"groups": [{**GROUPS[0], "name": "new"}, GROUPS[1]]}, {"spot", "new"}, "are replaced: none; removed: spot"),
        ({"chief": {"memory": "3Gi"}}, {"chief", "spot", "demand"}, "settings of the chief of search"),
        ({"image": "registry.example/tuner:2"}, {"chief", "spot", "demand"}, "settings of the chief of search"),
    ],
)
def test_jobs_of_other_settings_are_replaced_and_no_others(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, changed: dict[str, Any], replaced: set[str], words: str
) -> None:
    caplog.set_level("INFO")
    api = FakeApi()
    with started(plan(tmp_path, groups=GROUPS), api):
        pods = {part: runs(api, part) for part in ("chief", "spot", "demand")}
        before = uids(api)
    again = dataclasses.replace(plan(tmp_path, **{"groups": GROUPS, **changed}), attempt="a2")
    with started(again, api):
        after = uids(api)
    assert set(after) == {"chief", *(group.name for group in again.options.groups)}
    assert {part for part in {*before, *after} if before.get(part) != after.get(part)} == replaced
    assert {part for part, path in pods.items() if path not in api.objects} == replaced & set(pods)
    assert sum("settings of" in line for line in caplog.messages) == (1 if replaced else 0)
    assert words in caplog.text


def test_what_somebody_scaled_or_the_server_filled_in_is_no_other_setting(tmp_path: Path) -> None:
    api = FakeApi()
    with started(plan(tmp_path, groups=GROUPS), api) as cluster:
        cluster.scale("spot", 16)
        api.objects[f"{JOBS}/{NAME.group('spot')}"]["spec"]["manualSelector"] = False
        before = uids(api)
    with started(plan(tmp_path, groups=GROUPS), api):
        assert uids(api) == before
        assert api.objects[f"{JOBS}/{NAME.group('spot')}"]["spec"]["completions"] == 16


def test_a_search_whose_name_is_taken_touches_nothing_of_the_other(tmp_path: Path) -> None:
    api = FakeApi()
    with started(plan(tmp_path), api):
        before = dict(api.objects)
        second = KubernetesCluster(plan(tmp_path / "elsewhere", keep_on_failure=True), api, Place(()))
        with pytest.raises(ClusterError, match=r"a search of the same name.*elsewhere"):
            second.start(1)
        second.close(grace_seconds=0.0, failed=True)
        assert api.objects == before


NO_RIGHT = ApiError(
    403, "Forbidden", 'jobs.batch is forbidden: User "step" cannot get resource "jobs" in API group "batch"'
)
AWAY = ApiUnavailable("away for minutes")


def first_of(kind: str, error: ClusterError, times: int = 1) -> Callable[[str, str], ClusterError | None]:
    """Refuses the first calls about a kind of object."""
    left = itertools.repeat(error, times)
    return lambda verb, path: next(left, None) if f"/{kind}/" in path else None


@pytest.mark.parametrize("error", [ApiError(500, "InternalError", "etcd is sad"), AWAY])
def test_a_step_that_cannot_start_touches_nothing_that_it_did_not_begin(tmp_path: Path, error: ClusterError) -> None:
    api = FakeApi()
    with started(plan(tmp_path), api):
        before = uids(api)
        for kind in ("jobs", "secrets", "services"):
            again = KubernetesCluster(dataclasses.replace(plan(tmp_path), attempt="a2"), api, Place(()))
            api.refuse = first_of(kind, error)
            with pytest.raises(ClusterError):
                again.start(2)
            again.close(grace_seconds=0.0, failed=True)
            assert uids(api) == before


def test_a_step_that_cannot_start_removes_what_it_began(tmp_path: Path) -> None:
    api = FakeApi()
    cluster = KubernetesCluster(plan(tmp_path), api, Place(()))
    api.refuse = lambda verb, path: AWAY if verb == "create" and "/services/" in path else None
    with pytest.raises(ClusterError):
        cluster.start(2)
    assert api.objects
    cluster.close(grace_seconds=0.0, failed=True)
    assert api.objects == {}


def test_a_cancelled_step_removes_the_search_that_it_went_on_with(tmp_path: Path) -> None:
    api = FakeApi()
    with started(plan(tmp_path), api), started(dataclasses.replace(plan(tmp_path), attempt="a2"), api) as again:
        again.close(grace_seconds=0.0)
        assert api.objects == {}


def test_a_step_that_was_thought_dead_leaves_the_search_to_the_next_one(tmp_path: Path) -> None:
    api = FakeApi()
    with started(plan(tmp_path), api) as first, started(dataclasses.replace(plan(tmp_path), attempt="a2"), api):
        before = uids(api)
        first.close(grace_seconds=0.0)
        assert uids(api) == before


def test_a_right_that_is_missing_for_a_moment_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    api = FakeApi()
    api.refuse = first_of("jobs", NO_RIGHT, times=3)
    with started(plan(tmp_path), api):
        assert len(uids(api)) == 2
    monkeypatch.setattr(cluster_module, "_RIGHTS_SECONDS", 0.5)
    api.refuse = first_of("jobs", NO_RIGHT, times=1000)
    with pytest.raises(ClusterError, match=r"step may not get jobs\.batch"):
        KubernetesCluster(plan(tmp_path), api, Place(())).start(2)


def test_the_same_path_in_another_volume_is_another_search(tmp_path: Path) -> None:
    api = FakeApi()
    with started(plan(tmp_path), api):
        before = uids(api)
        (tmp_path / DIRECTORY_ID).unlink()
        second = KubernetesCluster(dataclasses.replace(plan(tmp_path), attempt="a2"), api, Place(()))
        with pytest.raises(ClusterError, match=rf"in the directory {tmp_path} and in another volume\. Wait for it"):
            second.start(2)
        second.close(grace_seconds=0.0, failed=True)
        assert uids(api) == before


def test_a_chief_of_an_earlier_version_is_gone_on_with(tmp_path: Path) -> None:
    api = FakeApi()
    with started(plan(tmp_path), api):
        before = uids(api)
        for annotation in (ATTEMPT_ANNOTATION, DIRECTORY_ID_ANNOTATION):
            del api.objects[f"{JOBS}/{NAME.chief}"]["metadata"]["annotations"][annotation]
        with started(plan(tmp_path), api):
            assert uids(api) == before


@pytest.mark.parametrize("failed", [True, False])
def test_only_a_search_that_failed_is_kept_and_it_begins_anew(tmp_path: Path, failed: bool) -> None:
    api, kept = FakeApi(), plan(tmp_path, keep_on_failure=True)
    with started(kept, api) as cluster:
        before = uids(api)
        cluster.close(grace_seconds=0.0, failed=failed)
        assert uids(api) == (before if failed else {})
    with started(kept, api):
        assert set(uids(api)) == set(before)
        assert not set(uids(api).values()) & set(before.values())


def test_a_search_that_is_kept_without_its_chief_is_no_trouble(tmp_path: Path) -> None:
    api = FakeApi()
    with started(plan(tmp_path, keep_on_failure=True), api) as cluster:
        api.delete(f"{JOBS}/{NAME.chief}")
        cluster.close(grace_seconds=0.0, failed=True)
    assert api.objects == {}


def begun_by(workflow: str | None) -> Place:
    if workflow is None:
        return Place(())
    reference = {"apiVersion": "v1", "kind": "Workflow", "name": workflow, "uid": f"of {workflow}"}
    return Place((reference,), callers={"podSelector": {"matchLabels": {"workflow": workflow}}})


@pytest.mark.parametrize(("first", "second"), [("a", "b"), (None, "b"), ("a", None), ("a", "a")])
def test_whoever_goes_on_with_a_search_owns_it_and_may_call_its_chief(
    tmp_path: Path, first: str | None, second: str | None
) -> None:
    api, policies = FakeApi(), "/apis/networking.k8s.io/v1/namespaces/ml/networkpolicies"
    seen: list[tuple[Any, Any]] = []
    for workflow in (first, second):
        cluster = KubernetesCluster(plan(tmp_path), api, begun_by(workflow))
        cluster.start(1)
        cluster.leave()
        chief = api.objects[f"{JOBS}/{NAME.chief}"]
        seen.append((chief["metadata"]["uid"], api.objects[f"{policies}/{NAME.chief}"]["metadata"]["uid"]))
        owners = chief["metadata"].get("ownerReferences") or ()
        assert list(owners) == list(begun_by(workflow).owners)
        callers = api.objects[f"{policies}/{NAME.chief}"]["spec"]["ingress"][0]["from"][1]
        assert callers == (begun_by(workflow).callers or {"podSelector": {}})
    assert seen[0][0] == seen[1][0]
    assert (seen[0][1] == seen[1][1]) == (first == second)
