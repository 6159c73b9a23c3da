"""Searches whose chief and workers are Jobs, on a real control plane, in a namespace that enforces restricted pods."""

from __future__ import annotations

import base64
import dataclasses
import threading
from pathlib import Path
from typing import Any

import pytest

from custom_components.distributed_tuner.cluster.base import ClusterError, MemberState
from custom_components.distributed_tuner.cluster.kube.control import objects
from custom_components.distributed_tuner.errors import SearchError
from custom_components.distributed_tuner.record.record import Outcome, SearchRecord, TrialStatus
from tests.cluster.kubernetes_search import OPTIONS, connect
from tests.cluster.searching import Make, Once, all_completed, each_of, trials_run
from tests.custom_components.distributed_tuner.cluster.contract import Watched
from tests.harness.cluster.kubernetes.api import Object
from tests.harness.cluster.kubernetes.control_plane import ControlPlane
from tests.harness.cluster.kubernetes.errors import ApiError
from tests.harness.cluster.kubernetes.objects import RESTRICTED_CONTAINER, RESTRICTED_POD, Namespace
from tests.harness.cluster.kubernetes.waiting import until
from tests.harness.cluster.node.node_pool import GPU, SPOT_LABELS, SPOT_TAINT, NodePool

# Chief and workers each import TensorFlow and TFX, on whatever cores there are.
pytestmark = pytest.mark.timeout(400)

pytest_plugins = ["tests.cluster.search_fixtures"]


def test_a_search_with_the_rights_of_deploy_leaves_nothing(make: Make, team: Namespace, token: str) -> None:
    made = make("models", {"max_trials": 4, "epochs": 1})
    seen: list[Object] = []
    credentials: list[bytes] = []

    def look() -> None:
        seen.extend([*made.pods("chief"), *made.pods("worker")])
        for name in (made.name.chief, made.name.worker_secret):
            secret = team.api.get(team.path("secrets", name))
            credentials.extend(value.encode() for key, value in secret["data"].items() if key in ("token", "tls.key"))

    found = made.run(watch=Once(trials_run, look))
    all_completed(made, 4, found.record)
    assert {trial.stays[0].worker for trial in found.record.trials} <= {"worker-0", "worker-1"}
    assert len(seen) == 3 and made.left() == []
    assert len(credentials) == 3
    logs = {path.name: path.read_text() for path in made.directory.logs.iterdir()}
    assert set(logs) == {"chief.log", "worker-0.log", "worker-1.log"} and "serving on" in logs["chief.log"]
    plain = [base64.b64decode(value) for value in credentials]
    files = [path.read_bytes() for path in made.directory.root.rglob("*") if path.is_file()]
    for secret in plain:
        assert not any(secret in file for file in files)
        assert not any(secret.decode() in str(pod) for pod in seen)
    assert any("waiting for a machine" in words for words in made.words)


def test_evicted_workers_and_chief_come_back_and_cost_nothing(make: Make, team: Namespace) -> None:
    made = make("waiting", {"max_trials": 6, "seconds": 3.0})
    # Both workers have one, so that whoever is evicted loses it.
    worker = Once(lambda record: record.count(TrialStatus.RUNNING) == 2, lambda: team.evict(made.live("worker")[0]))
    chief = Once(lambda record: record.count(TrialStatus.COMPLETED) >= 2, lambda: team.evict(made.live("chief")[0]))
    jobs: list[Object] = []
    last = Once(
        lambda record: record.count(TrialStatus.COMPLETED) >= 5,
        lambda: jobs.extend([made.job("chief"), made.job("worker")]),
    )
    found = made.run(watch=each_of(worker, chief, last))
    assert worker.done and chief.done
    all_completed(made, 6, found.record)
    outcomes = [stay.outcome for trial in found.record.trials for stay in trial.stays]
    assert {Outcome.RELEASED, Outcome.LOST} & set(outcomes) and Outcome.FAILED not in outcomes
    assert all(not job["status"].get("failed") for job in jobs) and len(jobs) == 2
    assert made.left() == []


