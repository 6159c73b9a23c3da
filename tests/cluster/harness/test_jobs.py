"""What a search relies on of Kubernetes, on the harness's own cluster or on the user's."""

from __future__ import annotations

import json

import pytest

from tests.harness.cluster.kubernetes.api import Object
from tests.harness.cluster.kubernetes.errors import ApiError
from tests.harness.cluster.kubernetes.objects import (
    IGNORE_DISRUPTIONS,
    RESTRICTED_CONTAINER,
    RESTRICTED_POD,
    WAIT,
    Namespace,
    conditions,
)
from tests.harness.cluster.kubernetes.waiting import until

FETCH = """
import os, sys, time, urllib.request
url = os.path.expandvars(sys.argv[1])
end = time.monotonic() + 60
while True:
    try:
        print(urllib.request.urlopen(url, timeout=5).read().decode())
        break
    except OSError:
        if time.monotonic() > end:
            raise
        time.sleep(0.1)
"""
ASK = """
import json, ssl, os, urllib.request, urllib.error
folder = "/var/run/secrets/kubernetes.io/serviceaccount"
token = open(folder + "/token").read()
trust = ssl.create_default_context(cafile=folder + "/ca.crt")
host = os.environ["KUBERNETES_SERVICE_HOST"] + ":" + os.environ["KUBERNETES_SERVICE_PORT"]
namespace = open(folder + "/namespace").read()
answers = {}
for kind in ("pods", "secrets"):
    path = f"https://{host}/api/v1/namespaces/{namespace}/{kind}"
    request = urllib.request.Request(path, headers={"Authorization": "Bearer " + token})
    try:
        answers[kind] = urllib.request.urlopen(request, context=trust, timeout=30).status
    except urllib.error.HTTPError as error:
        answers[kind] = error.code
print(json.dumps(answers))
"""
READ_PODS = [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch"]}]


@pytest.fixture(params=["any", pytest.param("real", marks=pytest.mark.real_node)])
def placement(request: pytest.FixtureRequest) -> Object:
    """All of this holds for process nodes, and for the real one."""
    spec: Object = request.getfixturevalue("on_real_node") if request.param == "real" else {}
    return spec


def test_a_job_completes_and_its_log_is_read_through_the_api(namespace: Namespace) -> None:
    namespace.run("greeting", ["python", "-c", "print('hello from a pod')"])
    assert "Complete" in conditions(namespace.finish("greeting"))
    assert namespace.logs("greeting") == ["hello from a pod\n"]


def test_a_job_whose_pod_fails_has_failed_and_tells_the_exit_status(namespace: Namespace) -> None:
    namespace.run("failing", "echo reason; exit 3")
    job = namespace.finish("failing")
    assert conditions(job)["Failed"] == "BackoffLimitExceeded"
    (pod,) = namespace.pods("failing")
    assert pod["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"] == 3


def test_an_eviction_that_is_ignored_does_not_count_against_the_job(namespace: Namespace) -> None:
    # The first run waits for its eviction; the next one finds a quick end.
    namespace.run("evicted", WAIT, podFailurePolicy=IGNORE_DISRUPTIONS)
    (pod,) = namespace.running("evicted")
    namespace.evict(pod)
    (replacement,) = until(
        lambda: [one for one in namespace.running("evicted") if one["metadata"]["uid"] != pod["metadata"]["uid"]],
        "a pod in place of the evicted one",
    )
    status = namespace.job("evicted")["status"]
    assert status.get("failed", 0) == 0
    assert "Failed" not in conditions(namespace.job("evicted"))
    assert replacement["status"]["phase"] == "Running"


def test_without_such_a_policy_an_eviction_fails_a_job_that_may_not_retry(namespace: Namespace) -> None:
    namespace.run("counted", WAIT)
    namespace.evict(namespace.running("counted")[0])
    assert "Failed" in conditions(namespace.finish("counted"))


def test_an_exit_status_can_end_a_job_that_has_retries_left(namespace: Namespace) -> None:
    rule = {"action": "FailJob", "onExitCodes": {"containerName": "main", "operator": "In", "values": [42]}}
    namespace.run("hopeless", "exit 42", backoffLimit=5, podFailurePolicy={"rules": [rule]})
    assert conditions(namespace.finish("hopeless"))["Failed"] == "PodFailurePolicy"
    assert len(namespace.pods("hopeless")) == 1


def test_the_pods_of_an_indexed_job_know_their_index_and_fail_each_for_itself(namespace: Namespace) -> None:
    namespace.run(
        "indexed",
        'echo "$JOB_COMPLETION_INDEX $HOSTNAME"; test "$JOB_COMPLETION_INDEX" != 1',
        completions=3,
        parallelism=3,
        completionMode="Indexed",
        backoffLimit=10,
        backoffLimitPerIndex=1,
    )
    status = namespace.finish("indexed")["status"]
    assert (status["completedIndexes"], status["failedIndexes"]) == ("0,2", "1")
    told = sorted(log.split() for log in namespace.logs("indexed"))
    assert told == [["0", "indexed-0"], ["1", "indexed-1"], ["1", "indexed-1"], ["2", "indexed-2"]]


def test_an_indexed_job_grows_and_shrinks_while_it_runs(namespace: Namespace) -> None:
    namespace.run("elastic", WAIT, completions=1, parallelism=1, completionMode="Indexed")
    namespace.running("elastic")

    def resize(size: int) -> None:
        namespace.api.patch(namespace.path("jobs", "elastic"), {"spec": {"completions": size, "parallelism": size}})
        until(lambda: len(namespace.running("elastic", size)) == size, f"{size} pods of the elastic Job")

    resize(3)
    resize(2)
    assert {pod["spec"]["hostname"] for pod in namespace.running("elastic", 2)} == {"elastic-0", "elastic-1"}


def test_a_service_account_may_do_what_its_role_says_and_no_more(namespace: Namespace) -> None:
    namespace.service_account("reader", READ_PODS)
    namespace.run("asking", ["python", "-c", ASK], pod={"serviceAccountName": "reader"})
    namespace.finish("asking")
    (log,) = namespace.logs("asking")
    assert json.loads(log) == {"pods": 200, "secrets": 403}


@pytest.mark.parametrize(
    ("service", "url"),
    [
        ("headless", "http://server-0.headless:8000/greeting"),
        ("address", "http://address/greeting"),
        ("variables", "http://$VARIABLES_SERVICE_HOST:$VARIABLES_SERVICE_PORT/greeting"),
    ],
)
def test_a_pod_reaches_another_through_a_service(namespace: Namespace, service: str, url: str) -> None:
    spec = {"clusterIP": "None"} if service == "headless" else {}
    port = {"port": 8000 if spec else 80, "targetPort": 8000}
    body = {"metadata": {"name": service}, "spec": {**spec, "selector": {"app": "server"}, "ports": [port]}}
    namespace.api.create(namespace.path("services"), body)
    serve = "mkdir /tmp/www; echo -n served > /tmp/www/greeting; exec python -m http.server 8000 --directory /tmp/www"
    namespace.run("server", serve, pod={"hostname": "server-0", "subdomain": service})
    namespace.run("client", ["python", "-c", FETCH, url])
    assert "Complete" in conditions(namespace.finish("client"))
    assert namespace.logs("client") == ["served\n"]


def test_a_pod_that_no_node_can_take_waits_and_says_why(namespace: Namespace) -> None:
    resources = {"limits": {"example.com/no-such-device": "1"}}
    namespace.run("waiting", "true", container={"resources": resources})

    def told() -> bool:
        # A node that is not ready yet is told of first.
        words = "Insufficient example.com/no-such-device"
        return any(words in message for message in namespace.events("FailedScheduling", of="waiting"))

    until(told, "an event that says why", tell=lambda: namespace.events("FailedScheduling", of="waiting"))
    assert [pod["status"]["phase"] for pod in namespace.pods("waiting")] == ["Pending"]


@pytest.mark.root
def test_a_namespace_of_restricted_pod_security_takes_a_restricted_pod_only(namespace: Namespace) -> None:
    label = {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}}
    namespace.api.patch(f"/api/v1/namespaces/{namespace.name}", label)
    pod = {
        "metadata": {"name": "root"},
        "spec": {"containers": [{"name": "main", "image": namespace.image, "command": ["true"]}]},
    }

    def refused() -> str:
        # The label takes a moment to be known.
        try:
            namespace.api.create(namespace.path("pods"), pod)
        except ApiError as error:
            return error.message
        namespace.api.delete(namespace.path("pods", "root"), grace=0)
        return ""

    assert "violates PodSecurity" in until(refused, "a refusal of a pod that may run as root")
    namespace.run(
        "restricted",
        "id -u",
        pod={"securityContext": RESTRICTED_POD},
        container={"securityContext": RESTRICTED_CONTAINER},
    )
    assert "Complete" in conditions(namespace.finish("restricted"))
    assert namespace.logs("restricted") == ["1000\n"]


def test_deleting_a_job_in_the_foreground_ends_its_pods_first(namespace: Namespace) -> None:
    namespace.run("deleted", WAIT)
    namespace.running("deleted")
    namespace.api.delete(namespace.path("jobs", "deleted"), propagation="Foreground")
    until(lambda: not namespace.api.exists(namespace.path("jobs", "deleted")), "the Job to be gone")
    assert namespace.pods("deleted") == []
