"""What only events show of a waiting pod, or of a Job without pods: a pure function from dicts to a state."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from custom_components.distributed_tuner.cluster.base import MemberState
from custom_components.distributed_tuner.cluster.kube.api.errors import explain
from custom_components.distributed_tuner.cluster.kube.observe.diagnosis import Health, Object, PodState
from custom_components.distributed_tuner.cluster.kube.observe.fixes import missing_fix, missing_name

# Why scheduler and autoscaler find no node, reason by reason: "2 node(s) …, 1 max node group size reached".
_PREAMBLE = re.compile(r"^(pod didn't trigger scale-up[^:]*|0/\d+ nodes are available): *")
_REASONS = re.compile(r", (?=\d+ )")
_PREEMPTION = re.compile(r"[.,]? *(no new claims to deallocate|preemption: ).*", re.DOTALL)
_NO_HELP = re.compile(r"^(?!.*No preemption victims).*Preemption is not helpful", re.DOTALL)
# Reasons that time does not change: nodes get their labels and taints when created. Except taints that come and go.
_FOR_GOOD = re.compile(
    r"no nodes available|didn't match (Pod's node affinity|node selector)|(untolerated|had) taint"
    r"(?!.*(node\.(kubernetes|cloudprovider\.kubernetes)\.io/|ByClusterAutoscaler|CandidateOfClusterAutoscaler))"
)

# A pod that is refused: by a rule, which will refuse it again, or because something was unreachable or busy.
_VERDICT = re.compile(r"is forbidden|is invalid|denied the request|denied request|not found|exceeded quota")
_PLAIN_VERDICT = re.compile(r"denied (the )?request|exceeded quota|violates PodSecurity|is invalid")
_TROUBLE = re.compile(
    r"failed calling webhook|Internal error|object has been modified|status unknown for quota|not yet ready to handle"
    r"|timed? ?out|deadline exceeded|connection (refused|reset)|dial tcp|unexpected EOF|try again|retry after"
    r"|etcdserver|too many requests|unable to handle the request"
    # The Job's controller itself, if the API server has just started and not loaded the roles yet.
    r'|User "system:serviceaccount:kube-system',
    re.IGNORECASE,
)


def of(events: Sequence[Object], waits_for: str = "", own: Collection[str] = ()) -> PodState | None:
    """What the newest relevant event of a waiting pod, or of a Job without pods, says; None if no event is relevant.

    A Job whose pods are refused, by a quota or at admission, shows that in its events only.

    Args:
      events: of the pod or Job.
      waits_for: the pod's own reason: the scheduler's message, if the pod has no node.
      own: the names of the search's own Secrets.
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
            # The autoscaler means only the pools that it may grow: a busy node of another pool may become free again.
            if not _is_for_good(message, of_new_nodes=True) or not all(map(_is_for_good, filter(None, scheduler))):
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
            return _without_volume(message, own)
    return None


def _is_for_good(message: str, *, of_new_nodes: bool = False) -> bool:
    """Whether every reason for finding no node is permanent; an unknown reason may pass.

    Args:
      message: the scheduler's, or the autoscaler's.
      of_new_nodes: whether it is about nodes that do not exist yet, and are therefore empty.
    """
    preemption = _PREEMPTION.search(message)
    # If a pod requests more than a whole node has, the scheduler does not look for pods to preempt.
    too_small = of_new_nodes or (preemption is not None and _NO_HELP.search(preemption[0]) is not None)
    reasons = _REASONS.split(_PREEMPTION.sub("", _PREAMBLE.sub("", message)).strip(" ."))
    return all(_FOR_GOOD.search(reason) or (too_small and "Insufficient " in reason) for reason in reasons)


def _without_volume(message: str, own: Collection[str]) -> PodState:
    if (name := missing_name(message)) in own:
        words = (
            f"the search's own Secret {name} is gone: somebody deleted it. Run the same run id again, which makes it"
        )
        return PodState(MemberState.PENDING, Health.DOUBTFUL, f"{words} anew ({message})")
    words = f"a volume is not there yet: {message}. {missing_fix(message)}".rstrip(". ")
    return PodState(MemberState.PENDING, Health.WAITING, words)


def _refused(message: str) -> PodState:
    """The state of a pod that a Job's controller, which keeps retrying, failed to create."""
    verdict = _VERDICT.search(message)
    if verdict and not (_TROUBLE.search(message) and not _PLAIN_VERDICT.search(message)):
        # Events carry no status code.
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