def test_a_trial_goes_on_from_its_last_epoch_after_a_spot_machine_went(make: Make, nodes: NodePool) -> None:
    spot = nodes.add_spot()
    config = {"algorithm": "random", "max_trials": 1, "seconds": 1.5}
    made = make("resumed_tuners.tuner", config, settings={"groups": [{"name": "spot", "spot": True}]})

    def go() -> None:
        spot.preempt()
        nodes.remove(spot)
        nodes.add_spot()

    found = made.run(workers=1, watch=Once(lambda record: any(t.epochs >= 3 for t in record.trials), go))
    all_completed(made, 1, found.record)
    (trial,) = found.record.trials
    assert [stay.outcome for stay in trial.stays] == [Outcome.RELEASED, Outcome.COMPLETED]
    # The first epoch of each of the trial's two executions was trained once: nothing began anew.
    epochs = [line.split()[1] for line in (made.directory.root / "epochs.log").read_text().splitlines()]
    assert epochs.count("0") == 2
    assert made.left() == []


def test_a_node_that_is_gone_at_once_loses_no_trial(make: Make, nodes: NodePool) -> None:
    labels = {"pool": "doomed"}
    doomed = nodes.add(labels=labels)
    made = make("waiting", {"max_trials": 3, "seconds": 3.0}, settings={"groups": [{"node_selector": labels}]})

    def go() -> None:
        nodes.remove(doomed)
        nodes.add(labels=labels)

    found = made.run(workers=1, watch=Once(trials_run, go))
    all_completed(made, 3, found.record)
    assert Outcome.LOST in [stay.outcome for trial in found.record.trials for stay in trial.stays]
    assert made.left() == []


@pytest.mark.parametrize("who", ["chief", pytest.param("worker", marks=pytest.mark.full)])
def test_a_node_that_falls_silent_and_stays_in_the_list_costs_no_search(make: Make, nodes: NodePool, who: str) -> None:
    labels = {"pool": "doomed"}
    doomed = nodes.add(labels=labels)
    there = {"node_selector": labels}
    settings: dict[str, Any] = {"chief": there} if who == "chief" else {"groups": [there]}
    made = make("waiting", {"max_trials": 4, "seconds": 2.0}, settings=settings)

    def go() -> None:
        doomed.die()
        nodes.add(labels=labels)

    found = made.run(workers=1, watch=Once(trials_run, go))
    all_completed(made, 4, found.record)
    assert Outcome.FAILED not in [stay.outcome for trial in found.record.trials for stay in trial.stays]
    assert made.left() == []


def test_a_silent_worker_whose_node_is_gone_is_given_up_and_counts_for_nothing(make: Make, nodes: NodePool) -> None:
    labels = {"pool": "doomed"}
    doomed = nodes.add(labels=labels)
    # The cluster's own verdict on the node would come in minutes.
    settings = {"groups": [{"node_selector": labels}], "node_loss_seconds": 300}
    made = make("waiting", {"seconds": 600.0}, settings=settings)
    made.spec.write(made.directory.storage)
    cluster = made.make_cluster()
    cluster.start(1)
    try:
        watched = Watched(cluster)
        until(made.ran, "a trial")
        watched.poll()
        (lost,) = made.live("worker")
        doomed.die()
        nodes.add(labels=labels)
        cluster.replace("worker-0")
        watched.until(lambda seen: watched.losses and seen.workers[0].state is MemberState.RUNNING, "its successor")
        (loss,) = watched.losses
        assert (loss.process, loss.fault) == (lost["metadata"]["name"], False) and "NodeDoesNotAnswer" in loss.reason
        (successor,) = made.live("worker")
        assert not made.job("worker")["status"].get("failed")
        failures = "batch.kubernetes.io/job-index-failure-count"
        assert successor["metadata"]["annotations"].get(failures, "0") == "0"
        assert watched.poll().workers[0].restarts == 0
    finally:
        cluster.close(grace_seconds=0.0)
    assert made.left() == []


