"""What pods, Jobs and events say of a chief or worker: pure functions from dicts to words and states."""

from __future__ import annotations

import dataclasses
import enum
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from custom_components.distributed_tuner.cluster.base import MemberState, exit_reason
from custom_components.distributed_tuner.cluster.kube.api_errors import explain
from custom_components.distributed_tuner.cluster.kube.fixes import disk_fix, missing_fix, scheduling_fix, settings_of
from custom_components.distributed_tuner.cluster.kube.names import GROUP_LABEL
from custom_components.distributed_tuner.errors import ExitCode

Object = Mapping[str, Any]

INDEX_ANNOTATION = "batch.kubernetes.io/job-completion-index"

# Ends that no other start mends, for the Jobs' podFailurePolicy too. Besides our own: options that the program in the
# image does not know, and no such program.
FATAL_CODES = frozenset({2, int(ExitCode.FATAL), int(ExitCode.CANNOT_STORE), 127})
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
# A first failure to pull is told as the later ones are.
_FIRST_PULL = "ErrImagePull"
# What a look at the settings alone would have told.
_PLAIN_WAITS = frozenset({"InvalidImageName", "ErrImageNeverPull"})
# A registry, a node or the API server that is away or busy.
_BUSY = re.compile(
    r"i/o timeout|handshake timeout|timed out|deadline exceeded|connection (refused|reset)|no route to host"
    r"|network is unreachable|unexpected EOF|: EOF|too ?many ?requests|internal server error|bad gateway"
    r"|service unavailable|gateway time-?out|temporary failure|server misbehaving|try again|name .* is reserved",
    re.IGNORECASE,
)
# What another attempt is answered in the same way.
_REFUSAL = re.compile(
    r"not found|denied|unauthorized|forbidden|manifest unknown|no such host|couldn't find key|runAsNonRoot",
    re.IGNORECASE,
)
# Why scheduler and autoscaler find no node, one reason after another: "2 node(s) …, 1 max node group size reached".
_PREAMBLE = re.compile(r"^(pod didn't trigger scale-up[^:]*|0/\d+ nodes are available): *")
_REASONS = re.compile(r", (?=\d+ )")
_PREEMPTION = re.compile(r"[.,]? *(no new claims to deallocate|preemption: ).*", re.DOTALL)
# Of these no time makes another answer: nodes are made with their labels and taints. But for those that come and go.
_FOR_GOOD = re.compile(
    r"no nodes available|didn't match (Pod's node affinity|node selector)|(untolerated|had) taint"
    r"(?!.*(node\.(kubernetes|cloudprovider\.kubernetes)\.io/|ByClusterAutoscaler|CandidateOfClusterAutoscaler))"
)

# A pod that is not made: by a rule, which will say the same the next time, or since something was away or busy.
_VERDICT = re.compile(r"is forbidden|is invalid|denied the request|denied request|not found|exceeded quota")
_PLAIN_VERDICT = re.compile(r"denied (the )?request|exceeded quota|violates PodSecurity|is invalid")
_TROUBLE = re.compile(
    r"failed calling webhook|Internal error|object has been modified|status unknown for quota|not yet ready to handle"
    r"|timed? ?out|deadline exceeded|connection (refused|reset)|dial tcp|unexpected EOF|try again|retry after"
    r"|etcdserver|too many requests|unable to handle the request"
    # The Job's controller itself, where the API server has just started and knows no roles yet.
    r'|User "system:serviceaccount:kube-system',
    re.IGNORECASE,
)


class Health(enum.Enum):
    """How a pod's matters stand, for whoever decides whether to wait."""

    FINE = "fine"
    # For a machine, an image, a volume: may take long.
    WAITING = "waiting"
    # It may become better by itself, but for no known reason: not if it lasts for minutes.
    DOUBTFUL = "doubtful"
    # It will not become better by itself.
    HOPELESS = "hopeless"


