"""What the status of pods and Jobs means for a chief or worker: pure functions from dicts to words and states."""

from __future__ import annotations

import dataclasses
import enum
import re
from collections.abc import Iterable, Mapping
from typing import Any

from custom_components.distributed_tuner.cluster.base import MemberState, exit_reason
from custom_components.distributed_tuner.cluster.kube.manifests import end_rules
from custom_components.distributed_tuner.cluster.kube.manifests.names import GROUP_LABEL
from custom_components.distributed_tuner.cluster.kube.observe.fixes import disk_fix, scheduling_fix, settings_of
from custom_components.distributed_tuner.errors import ExitCode

Object = Mapping[str, Any]

INDEX_ANNOTATION = "batch.kubernetes.io/job-completion-index"

_NO_FAULT = frozenset({int(ExitCode.DONE), int(ExitCode.PREEMPTED)})
_OUT_OF_MEMORY = "OOMKilled"
_NOT_STARTED = frozenset({"StartError", "ContainerCannotRun"})

_IMAGE_FIX = (
    "Check the name of the image, that it was pushed, and that the nodes may pull it (image_pull_secrets, or the node "
    "pool's service account may read the registry)"
)
_RUN_FIX = "Look at the image and at PATH in `env`: it must hold `python`"
_FAULTY_WAITS = {
    "ImagePullBackOff": ("the image cannot be pulled", _IMAGE_FIX),
    "InvalidImageName": ("the name of the image is not valid", _IMAGE_FIX),
    "ErrImageNeverPull": ("the image is not on the node, and may not be pulled", _IMAGE_FIX),
    "CreateContainerConfigError": (
        "the container cannot be configured",
        "A ConfigMap, Secret or key that it names is missing, or the image's user is root (run_as_user)",
    ),
    "CreateContainerError": ("the container cannot be created", "Look at the volumes and mount paths"),
    "RunContainerError": ("the container cannot be run", _RUN_FIX),
}
# A first failure to pull is reported like the later ones.
_FIRST_PULL = "ErrImagePull"
# Failures that are evident from the settings alone.
_PLAIN_WAITS = frozenset({"InvalidImageName", "ErrImageNeverPull"})
# A registry, a node or the API server is unreachable or busy.
_BUSY = re.compile(
    r"i/o timeout|handshake timeout|timed out|deadline exceeded|connection (refused|reset)|no route to host"
    r"|network is unreachable|unexpected EOF|: EOF|too ?many ?requests|internal server error|bad gateway"
    r"|service unavailable|gateway time-?out|temporary failure|server misbehaving|try again|name .* is reserved",
    re.IGNORECASE,
)
# A retry would get the same answer.
_REFUSAL = re.compile(
    r"not found|denied|unauthorized|forbidden|manifest unknown|no such host|couldn't find key|runAsNonRoot",
    re.IGNORECASE,
)


class Health(enum.Enum):
    """The prospects of a pod, for deciding whether to wait for it."""

    FINE = "fine"
    # Waits for a machine, an image, a volume: may take long.
    WAITING = "waiting"
    # May recover by itself, but for no known reason: not if it lasts for minutes.
    DOUBTFUL = "doubtful"
    # Will not recover by itself.
    HOPELESS = "hopeless"


@dataclasses.dataclass(frozen=True)
class PodState:
    """A pod's status, summarized.

    Attributes:
      state: that of its member, if this were the member's only pod.
      health: whether to wait for it.
      reason: why it is pending or how it ended, for people.
      exit_code: of its container; None while it runs, and for a pod that ended without one.
      fault: whether it failed by itself, rather than by an eviction, a preemption or an order to stop.
      incurable: whether its settings are the cause.
    """

    state: MemberState
    health: Health = Health.FINE
    reason: str = ""
    exit_code: int | None = None
    fault: bool = False
    incurable: bool = False


def index(pod: Object) -> int:
    """The pod's index in its Job; 0 in a Job without indexes."""
    return int(pod["metadata"].get("annotations", {}).get(INDEX_ANNOTATION, 0))


def latest(pods: Iterable[Object]) -> Object | None:
    """The pod that currently stands for the member: a live one before an ended one, then the youngest."""
    return max(
        pods,
        key=lambda pod: (not ended(pod), pod["metadata"]["creationTimestamp"], pod["metadata"]["name"]),
        default=None,
    )


def of_pod(pod: Object) -> PodState:
    """The state according to a pod's status."""
    status = pod.get("status", {})
    phase = status.get("phase")
    if phase == "Succeeded":
        return PodState(MemberState.SUCCEEDED, reason=exit_reason(0), exit_code=0)
    if phase == "Failed":
        return _failed(pod)
    if phase == "Running" and pod["metadata"].get("deletionTimestamp"):
        return PodState(MemberState.PENDING, reason=taken_away(pod) or "it is being stopped")
    if phase == "Running":
        return PodState(MemberState.RUNNING)
    return _pending(pod)