@pytest.mark.full
def test_machines_that_go_one_after_another_do_not_fail_the_trial_that_they_had(make: Make, nodes: NodePool) -> None:
    labels = {"pool": "doomed"}
    doomed = [nodes.add(labels=labels)]
    options = dataclasses.replace(OPTIONS, max_fruitless_losses=2)
    # It has no epochs: whoever is lost with it has done nothing.
    made = make(
        "waiting", {"max_trials": 1, "seconds": 8.0}, settings={"groups": [{"node_selector": labels}]}, options=options
    )

    def stays(record: SearchRecord, count: int) -> bool:
        return trials_run(record) and len(record.trials[0].stays) == count

    def go() -> None:
        nodes.remove(doomed[-1])
        doomed.append(nodes.add(labels=labels))

    blows = [Once(lambda record, count=count: stays(record, count), go) for count in (1, 2)]  # type: ignore[misc]
    found = made.run(workers=1, watch=each_of(*blows))
    all_completed(made, 1, found.record)
    assert [stay.outcome for stay in found.record.trials[0].stays] == [*[Outcome.LOST] * 2, Outcome.COMPLETED]
    assert made.left() == []


def test_a_step_that_was_killed_finds_its_search_and_goes_on(make: Make, team: Namespace) -> None:
    made = make("waiting", {"max_trials": 6, "seconds": 1.0})
    made.spec.write(made.directory.storage)
    first = made.make_cluster()
    first.start(2)
    until(lambda: len(made.live("worker")) == 2, "two workers")
    uids = [made.job(part)["metadata"]["uid"] for part in ("chief", "worker")]
    again: list[str] = []
    found = made.run(
        watch=Once(trials_run, lambda: again.extend(made.job(p)["metadata"]["uid"] for p in ("chief", "worker")))
    )
    all_completed(made, 6, found.record)
    assert again == uids
    assert len(made.ran()) == 6
    assert made.left() == []


def test_settings_that_were_mended_after_the_step_was_killed_are_used(make: Make) -> None:
    config = {"max_trials": 6, "seconds": 1.0}
    stuck = {"name": "mended", "count": 1, "node_selector": {"no": "such"}}
    first = make("waiting", config, settings={"groups": [stuck, {"name": "old", "count": 1}]})
    first.spec.write(first.directory.storage)
    first.make_cluster().start(2)
    until(lambda: len(first.ran()) >= 1, "a first trial")
    chief = first.job("chief")["metadata"]["uid"]
    made = make("waiting", config, settings={"groups": [{"name": "mended", "count": 1}, {"name": "new", "count": 1}]})
    pods: list[list[Object]] = []
    uids: list[str] = []

    def look() -> None:
        pods.append(made.pods("old"))
        uids.append(made.job("chief")["metadata"]["uid"])

    found = made.run(watch=Once(lambda record: record.count(TrialStatus.COMPLETED) >= 4, look))
    all_completed(made, 6, found.record)
    assert pods == [[]] and uids == [chief]
    assert {trial.stays[-1].worker for trial in found.record.trials[-2:]} <= {"mended-0", "new-0"}
    assert Outcome.FAILED not in [stay.outcome for trial in found.record.trials for stay in trial.stays]
    assert made.left() == []


def test_with_a_chief_of_other_settings_all_begins_anew_but_the_finished_trials(make: Make) -> None:
    config = {"max_trials": 4, "seconds": 1.0}
    first = make("waiting", config)
    first.spec.write(first.directory.storage)
    first.make_cluster().start(1)
    until(lambda: len(first.ran()) >= 2, "a trial that is over")
    chief = first.job("chief")["metadata"]["uid"]
    made = make("waiting", config, settings={"chief": {"memory": "600Mi"}})
    uids: list[str] = []
    found = made.run(workers=1, watch=Once(trials_run, lambda: uids.append(made.job("chief")["metadata"]["uid"])))
    all_completed(made, 4, found.record)
    assert uids and chief not in uids
    assert len(made.ran()) <= 5
    assert made.left() == []


