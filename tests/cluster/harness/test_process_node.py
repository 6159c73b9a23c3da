"""What a pod of a process node finds, and what is told of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.harness.cluster.kubernetes.api import Object
from tests.harness.cluster.kubernetes.objects import (
    HEEDS,
    RESTRICTED_CONTAINER,
    RESTRICTED_POD,
    WAIT,
    Namespace,
    conditions,
)
from tests.harness.cluster.kubernetes.waiting import until
from tests.harness.cluster.local_cluster import LocalCluster
from tests.harness.cluster.node.images import host_image
from tests.harness.cluster.node.node_pool import NodePool

HERE = {"nodeSelector": {"pool": "own"}}


def container_state(pod: Object) -> Object:
    state: Object = pod["status"]["containerStatuses"][0]["state"]
    return state


def test_an_image_that_cannot_be_pulled_is_told_and_tried_again(namespace: Namespace, nodes: NodePool) -> None:
    nodes.add(labels=HERE["nodeSelector"])
    namespace.image = "registry.example/search:1"
    namespace.run("pulled", ["python", "-c", "print('pulled')"], pod=HERE)

    until(lambda: "ErrImagePull" in namespace.waiting("pulled"), "a pod that says ErrImagePull")
    until(lambda: "ImagePullBackOff" in namespace.waiting("pulled"), "a pod that says ImagePullBackOff")
    assert "registry.example/search:1" in namespace.events("Failed", of="pulled")[0]
    nodes.images[namespace.image] = host_image()
    assert "Complete" in conditions(namespace.finish("pulled"))


def test_an_image_brings_a_command_and_variables(namespace: Namespace, nodes: NodePool) -> None:
    nodes.images["greeter:1"] = host_image(command=("sh", "-c", "echo $GREETING $0"), environment={"GREETING": "hi"})
    nodes.add(labels=HERE["nodeSelector"])
    namespace.image = "greeter:1"
    namespace.run("greeter", [], pod=HERE, container={"args": ["$(WHO)"], "env": [{"name": "WHO", "value": "you"}]})
    namespace.finish("greeter")
    assert namespace.logs("greeter") == ["hi you\n"]


@pytest.mark.root
def test_a_restricted_container_has_no_powers_and_writes_to_its_volumes_only(
    namespace: Namespace, local_cluster: LocalCluster
) -> None:
    report = """
import json, os, pathlib
def writes(path):
    try:
        pathlib.Path(path).write_text("x")
    except OSError:
        return False
    return True