def of_job(job: Object) -> PodState | None:
    """The state of members without a pod according to their Job; None if it says nothing of them."""
    conditions = {c["type"]: c for c in job.get("status", {}).get("conditions", ()) if c.get("status") == "True"}
    if "Failed" in conditions:
        failed = conditions["Failed"]
        reason = f"the Job failed: {failed.get('reason', '')}: {failed.get('message', '')}"
        return PodState(MemberState.FAILED, reason=reason)
    if "Complete" in conditions or "SuccessCriteriaMet" in conditions:
        return PodState(MemberState.SUCCEEDED, reason="the Job is complete")
    if job["spec"].get("suspend"):
        queue = job["metadata"].get("labels", {}).get("kueue.x-k8s.io/queue-name")
        reason = f"Kueue's queue {queue} has not admitted it yet" if queue else "its Job is suspended"
        return PodState(MemberState.PENDING, Health.WAITING, reason)
    return None


def finished(job: Object) -> bool:
    """Whether a Job will create no more pods."""
    state = of_job(job)
    return state is not None and state.state in (MemberState.FAILED, MemberState.SUCCEEDED)


def ended(pod: Object) -> bool:
    """Whether no container of the pod runs any more, nor ever will again."""
    return pod.get("status", {}).get("phase") in ("Succeeded", "Failed")


def taken_away(pod: Object) -> str:
    """Why the pod was evicted or preempted, or its machine taken away; empty if none of these happened."""
    for condition in pod.get("status", {}).get("conditions", ()):
        if condition["type"] == end_rules.DISRUPTED and condition["status"] == "True":
            return f"its pod was taken away ({condition.get('reason', '')}): {condition.get('message', '')}".rstrip(
                ": "
            )
    return ""


def _failed(pod: Object) -> PodState:
    status = pod["status"]
    disruption, verdict = taken_away(pod), _pods_verdict(pod)
    # The group was scaled down, or somebody deleted the pod.
    ordered = "deletionTimestamp" in pod["metadata"]
    terminated = next(
        (c["state"]["terminated"] for c in status.get("containerStatuses", ()) if "terminated" in c.get("state", {})),
        None,
    )
    if terminated is None:
        words = disruption or verdict or "its pod ended"
        return PodState(MemberState.PENDING, reason=words, fault=not disruption and not ordered)
    code = int(terminated["exitCode"])
    reason = exit_reason(code)
    if terminated.get("reason") == _OUT_OF_MEMORY:
        limit = pod["spec"]["containers"][0].get("resources", {}).get("limits", {}).get("memory", "its limit")
        reason = f"exit code {code}: out of memory ({_OUT_OF_MEMORY}): it used more than {limit}; raise `memory` of "
        reason += settings_of(_group(pod))
    elif disruption:
        reason = f"{reason}; {disruption}"
    elif verdict:
        # The exit code only says that the kubelet killed it.
        reason = f"exit code {code}: {verdict}"
    elif terminated.get("reason") in _NOT_STARTED:
        said = str(terminated.get("message", "")).strip().rstrip(".")
        reason = f"exit code {code}: its program cannot be started: {said}. {_RUN_FIX}"
    if code in end_rules.FATAL_CODES:
        return PodState(MemberState.FAILED, reason=reason, exit_code=code, fault=True)
    fault = not disruption and not ordered and code not in _NO_FAULT
    incurable = fault and terminated.get("reason") in {_OUT_OF_MEMORY, *_NOT_STARTED}
    return PodState(MemberState.PENDING, reason=reason, exit_code=code, fault=fault, incurable=incurable)


def _pods_verdict(pod: Object) -> str:
    """Why the pod as a whole failed, whatever its container ended with, and what to change; often empty."""
    status = pod["status"]
    message = str(status.get("message") or "").strip()
    told = ": ".join(filter(None, [status.get("reason"), message]))
    fix = disk_fix(message, _group(pod))
    return f"{told.rstrip('.')}. {fix}" if fix else told


def _group(pod: Object) -> str | None:
    group: str | None = pod["metadata"].get("labels", {}).get(GROUP_LABEL)
    return group


def _pending(pod: Object) -> PodState:
    status = pod.get("status", {})
    for container in status.get("containerStatuses", ()):
        waiting = container.get("state", {}).get("waiting", {})
        reason, message = waiting.get("reason", ""), waiting.get("message", "")
        if reason == _FIRST_PULL or reason in _FAULTY_WAITS:
            return _faulty(container.get("image", ""), reason, message)
        if reason:
            words = f"{reason}: {message}" if message else reason
            return PodState(MemberState.PENDING, Health.WAITING, words)
    for condition in status.get("conditions", ()):
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            words = condition.get("message", "") or "not scheduled yet"
            fix = scheduling_fix(words, _group(pod))
            return PodState(MemberState.PENDING, Health.WAITING, f"{words.rstrip('. ')}. {fix}" if fix else words)
    return PodState(MemberState.PENDING, Health.WAITING, "its pod is being started")


def _faulty(image: str, reason: str, message: str) -> PodState:
    """The state of a pod with a container that the node cannot create."""
    fault, fix = _FAULTY_WAITS["ImagePullBackOff" if reason == _FIRST_PULL else reason]
    words = f"{image}: {reason}: {message}"
    if reason not in _PLAIN_WAITS and _BUSY.search(message):
        return PodState(
            MemberState.PENDING, Health.WAITING, f"{fault} at the moment, which is tried again and again: {words}"
        )
    plain = reason in _PLAIN_WAITS or _REFUSAL.search(message)
    return PodState(MemberState.PENDING, Health.HOPELESS if plain else Health.DOUBTFUL, f"{fault}: {words}. {fix}")