def test_a_step_killed_between_any_two_objects_leaves_nothing_that_hinders_the_next(
    make: Make, team: Namespace
) -> None:
    made = make("waiting", {"max_trials": 1})
    made.spec.write(made.directory.storage)
    made.make_cluster().start(1)
    # Half of the objects are gone, as if they had never been made; the chief had no time to start.
    for name in (made.name.worker_secret,):
        team.api.delete(team.path("secrets", name))
    team.api.delete(team.path("services", made.name.chief))
    found = made.run(workers=1)
    all_completed(made, 1, found.record)
    assert made.left() == []


def test_two_searches_of_one_namespace_keep_apart(make: Make) -> None:
    one, other = (make("waiting", {"max_trials": 2, "seconds": 0.5}, run=run) for run in ("monday", "tuesday"))
    errors: list[BaseException] = []

    def run() -> None:
        try:
            all_completed(other, 2, other.run(workers=1).record)
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    all_completed(one, 2, one.run(workers=1).record)
    thread.join(300)
    assert not errors and not thread.is_alive()
    assert one.left() == other.left() == []


def test_the_same_name_with_another_directory_is_refused(make: Make, tmp_path: Path) -> None:
    made = make("waiting", {"max_trials": 1})
    first = made.make_cluster()
    first.start(1)
    try:
        before = made.left()
        made.plan = dataclasses.replace(made.plan, root=str(tmp_path / "elsewhere"))
        second = made.make_cluster()
        with pytest.raises(ClusterError, match=r"a search of the same name.*elsewhere"):
            second.start(1)
        second.close(grace_seconds=0.0, failed=True)
        assert [name for name in before if name not in made.left()] == []
    finally:
        first.close(grace_seconds=0.0)
    assert made.left() == []


def test_with_its_owner_goes_the_search(make: Make, team: Namespace) -> None:
    made = make("waiting", {"max_trials": 100, "seconds": 1.0})
    made.owners = [{"apiVersion": "v1", "kind": "ConfigMap", **owner(team, "workflow")}]
    made.spec.write(made.directory.storage)
    made.make_cluster().start(2)
    until(lambda: len(made.live("worker")) == 2, "two workers")
    team.api.delete(team.path("configmaps", "workflow"))
    until(lambda: not made.left(), "the end of all", tell=made.left)


def test_a_search_that_another_workflow_goes_on_with_outlives_the_first_one(make: Make, team: Namespace) -> None:
    made = make("waiting", {"max_trials": 4, "seconds": 1.0})
    owners = [{"apiVersion": "v1", "kind": "ConfigMap", **owner(team, name)} for name in ("first", "second")]
    made.owners = owners[:1]
    made.spec.write(made.directory.storage)
    made.make_cluster().start(2)
    uid = made.job()["metadata"]["uid"]
    made.owners = owners[1:]
    uids: list[str] = []

    def forget_the_first() -> None:
        uids.append(made.job()["metadata"]["uid"])
        team.api.delete(team.path("configmaps", "first"))

    all_completed(made, 4, made.run(watch=Once(trials_run, forget_the_first)).record)
    assert uids == [uid]
    assert made.left() == []


def owner(team: Namespace, name: str) -> dict[str, str]:
    """Something that can own a search."""
    created = team.api.create(team.path("configmaps"), {"metadata": {"name": name}})
    return {"name": name, "uid": created["metadata"]["uid"]}


@pytest.mark.full
def test_what_a_dead_step_left_that_can_never_end_goes_by_itself(make: Make) -> None:
    times = {"deserted_seconds": 60.0, "ttl_seconds": 60}
    nowhere = make("waiting", settings={"groups": [{"node_selector": {"no": "such"}}], **times})
    broken = make("waiting", settings={"groups": [{"env": {"PYTHONHOME": "/nowhere"}}], **times}, run="tuesday")
    for made in (nowhere, broken):
        made.spec.write(made.directory.storage)
        made.make_cluster().start(1)
    for made in (nowhere, broken):
        until(lambda made=made: not made.left(), "the end of all", seconds=250.0, tell=made.left)  # type: ignore[misc]


