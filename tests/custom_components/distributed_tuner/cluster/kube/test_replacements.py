"""Pods that say nothing are killed, whatever the API server is up to."""

from __future__ import annotations

from custom_components.distributed_tuner.cluster.kube.api_errors import ApiError, ApiUnavailable
from custom_components.distributed_tuner.cluster.kube.replacements import Replacements
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
