"""The members of a search as its Jobs and pods show them: a pure view, and which were lost since the last one."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from custom_components.distributed_tuner.cluster.base import SILENCED, Loss, Member, MemberState
from custom_components.distributed_tuner.cluster.kube.manifests import names
from custom_components.distributed_tuner.cluster.kube.manifests.manifests import QUEUE_LABEL
from custom_components.distributed_tuner.cluster.kube.observe import diagnosis
from custom_components.distributed_tuner.cluster.kube.observe.diagnosis import Health, PodState

Object = Mapping[str, Any]

# A member without a pod, although its Job should have created one.
_MISSING = PodState(MemberState.PENDING, Health.WAITING, "its Job has not made its pod yet")


@dataclasses.dataclass(frozen=True)
class Seen:
    """A member and what its latest pod says.

    Attributes:
      member: what the search sees.
      state: of the pod, or of the Job if there is no pod.
      job: the Job's name.
      pod: the name of the latest pod, None if there is none.
      about: the uid of that pod, or of the Job if there is none: events of an earlier object of the same name are not
        about this member.
      begun: the names of its pods that have started, and may have a log, the latest first.
    """

    member: Member
    state: PodState
    job: str
    pod: str | None
    about: str
    begun: Sequence[str] = ()


def name_of(job: Object, index: int) -> str:
    """The name of the member that the pod with this index of the Job belongs to."""
    group = job["metadata"]["labels"].get(names.GROUP_LABEL)
    return names.member(group, index) if group else names.CHIEF


def member_of(pod: Object, jobs: Iterable[Object]) -> str | None:
    """The name of the member that a pod belongs to, None if it belongs to none of these Jobs."""
    owner = _owner(pod)
    job = next((job for job in jobs if job["metadata"]["uid"] == owner), None)
    return None if job is None else name_of(job, diagnosis.index(pod))


def view(jobs: Iterable[Object], pods: Sequence[Object], namespace: str) -> list[Seen]:
    """Every member that the Jobs should have, the chief first, then by group and index.

    Args:
      jobs: of the search.
      pods: of the search.
      namespace: of both.
    """
    seen: list[Seen] = []
    by_member: dict[tuple[str | None, int], list[Object]] = {}
    for pod in pods:
        by_member.setdefault((_owner(pod), diagnosis.index(pod)), []).append(pod)
    for job in sorted(jobs, key=lambda job: (names.GROUP_LABEL in job["metadata"]["labels"], job["metadata"]["name"])):
        for index in range(_members_of(job)):
            seen.append(_see(job, index, by_member.get((job["metadata"]["uid"], index), ()), namespace))
    return seen


def _members_of(job: Object) -> int:
    labels = job["metadata"]["labels"]
    # A group scaled to zero: its Job is suspended, and not by a queue.
    if job["spec"].get("suspend") and names.GROUP_LABEL in labels and QUEUE_LABEL not in labels:
        return 0
    return int(job["spec"].get("completions") or 1)


def _see(job: Object, index: int, pods: Sequence[Object], namespace: str) -> Seen:
    pod = diagnosis.latest(pods)
    state = diagnosis.of_pod(pod) if pod is not None else diagnosis.of_job(job) or _MISSING
    if pod is None or state.state is MemberState.PENDING:
        verdict = diagnosis.of_job(job)
        # A Job that has ended creates no other pod.
        if verdict is not None and verdict.state is MemberState.FAILED:
            state = dataclasses.replace(verdict, exit_code=state.exit_code, reason=f"{state.reason}; {verdict.reason}")
    name = pod["metadata"]["name"] if pod is not None else None
    job_name = "job/" + job["metadata"]["name"]
    in_order = sorted(pods, key=lambda other: other["metadata"]["creationTimestamp"])
    ends = [diagnosis.of_pod(other) for other in in_order]
    faults = [end for end in ends if end.fault]
    last = next((end for end in reversed(faults or ends) if end.exit_code is not None), None)
    begun = [other["metadata"]["name"] for other in reversed(in_order) if other["status"].get("phase") != "Pending"]
    member = Member(
        name=name_of(job, index),
        state=state.state,
        restarts=sum(end.fault for end in ends if end.state is not MemberState.FAILED),
        exit_code=last.exit_code if last else None,
        reason=state.reason or (last.reason if last else ""),
        log=f"kubectl logs --namespace {namespace} {next(iter(begun), name) or job_name}",
        waiting=state.state is MemberState.PENDING and state.health is not Health.FINE,
        incurable=last is not None and last.incurable,
        end=faults[-1].reason if faults else "",
        process=name or "",
    )
    about = (pod or job)["metadata"]["uid"]
    return Seen(member, state, job["metadata"]["name"], name, about, begun)


class LossWatch:
    """Notices workers' pods that ended or vanished; reports each once."""

    def __init__(self) -> None:
        self._alive: dict[str, tuple[str, str]] | None = None

    def since_last(
        self,
        jobs: Iterable[Object],
        pods: Iterable[Object],
        departed: Sequence[Object] = (),
        silenced: Collection[str] = (),
    ) -> list[Loss]:
        """Workers that were alive at the last call and are not now.

        The first call returns those that ended by no fault of their own while nobody watched: the chief has by now
        counted their silence as a failure, and has to be corrected.

        Args:
          jobs: of the search.
          pods: of the search.
          departed: deleted pods, in their last state.
          silenced: the names of pods that were to be killed because they were silent. A pod whose machine was gone is
            not at fault.
        """
        by_uid = {job["metadata"]["uid"]: job for job in jobs}
        gone = {pod["metadata"]["uid"] for pod in departed}
        before, self._alive = self._alive, {}
        losses: list[Loss] = []
        for pod in [*(pod for pod in pods if pod["metadata"]["uid"] not in gone), *departed]:
            job = by_uid.get(_owner(pod) or "")
            if job is None or names.GROUP_LABEL not in job["metadata"]["labels"]:
                continue
            uid, process = pod["metadata"]["uid"], pod["metadata"]["name"]
            name = name_of(job, diagnosis.index(pod))
            if not diagnosis.ended(pod):
                if uid not in gone:
                    self._alive[uid] = (name, process)
                continue
            state = diagnosis.of_pod(pod)
            told = not state.fault if before is None else before.pop(uid, None) is not None
            if not told or state.state is MemberState.SUCCEEDED:
                continue
            if process in silenced and not diagnosis.taken_away(pod):
                losses.append(Loss(name, SILENCED, process))
            else:
                losses.append(Loss(name, state.reason, process, state.fault))
        for uid, (name, process) in (before or {}).items():
            if uid not in self._alive:
                losses.append(Loss(name, "its pod vanished; its node, probably, with it", process, fault=False))
        return losses


def _owner(pod: Object) -> str | None:
    return next((owner["uid"] for owner in pod["metadata"].get("ownerReferences", ()) if owner.get("controller")), None)