def test_a_running_search_grows_and_shrinks(make: Make) -> None:
    made = make("waiting", {"max_trials": 14, "seconds": 2.0})
    cluster = made.make_cluster()
    grow = Once(trials_run, lambda: cluster.scale("worker", 3))
    shrink = Once(
        lambda record: any(trial.stays[-1].worker == "worker-2" for trial in record.trials),
        lambda: cluster.scale("worker", 1),
    )
    found = made.run(workers=1, cluster=cluster, watch=each_of(grow, shrink))
    assert grow.done and shrink.done
    all_completed(made, 14, found.record)
    assert Outcome.FAILED not in [stay.outcome for trial in found.record.trials for stay in trial.stays]
    with pytest.raises(ClusterError, match="no search"):
        cluster.scale("worker", 2)


def test_pending_workers_are_waited_for_with_the_schedulers_words(make: Make, nodes: NodePool) -> None:
    made = make("waiting", {"max_trials": 1}, settings={"groups": [{"name": "gpu", "gpu": {"count": 1}, "spot": True}]})
    came: list[str] = []

    def tell(words: str) -> None:
        if "gpu-0" in words and f"Insufficient {GPU}" in words and not came:
            came.append(words)
            nodes.add(labels=SPOT_LABELS, taints=[SPOT_TAINT], gpus=1)

    nodes.add_spot()
    all_completed(made, 1, made.run(workers=1, tell=tell).record)
    assert came


def test_waiting_ends_after_the_time_that_was_set(make: Make) -> None:
    made = make("waiting", settings={"groups": [{"node_selector": {"no": "such"}}], "pending_seconds": 20.0})
    with pytest.raises(
        ClusterError,
        match=r"every worker has been waiting for 20 s \(pending_seconds\).*node affinity.*change node_selector",
    ):
        made.run()
    assert made.left() == []


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        # Whose node says so first.
        ({"image": "no.such/image:1"}, r"(the chief|worker-0 and 1 more) cannot start: the image.*no.such/image:1"),
        ({"groups": [{"image": "no.such/image:1"}]}, r"worker-0 and 1 more cannot start: the image cannot be pulled"),
        ({"service_account": "nobody"}, "no service account nobody"),
        ({"chief": {"priority_class": "none"}}, "no PriorityClass with name none"),
    ],
)
def test_what_can_never_start_is_told_at_once(make: Make, settings: dict[str, Any], words: str) -> None:
    made = make("waiting", settings=settings)
    with pytest.raises(ClusterError, match=words):
        made.run()
    assert made.left() == []


def test_a_quota_is_told_at_once(make: Make, team: Namespace) -> None:
    quota = {"metadata": {"name": "gpus"}, "spec": {"hard": {f"requests.{GPU}": "0"}}}
    team.api.create(team.path("resourcequotas"), quota)
    until(lambda: team.api.get(team.path("resourcequotas", "gpus"))["status"].get("hard"), "the quota")
    made = make("waiting", settings={"groups": [{"gpu": {"count": 1}}]})
    with pytest.raises(ClusterError, match=r"cannot start: the namespace's ResourceQuota refuses it.*gpus"):
        made.run()
    assert made.left() == []


def test_a_limit_range_is_told_at_once(make: Make, team: Namespace) -> None:
    limits = {"limits": [{"type": "Container", "max": {"memory": "100Mi"}}]}
    team.api.create(team.path("limitranges"), {"metadata": {"name": "small"}, "spec": limits})
    made = make("waiting", settings={"chief": {"memory": "64Mi"}, "groups": [{"memory": "200Mi"}]})
    with pytest.raises(ClusterError, match=r"cannot start: the namespace's LimitRange refuses it.*memory.*100Mi"):
        made.run()
    assert made.left() == []