status = dict(line.split(":\\t") for line in pathlib.Path("/proc/self/status").read_text().splitlines())
print(json.dumps({
    "user": os.getuid(), "groups": os.getgroups(),
    "powers": status["CapBnd"] + status["CapEff"], "no_new": status["NoNewPrivs"],
    "writes": [path for path in ("/usr/x", "/run/x", "/var/tmp/x", "/tmp/x", "/dev/shm/x") if writes(path)],
}))
"""
    namespace.run(
        "restricted",
        ["python", "-c", report],
        pod={"securityContext": RESTRICTED_POD, "volumes": [{"name": "tmp", "emptyDir": {}}]},
        container={
            "securityContext": RESTRICTED_CONTAINER,
            "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
        },
    )
    namespace.finish("restricted")
    (log,) = namespace.logs("restricted")
    assert json.loads(log) == {
        "user": 1000,
        "groups": [1000],
        "powers": "0" * 32,
        "no_new": "1",
        "writes": ["/tmp/x", "/dev/shm/x"],
    }


def test_a_container_that_must_not_be_root_and_would_be_is_not_started(
    namespace: Namespace, local_cluster: LocalCluster
) -> None:
    namespace.run("root", "true", pod={"securityContext": {"runAsNonRoot": True}})
    until(lambda: namespace.waiting("root") == {"CreateContainerConfigError"}, "a pod that says why")
    assert namespace.events("Failed", of="root") == ["container has runAsNonRoot and image will run as root"]


@pytest.mark.root
def test_what_a_pod_writes_stays_its_own(namespace: Namespace, local_cluster: LocalCluster) -> None:
    namespace.run("writer", "echo x > /usr/written-by-a-pod && cat /usr/written-by-a-pod")
    namespace.finish("writer")
    assert namespace.logs("writer") == ["x\n"]
    assert not Path("/usr/written-by-a-pod").exists()


def test_a_claimed_volume_is_shared_between_pods_and_with_the_machine(
    namespace: Namespace, local_cluster: LocalCluster, tmp_path: Path
) -> None:
    claim = local_cluster.share(namespace, "runs", tmp_path)
    pod = {"volumes": [{"name": "runs", "persistentVolumeClaim": {"claimName": claim}}]}
    mount = {"volumeMounts": [{"name": "runs", "mountPath": "/runs"}]}
    (tmp_path / "from-outside").write_text("1")
    namespace.run("first", "echo -n 2 > /runs/from-first", pod=pod, container=mount)
    namespace.finish("first")
    namespace.run("second", "cat /runs/from-outside /runs/from-first", pod=pod, container=mount)
    namespace.finish("second")
    assert namespace.logs("second") == ["12"]
    assert (tmp_path / "from-first").read_text() == "2"


def test_configuration_reaches_a_container_as_files_and_variables(
    namespace: Namespace, local_cluster: LocalCluster
) -> None:
    create, path = namespace.api.create, namespace.path
    create(path("configmaps"), {"metadata": {"name": "settings"}, "data": {"TRIALS": "8"}})
    create(path("secrets"), {"metadata": {"name": "search"}, "stringData": {"token": "s3cret"}})
    namespace.run(
        "configured",
        'echo "$TRIALS $TOKEN $NAME $(cat /settings/TRIALS) $(cat /search/token)"',
        pod={
            "volumes": [
                {"name": "settings", "configMap": {"name": "settings"}},
                {"name": "search", "secret": {"secretName": "search"}},
            ]
        },
        container={
            "envFrom": [{"configMapRef": {"name": "settings"}}],
            "env": [
                {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "search", "key": "token"}}},
                {"name": "NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['app']"}}},
            ],
            "volumeMounts": [
                {"name": "settings", "mountPath": "/settings"},
                {"name": "search", "mountPath": "/search", "readOnly": True},
            ],
        },
    )
    namespace.finish("configured")
    assert namespace.logs("configured") == ["8 s3cret configured 8 s3cret\n"]


def test_a_missing_secret_is_told_and_waited_for(namespace: Namespace, local_cluster: LocalCluster) -> None:
    variable = {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "late", "key": "token"}}}
    namespace.run("patient", "echo $TOKEN", container={"env": [variable]})
    until(lambda: namespace.events("Failed", of="patient"), "an event that names the Secret")
    assert 'secrets "late" not found' in namespace.events("Failed", of="patient")[0]
    namespace.api.create(namespace.path("secrets"), {"metadata": {"name": "late"}, "stringData": {"token": "here"}})
    namespace.finish("patient")
    assert namespace.logs("patient") == ["here\n"]


def test_a_container_that_fails_is_started_again_where_its_pod_wants_that(
    namespace: Namespace, local_cluster: LocalCluster
) -> None:
    again = "if [ -e /state/been ]; then echo second; else touch /state/been; echo first; exit 1; fi"
    namespace.run(
        "again",
        again,
        backoffLimit=3,
        pod={"restartPolicy": "OnFailure", "volumes": [{"name": "state", "emptyDir": {}}]},
        container={"volumeMounts": [{"name": "state", "mountPath": "/state"}]},
    )
    namespace.finish("again")
    (pod,) = namespace.pods("again")
    assert pod["status"]["containerStatuses"][0]["restartCount"] == 1
    assert (namespace.log(pod), namespace.log(pod, previous="true")) == ("second\n", "first\n")


def test_the_tail_of_a_log_and_a_log_that_still_grows(namespace: Namespace, local_cluster: LocalCluster) -> None:
    namespace.run("counting", "for i in 1 2 3; do echo $i; done; sleep 1; echo 4")
    (pod,) = namespace.running("counting")
    assert namespace.log(pod, follow="true") == "1\n2\n3\n4\n"
    assert namespace.log(pod, tailLines=2) == "3\n4\n"


def test_a_failed_container_leaves_its_last_words(namespace: Namespace, local_cluster: LocalCluster) -> None:
    policy = {"terminationMessagePolicy": "FallbackToLogsOnError"}
    namespace.run("failing", "echo the cause; exit 1", container=policy)
    namespace.run("telling", "echo -n told > /dev/termination-log; exit 1")
    words = {}
    for name in ("failing", "telling"):
        namespace.finish(name)
        words[name] = container_state(namespace.pods(name)[0])["terminated"]["message"]
    assert words == {"failing": "the cause\n", "telling": "told"}


def test_a_command_that_is_not_there_is_told(namespace: Namespace, local_cluster: LocalCluster) -> None:
    namespace.run("absent", ["no-such-program"])
    namespace.finish("absent")
    ended = container_state(namespace.pods("absent")[0])["terminated"]
    assert (ended["exitCode"], ended["reason"]) == (128, "StartError")
    assert "no-such-program" in ended["message"]


@pytest.mark.parametrize(("trap", "code"), [("exit 7", 7), ("", 137)], ids=["heeds", "ignores"])
def test_a_deleted_pod_gets_its_grace(namespace: Namespace, local_cluster: LocalCluster, trap: str, code: int) -> None:
    command = ["sh", "-c", WAIT.replace("exit 143", trap)]
    pod = {
        # Something holds the pod's object, so that its end can be read.
        "metadata": {"name": "held", "labels": {"app": "held"}, "finalizers": ["tests.example/held"]},
        "spec": {
            "terminationGracePeriodSeconds": 30 if trap else 1,
            "restartPolicy": "Never",
            "containers": [{"name": "main", "image": namespace.image, "command": command}],
        },
    }
    namespace.api.create(namespace.path("pods"), pod)
    (pod,) = namespace.running("held")
    namespace.said(pod, HEEDS)
    namespace.api.delete(namespace.path("pods", "held"))
    try:
        pod = until(
            lambda: next((one for one in namespace.pods("held") if one["status"]["phase"] == "Failed"), None),
            "the deleted pod's end",
        )
        assert container_state(pod)["terminated"]["exitCode"] == code
    finally:
        free = {"metadata": {"finalizers": None}}
        namespace.api.patch(namespace.path("pods", "held"), free, "application/merge-patch+json")


def test_twenty_pods_at_a_time(namespace: Namespace, local_cluster: LocalCluster) -> None:
    namespace.run("many", "true", completions=20, parallelism=20)
    assert namespace.finish("many")["status"]["succeeded"] == 20
    addresses = [pod["status"]["podIP"] for pod in namespace.pods("many")]
    assert all(addresses)
