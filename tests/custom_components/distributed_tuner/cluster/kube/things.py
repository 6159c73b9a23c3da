"""Pods, Jobs and events as the API server shows them, as far as the tests need."""

from __future__ import annotations

import itertools
from typing import Any

SEARCH = "monday-tuner-0123456789"
_uids = itertools.count(1)


def job(group: str | None = "spot", completions: int = 1, **more: Any) -> dict[str, Any]:
    """A Job of the search; None is the chief's."""
    labels = {"distributed-tuner/search": SEARCH, **({"distributed-tuner/group": group} if group else {})}
    return {
        "metadata": {
            "name": f"{SEARCH}-{group or 'chief'}",
            "uid": f"job-{group or 'chief'}",
            "labels": {**labels, **more.pop("labels", {})},
        },
        "spec": {"completions": completions, **more.pop("spec", {})},
        "status": more.pop("status", {}),
    }


def pod(
    owner: dict[str, Any],
    index: int = 0,
    phase: str = "Running",
    *,
    created: int = 0,
    exit_code: int | None = None,
    why: str = "Error",
    disruption: str | None = None,
    waiting: dict[str, str] | None = None,
    unschedulable: str | None = None,
    deleted: bool = False,
    **status: Any,
) -> dict[str, Any]:
    """A pod of a Job."""
    number = next(_uids)
    state: dict[str, Any] = {}
    if exit_code is not None:
        state = {"terminated": {"exitCode": exit_code, "reason": why}}
    elif waiting is not None:
        state = {"waiting": waiting}
    conditions = []
    if disruption:
        conditions.append(
            {"type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI", "message": disruption}
        )
    if unschedulable:
        conditions.append(
            {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": unschedulable}
        )
    return {
        "metadata": {
            "name": f"{owner['metadata']['name']}-{index}-{number}",
            "uid": f"pod-{number}",
            "creationTimestamp": f"2026-01-01T00:00:{created:02d}Z",
            "annotations": {"batch.kubernetes.io/job-completion-index": str(index)},
            "ownerReferences": [{"uid": owner["metadata"]["uid"], "controller": True}],
            **({"deletionTimestamp": "2026-01-01T00:01:00Z"} if deleted else {}),
        },
        "spec": {"containers": [{"name": "main", "resources": {"limits": {"memory": "4Gi"}}}]},
        "status": {
            "phase": phase,
            "conditions": conditions,
            **({"containerStatuses": [{"name": "main", "image": "r/i:1", "state": state}]} if state else {}),
            **status,
        },
    }


def event(reason: str, message: str, second: int = 0) -> dict[str, Any]:
    """An event."""
    return {"reason": reason, "message": message, "lastTimestamp": f"2026-01-01T00:00:{second:02d}Z", "metadata": {}}
