"""Pods that were taken away do not make their successors wait longer each time."""

from __future__ import annotations

from typing import Any, cast

import pytest

from custom_components.distributed_tuner.cluster.base import ClusterError
from custom_components.distributed_tuner.cluster.kube.api.client import KubernetesApi
from custom_components.distributed_tuner.cluster.kube.api.errors import ApiError, ApiUnavailable
from custom_components.distributed_tuner.cluster.kube.control.forgiveness import IGNORED_ENDS, Forgiveness


class Api:
    """Takes changes, or answers with the errors that it is given."""

    def __init__(self, *errors: ClusterError) -> None:
        self.changes: list[tuple[str, Any]] = []
        self.errors = list(errors)

    def patch(self, path: str, change: Any, *, patience_seconds: float) -> None:
        assert patience_seconds == 0.0, "whoever watches the search must not wait for it"
        self.changes.append((path, change))
        if self.errors:
            raise self.errors.pop(0)


def pod(name: str, ignored: str | None, failed: str = "0") -> dict[str, Any]:
    annotations = (
        {} if ignored is None else {IGNORED_ENDS: ignored, "batch.kubernetes.io/job-index-failure-count": failed}
    )
    return {"metadata": {"name": name, "uid": f"uid-{name}", "annotations": annotations}}


def forgiveness(api: Api, now: list[float]) -> Forgiveness:
    return Forgiveness(cast(KubernetesApi, api), "ml", lambda: now[0])


def test_each_pod_whose_forerunners_were_taken_is_forgiven_once_and_by_way_of_its_status() -> None:
    api = Api()
    granted = forgiveness(api, [0.0])
    pods = [pod("first", "0"), pod("plain", None), pod("again", "3", failed="2")]
    granted.grant(pods)
    granted.grant(pods)
    ((path, change),) = api.changes
    assert path == "/api/v1/namespaces/ml/pods/again/status"
    assert change == {"metadata": {"uid": "uid-again", "annotations": {IGNORED_ENDS: "0"}}}


@pytest.mark.parametrize("code", [404, 409])
def test_a_pod_that_is_gone_needs_no_forgiveness(code: int) -> None:
    api = Api(ApiError(code, "", "gone"))
    granted = forgiveness(api, [0.0])
    granted.grant([pod("a", "1"), pod("b", "1")])
    assert [path.split("/")[-2] for path, _ in api.changes] == ["a", "b"]


@pytest.mark.parametrize("error", [ApiUnavailable("away"), ApiError(403, "Forbidden", "no such right")])
def test_a_refusal_stops_nothing_is_told_once_and_tried_again_later(
    error: ClusterError, caplog: pytest.LogCaptureFixture
) -> None:
    api, now = Api(error, error), [0.0]
    granted = forgiveness(api, now)
    for now[0] in (0.0, 1.0, 6.0, 7.0, 12.0):
        granted.grant([pod("a", "1")])
    assert len(api.changes) == 3
    assert len(caplog.records) == 1 and "may be replaced late" in caplog.text