def test_an_admission_policy_is_told_at_once(make: Make, team: Namespace) -> None:
    policies = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies"
    bindings = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings"
    pods = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
    here = {"matchLabels": {"kubernetes.io/metadata.name": team.name}}
    rule = "!('app.kubernetes.io/component' in object.metadata.labels) || "
    rule += "object.metadata.labels['app.kubernetes.io/component'] != 'worker'"
    spec = {
        "matchConstraints": {"resourceRules": [pods], "namespaceSelector": here},
        "validations": [{"expression": rule, "message": "no workers on Fridays"}],
    }
    team.api.create(policies, {"metadata": {"name": team.name}, "spec": spec})
    binding = {"policyName": team.name, "validationActions": ["Deny"]}
    team.api.create(bindings, {"metadata": {"name": team.name}, "spec": binding})
    try:
        until(lambda: denied(team), "the policy to take effect")
        made = make("waiting")
        words = (
            r"worker-0 and 1 more cannot start: an admission policy of the cluster refuses it.*no workers on Fridays"
        )
        with pytest.raises(ClusterError, match=words):
            made.run()
        assert made.left() == []
    finally:
        for kind in (bindings, policies):
            team.api.delete(f"{kind}/{team.name}")


def denied(team: Namespace) -> bool:
    """Whether a pod like a worker's is refused."""
    pod: Object = {"securityContext": RESTRICTED_POD, "nodeSelector": {"no": "such"}}
    pod["containers"] = [{"name": "main", "image": team.image, "securityContext": RESTRICTED_CONTAINER}]
    labels = {"app.kubernetes.io/component": "worker"}
    try:
        team.api.create(team.path("pods"), {"metadata": {"name": "probe", "labels": labels}, "spec": pod})
    except ApiError as error:
        return "no workers on Fridays" in error.message
    team.api.delete(team.path("pods", "probe"), grace=0)
    return False


def test_an_admission_webhook_that_is_away_is_waited_for(make: Make, team: Namespace) -> None:
    hooks = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"
    pods = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
    hook = {
        "name": "policy.example.com",
        "clientConfig": {"url": "https://127.0.0.1:9/validate"},
        "rules": [pods],
        "failurePolicy": "Fail",
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
        "timeoutSeconds": 2,
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": team.name}},
    }
    team.api.create(hooks, {"metadata": {"name": team.name}, "webhooks": [hook]})
    told: list[str] = []

    def mend(words: str) -> None:
        if not told and "failed calling webhook" in words:
            told.append(words)
            team.api.delete(f"{hooks}/{team.name}")

    try:
        made = make("waiting", {"max_trials": 1})
        all_completed(made, 1, made.run(workers=1, tell=mend).record)
        assert told and made.left() == []
    finally:
        if not told:
            team.api.delete(f"{hooks}/{team.name}")


NO_POOL = "pod didn't trigger scale-up: 3 node(s) didn't match Pod's node affinity/selector"


def autoscaler_says(team: Namespace, pod: Object, reason: str, message: str) -> Object:
    """An event of a pod, as the cluster autoscaler makes it."""
    metadata = pod["metadata"]
    event = {
        "metadata": {"generateName": "autoscaler-"},
        "involvedObject": {
            "kind": "Pod",
            "name": metadata["name"],
            "namespace": team.name,
            "uid": metadata["uid"],
        },
        "reason": reason,
        "message": message,
        "lastTimestamp": metadata["creationTimestamp"],
    }
    return team.api.create(team.path("events"), event)


def test_a_group_that_no_node_pool_has_waits_beside_one_whose_node_is_being_added(
    make: Make, team: Namespace, nodes: NodePool
) -> None:
    sure = {"pool": "sure"}
    groups = [{"name": "spot", "count": 2, "node_selector": {"no": "such"}}, {"name": "sure", "node_selector": sure}]
    made = make("waiting", {"max_trials": 2, "seconds": 0.2}, settings={"groups": groups})
    told: list[Object] = []
    seen: list[str] = []

    def autoscaler(words: str) -> None:
        if not told and "spot-0" in words and made.pods("sure"):
            told.extend(autoscaler_says(team, pod, "NotTriggerScaleUp", NO_POOL) for pod in made.pods("spot"))
            said = "pod triggered scale-up: [{sure 0->1 (max: 3)}]"
            told.extend(autoscaler_says(team, pod, "TriggeredScaleUp", said) for pod in made.pods("sure"))
        if not seen and "no node pool has a machine like this" in words and "adding a node" in words:
            seen.append(words)
            nodes.add(labels=sure)

    all_completed(made, 2, made.run(workers=3, tell=autoscaler).record)
    assert "2 (spot-0, …): no node pool" in seen[0]
    assert made.left() == []


