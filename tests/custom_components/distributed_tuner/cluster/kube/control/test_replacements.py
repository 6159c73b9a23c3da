"""Pods that do not end by themselves are ended, whatever the API server is up to."""

from __future__ import annotations

from custom_components.distributed_tuner.cluster.kube.api.errors import ApiError, ApiUnavailable
from custom_components.distributed_tuner.cluster.kube.control.replacements import Replacements
from custom_components.distributed_tuner.cluster.kube.observe import diagnosis
from tests.custom_components.distributed_tuner.cluster.kube.fake_api import FakeApi

PODS = "/api/v1/namespaces/ml/pods"


def test_what_cannot_be_done_now_is_tried_later_once_every_few_seconds() -> None:
    api, now = FakeApi(), [0.0]
    uids = [api.create(PODS, {"metadata": {"name": name}})["metadata"]["uid"] for name in ("a", "b")]
    replacements = Replacements(api, "ml", lambda: now[0])
    for trouble in (ApiUnavailable("away"), ApiError(403, "Forbidden", "no roles yet")):
        api.trouble = trouble
        api.asked.clear()
        for name, uid in zip("ab", uids, strict=True):
            replacements.add(name, uid)
        for _ in range(5):
            replacements.go_on()
        assert api.asked == [("delete", f"{PODS}/a", 0.0)], "one attempt, without patience"
        now[0] += 6.0
    api.trouble = None
    replacements.go_on()
    assert api.objects == {}
    api.asked.clear()
    replacements.go_on()
    assert api.asked == []


def test_a_pod_that_came_in_its_place_is_left_alone() -> None:
    api = FakeApi()
    api.create(PODS, {"metadata": {"name": "a"}})
    replacements = Replacements(api, "ml")
    replacements.add("a", "another")
    replacements.go_on()
    assert list(api.objects) == [f"{PODS}/a"]


def test_a_pod_that_no_node_ends_has_failed_first_and_is_deleted_then() -> None:
    api = FakeApi()
    ready = {"type": "Ready", "status": "True"}
    status = {"phase": "Running", "conditions": [ready]}
    uid = api.create(PODS, {"metadata": {"name": "a"}, "status": status})["metadata"]["uid"]
    lost = api.objects[f"{PODS}/a"]
    replacements = Replacements(api, "ml")
    api.asked.clear()
    replacements.add("a", uid, abandoned=True)
    replacements.go_on()
    assert api.asked == [("patch", f"{PODS}/a/status", 0.0), ("delete", f"{PODS}/a", 0.0)]
    assert lost["status"]["phase"] == "Failed" and api.objects == {}
    assert lost["status"]["conditions"][0] == ready
    assert "NodeDoesNotAnswer" in diagnosis.taken_away(lost), "a Job counts no such end"


def test_an_abandoned_pod_that_is_gone_or_has_a_successor_is_no_trouble() -> None:
    api = FakeApi()
    api.create(PODS, {"metadata": {"name": "a"}, "status": {"phase": "Running"}})
    replacements = Replacements(api, "ml")
    replacements.add("a", "another", abandoned=True)
    replacements.add("b", "gone", abandoned=True)
    replacements.go_on()
    assert api.objects[f"{PODS}/a"]["status"]["phase"] == "Running"
    api.asked.clear()
    replacements.go_on()
    assert api.asked == []