@dataclasses.dataclass(frozen=True)
class PodState:
    """A pod in short.

    Attributes:
      state: of the member that it is, were this its only pod.
      health: whether to wait for it.
      reason: why it is pending or how it ended, for people.
      exit_code: of its container, None while it runs and where a pod ended without one.
      fault: whether it ended by a fault of its own, and not by an eviction, a preemption or an order.
      incurable: whether its settings are at fault.
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
    """The pod that is the member now: a live one before an ended one, then the youngest."""
    return max(
        pods,
        key=lambda pod: (not ended(pod), pod["metadata"]["creationTimestamp"], pod["metadata"]["name"]),
        default=None,
    )


def of_pod(pod: Object) -> PodState:
    """What a pod says of itself."""
    status = pod.get("status", {})
    phase = status.get("phase")
    if phase == "Succeeded":
        return PodState(MemberState.SUCCEEDED, reason=exit_reason(0), exit_code=0)
    if phase == "Failed":
        return _failed(pod)
    if phase == "Running" and pod["metadata"].get("deletionTimestamp"):
        return PodState(MemberState.PENDING, reason=_disruption(status) or "it is being stopped")
    if phase == "Running":
        return PodState(MemberState.RUNNING)
    return _pending(pod)


def of_events(events: Sequence[Object], waits_for: str = "") -> PodState | None:
    """What the newest telling event of a pod that waits, or of a Job without pods, says; None where none says anything.

    A Job whose pods are refused, by a quota or at admission, says so in events only.

    Args:
      events: of the pod or Job.
      waits_for: what the pod itself says: the scheduler's words, where it has no node.
    """
    newest = sorted(events, key=_time, reverse=True)
    scheduler = [
        waits_for,
        next((str(e.get("message", "")) for e in newest if e.get("reason") == "FailedScheduling"), ""),
    ]
    for event in newest:
        reason, message = event.get("reason", ""), str(event.get("message", ""))
        if reason in ("SuccessfulCreate", "Scheduled"):
            return None
        if reason == "TriggeredScaleUp":
            return PodState(MemberState.PENDING, Health.WAITING, f"the autoscaler is adding a node: {message}")
        if reason == "NotTriggerScaleUp":
            # It speaks of the pools that it may grow only: a node of another one may be busy, and be free again.
            if not _is_for_good(message) or not all(map(_is_for_good, filter(None, scheduler))):
                return PodState(MemberState.PENDING, Health.WAITING, message)
            return PodState(
                MemberState.PENDING,
                Health.HOPELESS,
                f"no node pool has a machine like this, says the autoscaler: {message}. Compare gpu, node_selector, "
                "spot, cpu and memory of the group with the cluster's node pools",
            )
        if reason == "FailedCreate":
            return _refused(message)
        if reason in ("FailedMount", "FailedAttachVolume"):
            words = f"a volume is not there yet: {message}. {missing_fix(message)}".rstrip(". ")
            return PodState(MemberState.PENDING, Health.WAITING, words)
    return None


def _is_for_good(message: str) -> bool:
    """Whether each reason for finding no node is one that no time mends; what is not known may pass."""
    reasons = _REASONS.split(_PREEMPTION.sub("", _PREAMBLE.sub("", message)).strip())
    return all(_FOR_GOOD.search(reason) for reason in reasons)


def _refused(message: str) -> PodState:
    """What a Job's controller, which goes on trying, was told when it made a pod."""
    verdict = _VERDICT.search(message)
    if verdict and not (_TROUBLE.search(message) and not _PLAIN_VERDICT.search(message)):
        # Events have no code of their own.
        code = 422 if "is invalid" in message else 403
        return PodState(MemberState.PENDING, Health.HOPELESS, explain(code, message))
    return PodState(
        MemberState.PENDING,
        Health.WAITING,
        f"its pod cannot be made at the moment, which is tried again and again: {message}",
    )


def _time(event: Object) -> str:
    series = event.get("series") or {}
    return str(
        series.get("lastObservedTime")
        or event.get("lastTimestamp")
        or event.get("eventTime")
        or event["metadata"].get("creationTimestamp")
        or ""
    )


def of_job(job: Object) -> PodState | None:
    """What a Job says of members that have no pod; None where it says nothing."""
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
    """Whether a Job will start no pod any more."""
    state = of_job(job)
    return state is not None and state.state in (MemberState.FAILED, MemberState.SUCCEEDED)


def ended(pod: Object) -> bool:
    """Whether none of its containers runs any more, nor will again."""
    return pod.get("status", {}).get("phase") in ("Succeeded", "Failed")


def node_answers(pod: Object) -> bool:
    """Whether the cluster hears of the pod's node: where it does not, it calls the node's pods not ready."""
    conditions = pod.get("status", {}).get("conditions", ())
    return all(one["status"] == "True" for one in conditions if one["type"] == "Ready")


def _failed(pod: Object) -> PodState:
    status = pod["status"]
    disruption, verdict = _disruption(status), _pods_verdict(pod)
    # A group was made smaller, or somebody deleted the pod.
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
        # The code says no more than that the kubelet killed it.
        reason = f"exit code {code}: {verdict}"
    elif terminated.get("reason") in _NOT_STARTED:
        said = str(terminated.get("message", "")).strip().rstrip(".")
        reason = f"exit code {code}: its program cannot be started: {said}. {_RUN_FIX}"
    if code in FATAL_CODES:
        return PodState(MemberState.FAILED, reason=reason, exit_code=code, fault=True)
    fault = not disruption and not ordered and code not in _NO_FAULT
    incurable = fault and terminated.get("reason") in {_OUT_OF_MEMORY, *_NOT_STARTED}
    return PodState(MemberState.PENDING, reason=reason, exit_code=code, fault=fault, incurable=incurable)


def _pods_verdict(pod: Object) -> str:
    """Why the pod failed as a whole, whatever its container ended with, and what to change; often empty."""
    status = pod["status"]
    message = str(status.get("message") or "").strip()
    told = ": ".join(filter(None, [status.get("reason"), message]))
    fix = disk_fix(message, _group(pod))
    return f"{told.rstrip('.')}. {fix}" if fix else told


def _group(pod: Object) -> str | None:
    group: str | None = pod["metadata"].get("labels", {}).get(GROUP_LABEL)
    return group


def _disruption(status: Object) -> str:
    for condition in status.get("conditions", ()):
        if condition["type"] == "DisruptionTarget" and condition["status"] == "True":
            return f"its pod was taken away ({condition.get('reason', '')}): {condition.get('message', '')}".rstrip(
                ": "
            )
    return ""


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
    """A container that the node cannot make."""
    fault, fix = _FAULTY_WAITS["ImagePullBackOff" if reason == _FIRST_PULL else reason]
    words = f"{image}: {reason}: {message}"
    if reason not in _PLAIN_WAITS and _BUSY.search(message):
        return PodState(
            MemberState.PENDING, Health.WAITING, f"{fault} at the moment, which is tried again and again: {words}"
        )
    plain = reason in _PLAIN_WAITS or _REFUSAL.search(message)
    return PodState(MemberState.PENDING, Health.HOPELESS if plain else Health.DOUBTFUL, f"{fault}: {words}. {fix}")