def test_what_no_node_pool_has_is_told_when_the_autoscaler_says_so(make: Make, team: Namespace) -> None:
    made = make("waiting", settings={"groups": [{"node_selector": {"no": "such"}}]})
    told: list[Object] = []

    def autoscaler(words: str) -> None:
        if "worker-0" not in words or told:
            return
        told.extend(autoscaler_says(team, pod, "NotTriggerScaleUp", NO_POOL) for pod in made.pods("worker"))

    words = (
        r"worker-0 and 1 more cannot start: no node pool has a machine like this, says the autoscaler: .*node affinity"
    )
    with pytest.raises(ClusterError, match=words):
        made.run(tell=autoscaler)
    assert told and made.left() == []


def test_a_namespace_that_is_not_there_is_named(make: Make, control_plane: ControlPlane, admin_token: str) -> None:
    admin = connect(control_plane.url, control_plane.authority.certificate, admin_token)
    made = make("waiting", settings={"namespace": "nowhere"}, api=admin)
    with pytest.raises(ClusterError, match="there is no namespace nowhere"):
        made.make_cluster().start(1)


def test_a_namespace_that_is_not_there_cannot_be_told_from_one_without_rights(make: Make) -> None:
    made = make("waiting", settings={"namespace": "nowhere"})
    words = r"may not get jobs\.batch in namespace nowhere.*Or there is no namespace nowhere"
    with pytest.raises(ClusterError, match=words):
        made.make_cluster().start(1)


def test_a_container_that_cannot_even_import_is_told_with_its_traceback(make: Make) -> None:
    made = make("waiting", settings={"groups": [{"env": {"PYTHONHOME": "/nowhere"}}]})
    with pytest.raises(SearchError, match=r"(?s)worker-\d cannot start: exit code 1.*No module named 'encodings'"):
        made.run()
    assert made.left() == []


@pytest.mark.parametrize(
    ("function", "words"),
    [("raises", "no such feature: cheese"), ("no_such_module.tuner_fn", "No module named 'no_such_module'")],
)
def test_a_fault_of_the_users_function_is_told_at_once(make: Make, function: str, words: str) -> None:
    made = make(function)
    with pytest.raises(SearchError, match=words):
        made.run()
    assert made.left() == []


def test_a_failed_search_can_be_kept_for_whoever_looks_for_the_fault(make: Make) -> None:
    made = make("raises", settings={"keep_on_failure": True})
    with pytest.raises(SearchError):
        made.run()
    assert any(left.startswith("pods/") for left in made.left())
    objects.remove(made.api, made.plan.namespace, made.name.name, 0.0)
    assert made.left() == []


def test_a_failed_search_that_was_kept_goes_on_with_the_mended_setting(make: Make) -> None:
    broken = {"env": {"PYTHONHOME": "/nowhere"}}
    with pytest.raises(SearchError, match="cannot start"):
        make("waiting", {"max_trials": 1}, settings={"keep_on_failure": True, "groups": [broken]}).run(workers=1)
    made = make("waiting", {"max_trials": 1}, settings={"keep_on_failure": True, "groups": [{}]})
    all_completed(made, 1, made.run(workers=1).record)
    assert made.left() == []


def test_a_failed_search_that_was_kept_begins_anew_with_the_mended_function(make: Make) -> None:
    with pytest.raises(SearchError, match="no such feature"):
        make("raises", settings={"keep_on_failure": True}).run(workers=1)
    made = make("waiting", {"max_trials": 1}, settings={"keep_on_failure": True})
    assert made.left() != []
    all_completed(made, 1, made.run(workers=1).record)
    assert made.left() == []


def test_the_search_goes_on_when_the_api_server_restarts(make: Make, control_plane: ControlPlane) -> None:
    made = make("waiting", {"max_trials": 8, "seconds": 1.0})
    found = made.run(watch=Once(trials_run, control_plane.restart_api_server))
    all_completed(made, 8, found.record)
    assert made.left() == []
