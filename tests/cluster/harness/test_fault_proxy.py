"""An API server that fails in each of the ways that the proxy knows."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from tests.cluster.harness.test_jobs import ASK, READ_PODS
from tests.harness.cluster.kubernetes.api import Api, Object
from tests.harness.cluster.kubernetes.control_plane import ControlPlane
from tests.harness.cluster.kubernetes.errors import ApiError
from tests.harness.cluster.kubernetes.fault_proxy import FaultProxy
from tests.harness.cluster.kubernetes.objects import Namespace
from tests.harness.cluster.kubernetes.waiting import until


@pytest.fixture
def proxied(control_plane: ControlPlane, fault_proxy: FaultProxy, admin_token: str) -> Api:
    """The administrator, behind the proxy."""
    return Api(control_plane.write_kubeconfig("proxied", {"token": admin_token}, url=fault_proxy.url))


def make(api: Api, namespace: Namespace, name: str) -> Object:
    return api.create(namespace.path("configmaps"), {"metadata": {"name": name}})


def names(namespace: Namespace) -> set[str]:
    return {one["metadata"]["name"] for one in namespace.api.items(namespace.path("configmaps"))} - {"kube-root-ca.crt"}


@pytest.mark.parametrize(("status", "reason"), [(429, "TooManyRequests"), (503, "ServiceUnavailable")])
def test_a_refusal_comes_once_and_says_when_to_come_back(
    namespace: Namespace, proxied: Api, fault_proxy: FaultProxy, status: int, reason: str
) -> None:
    fault_proxy.refuse("POST", "/configmaps", status, retry_after=7)
    with pytest.raises(ApiError, match="injected") as caught:
        make(proxied, namespace, "refused")
    assert (caught.value.status, caught.value.reason, caught.value.retry_after) == (status, reason, 7.0)
    assert names(namespace) == set()
    make(proxied, namespace, "taken")
    assert names(namespace) == {"taken"}
    assert [one.fault is not None for one in fault_proxy.seen] == [True, False]


@pytest.mark.parametrize("after_server", [False, True])
def test_a_connection_breaks_before_or_after_the_server_did_its_work(
    namespace: Namespace, proxied: Api, fault_proxy: FaultProxy, after_server: bool
) -> None:
    fault_proxy.reset("POST", "/configmaps", after_server=after_server)
    with pytest.raises(ApiError) as caught:
        make(proxied, namespace, "made")
    assert caught.value.status == 0
    assert names(namespace) == ({"made"} if after_server else set())


def test_a_server_that_is_away_takes_no_connection_until_it_is_back(
    namespace: Namespace, proxied: Api, fault_proxy: FaultProxy
) -> None:
    make(proxied, namespace, "before")
    fault_proxy.go_away()
    with pytest.raises(ApiError) as caught:
        make(proxied, namespace, "while-away")
    assert caught.value.status == 0
    fault_proxy.come_back()
    make(proxied, namespace, "after")
    assert names(namespace) == {"before", "after"}


@pytest.mark.parametrize("stalls", [False, True], ids=["cut", "stalled"])
def test_a_watch_hears_no_more_than_the_fault_lets_pass(
    namespace: Namespace, proxied: Api, fault_proxy: FaultProxy, stalls: bool
) -> None:
    # Every namespace gets this one, soon: it must not be the event that passes.
    until(lambda: namespace.api.items(namespace.path("configmaps")), "the authority's certificate in the namespace")
    if stalls:
        fault_proxy.stall_watch("/configmaps", lines=1)
    else:
        fault_proxy.cut_watch("/configmaps", lines=1)
    heard: list[str] = []
    listed = threading.Event()

    def listen() -> None:
        for kind, objects in proxied.watch(namespace.path("configmaps"), threading.Event()):
            if kind == "LISTED":
                listed.set()
            else:
                heard.extend(one["metadata"]["name"] for one in objects)

    listener = threading.Thread(target=listen, daemon=True)
    listener.start()
    assert listed.wait(60)
    until(lambda: any("watch=" in one.path for one in fault_proxy.seen), "the watch")
    for name in ("first", "second"):
        make(namespace.api, namespace, name)
    until(lambda: heard == ["first"], "the event that passes")
    if stalls:
        listener.join(1.0)
        assert listener.is_alive()
        fault_proxy.close()
    listener.join(60)
    assert not listener.is_alive()
    assert heard == ["first"]


def test_a_pod_can_be_sent_through_the_proxy(namespace: Namespace, fault_proxy: FaultProxy) -> None:
    fault_proxy.refuse("GET", "/pods", 503)
    host, port = fault_proxy.address
    variables = {"KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": str(port)}
    namespace.service_account("reader", READ_PODS)
    namespace.run(
        "asking",
        ["python", "-c", ASK],
        pod={"serviceAccountName": "reader"},
        container={"env": [{"name": name, "value": value} for name, value in variables.items()]},
    )
    namespace.finish("asking")
    assert json.loads(namespace.logs("asking")[0]) == {"pods": 503, "secrets": 403}


def test_no_token_stands_in_what_the_proxy_remembers(
    namespace: Namespace, proxied: Api, fault_proxy: FaultProxy, admin_token: str, tmp_path: Path
) -> None:
    make(proxied, namespace, "any")
    assert admin_token not in repr(fault_proxy.seen)
