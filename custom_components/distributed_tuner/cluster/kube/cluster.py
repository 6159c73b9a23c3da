"""Chief and workers as Jobs on Kubernetes.

The Jobs' controllers restart what dies; this class creates or adopts the Jobs, follows them through two watches, and
reports what it sees to the search. Chief and workers keep running while the API server is unreachable.
"""

from __future__ import annotations

import dataclasses
import logging
import time
import uuid
from collections.abc import Mapping, Sequence

from custom_components.distributed_tuner.cluster.base import Cluster, ClusterError, Snapshot
from custom_components.distributed_tuner.cluster.kube import place
from custom_components.distributed_tuner.cluster.kube.api import connection
from custom_components.distributed_tuner.cluster.kube.api.call import Object
from custom_components.distributed_tuner.cluster.kube.api.client import KubernetesApi
from custom_components.distributed_tuner.cluster.kube.api.errors import ApiError
from custom_components.distributed_tuner.cluster.kube.api.mirror import REFUSAL_SECONDS, Mirror
from custom_components.distributed_tuner.cluster.kube.control import logs, objects
from custom_components.distributed_tuner.cluster.kube.control.forgiveness import Forgiveness
from custom_components.distributed_tuner.cluster.kube.control.objects import path, read_log
from custom_components.distributed_tuner.cluster.kube.control.overdue import Overdue
from custom_components.distributed_tuner.cluster.kube.control.replacements import Replacements
from custom_components.distributed_tuner.cluster.kube.control.search_objects import NameTaken, SearchObjects
from custom_components.distributed_tuner.cluster.kube.manifests import names
from custom_components.distributed_tuner.cluster.kube.manifests.plan import Plan
from custom_components.distributed_tuner.cluster.kube.observe import diagnosis, events
from custom_components.distributed_tuner.cluster.kube.observe.diagnosis import Health
from custom_components.distributed_tuner.cluster.kube.observe.members import LossWatch, Seen, view
from custom_components.distributed_tuner.cluster.kube.observe.prospects import Prospects
from custom_components.distributed_tuner.cluster.kube.observe.silences import Silences
from custom_components.distributed_tuner.host import crash
from custom_components.distributed_tuner.rpc.credentials import Access
from custom_components.distributed_tuner.storage.search_dir import DIRECTORY_ID, SearchDir

_LOG = logging.getLogger(__name__)

# Starting and ending a search survive an API server that is unreachable for minutes.
_START_PATIENCE_SECONDS = 180.0
# An API server that has just started refuses, for a moment, whatever it has not loaded the roles for yet.
_RIGHTS_SECONDS = 5.0
_EVENTS_EVERY_SECONDS = 5.0
# A cancelled step has 30 s for everything.
_LOGS_SECONDS = 5.0
# As many lines as the stacks of all threads of a crashed worker may have.
_CRASH_LINES = 1000


class KubernetesCluster(Cluster):
    """The Jobs of one search.

    Args:
      plan: what the Jobs are made from.
      api: the API server; that of the pod or kubeconfig if left out.
      where: the owners of the search and its callers; looked up from the step's own pod if left out.
    """

    def __init__(self, plan: Plan, api: KubernetesApi | None = None, where: place.Place | None = None) -> None:
        self._plan = plan
        self._api = api or connection.from_environment(patience_seconds=_START_PATIENCE_SECONDS)
        where = where or place.find(self._api, plan.namespace, own=place.own_namespace())
        self._plan = dataclasses.replace(plan, callers=where.callers)
        self._owners = where.owners
        self._objects: SearchObjects | None = None
        self._access: Access | None = None
        selector = names.selector(plan.search.name)
        self._jobs = Mirror(self._api, path("Job", plan.namespace), selector)
        self._pods = Mirror(self._api, path("Pod", plan.namespace), selector)
        self._losses = LossWatch()
        self._forgiveness = Forgiveness(self._api, plan.namespace)
        self._replacements = Replacements(self._api, plan.namespace)
        self._overdue = Overdue()
        self._silences = Silences()
        self._missing: set[str] = set()
        self._seen: list[Seen] = []
        self._prospects = Prospects(plan.options.pending_seconds)
        self._no_events_since: float | None = None
        self._words: dict[str, tuple[float, diagnosis.PodState | None]] = {}
        self._closed = False
        self._out_of_reach = False

    def start(self, workers: int) -> None:
        """See `Cluster.start`."""
        plan = dataclasses.replace(self._plan, directory_id=_directory_id(self._plan.root))
        made = self._objects = SearchObjects(self._api, plan, self._owners)
        try:
            self._access = self._ensure(made, self._plan.options.counts(workers))
            for mirror in (self._jobs, self._pods):
                mirror.start()
        except NameTaken:
            # What exists belongs to the other search: none of it is removed.
            self._closed = True
            raise
        except ClusterError:
            # A search that was running before this step started goes on without it.
            self._out_of_reach = bool(made.adopted)
            raise

    def poll(self) -> Snapshot:
        """See `Cluster.poll`."""
        self._check_api()
        jobs, pods = self._jobs.objects(), self._pods.objects()
        self._forgiveness.grant(pods)
        for pod in self._overdue.among(pods):
            name, uid = pod["metadata"]["name"], pod["metadata"]["uid"]
            _LOG.warning("the pod %s should be gone, and its node does not end it: it is given up", name)
            self._replacements.add(name, uid, abandoned=True)
        self._replacements.go_on()
        losses = self._losses.since_last(jobs, pods, self._pods.departed(), self._silences.pods)
        self._silences.note(losses)
        self._seen = [
            self._silences.shown(self._with_events(seen, jobs)) for seen in view(jobs, pods, self._plan.namespace)
        ]
        chief = next((seen for seen in self._seen if seen.member.name == names.CHIEF), None)
        workers = [seen for seen in self._seen if seen is not chief]
        if chief is None:
            raise ClusterError(
                f"the Job {self._plan.search.chief} is gone from namespace {self._plan.namespace}: somebody deleted "
                "it, or what owns it. Run the same run id again; finished trials are kept"
            )
        self._check_groups(jobs)
        self._prospects.check("the chief", [chief])
        self._prospects.check("every worker", workers)
        return Snapshot(chief.member, [seen.member for seen in workers], losses)

    def chief_address(self) -> str | None:
        """See `Cluster.chief_address`."""
        return self._plan.chief_address

    def access(self) -> Access:
        """See `Cluster.access`."""
        if self._access is None:
            raise ClusterError("the search has not been started")
        return self._access

    def tail(self, member: str, lines: int = 20) -> str:
        """See `Cluster.tail`."""
        words = ""
        # A pod that has just started may have no log yet; the one before it may have one.
        for pod in next((seen.begun for seen in self._seen if seen.member.name == member), ()):
            try:
                log = read_log(self._api, self._plan.namespace, pod, max(lines, _CRASH_LINES))
                text = crash.last_lines(log, lines)
            except ClusterError as error:
                text, words = "", words or f"(its log cannot be read: {error})"
            if text:
                return text
        return words

    def replace(self, member: str) -> None:
        """See `Cluster.replace`."""
        for seen in self._seen:
            if seen.member.name == member and seen.pod is not None:
                self._replacements.add(seen.pod, seen.about)
                self._silences.pods.add(seen.pod)
        self._replacements.go_on()

    def scale(self, group: str, count: int) -> None:
        """Changes how many workers a group has.

        Args:
          group: of workers.
          count: how many it should have.

        Raises:
          ClusterError: there is no such group, or the API server refused.
        """
        objects.scale(self._api, self._plan.namespace, self._plan.search.name, group, count)

    def close(self, *, grace_seconds: float, failed: bool = False) -> None:
        """See `Cluster.close`."""
        if self._closed:
            return
        for mirror in (self._jobs, self._pods):
            mirror.stop()
        if self._out_of_reach:
            _LOG.warning("chief and workers are left alone: they may be going on, and the next run finds them")
        elif self._objects is None or not self._objects.is_ours():
            _LOG.warning(
                "what runs of a search %s in namespace %s is left alone: it is not this step's, or not any more",
                self._plan.search.name,
                self._plan.namespace,
            )
        elif failed and self._plan.options.keep_on_failure:
            self._objects.keep()
            _LOG.warning("%s", self._kept())
        else:
            self._keep_logs()
            objects.remove(self._api, self._plan.namespace, self._plan.search.name, grace_seconds)
        self._closed = True

    def leave(self) -> None:
        """See `Cluster.leave`: whoever took the search over has adopted the Jobs."""
        for mirror in (self._jobs, self._pods):
            mirror.stop()
        self._closed = True

    def _ensure(self, made: SearchObjects, counts: Mapping[str, int]) -> Access:
        ends = time.monotonic() + _RIGHTS_SECONDS
        while True:
            try:
                return made.ensure(counts)
            except ApiError as error:
                if not error.lacks_right or time.monotonic() >= ends:
                    raise
            time.sleep(objects.LOOK_SECONDS)

    def _keep_logs(self) -> None:
        directory = SearchDir(self._plan.root)
        try:
            jobs, pods = self._jobs.objects(), self._pods.objects()
        except ClusterError as error:
            _LOG.warning("no logs are kept: %s", error)
            return
        # A missing folder is on a volume that the pods see and this machine does not.
        if directory.storage.path is None or directory.logs.is_dir():
            logs.keep(self._api, self._plan.namespace, jobs, pods, directory, _LOGS_SECONDS)

    def _kept(self) -> str:
        selector = f"--namespace {self._plan.namespace} --selector {names.selector(self._plan.search.name)}"
        return (
            f"keep_on_failure: the search's Jobs and pods stay. kubectl get jobs,pods {selector} shows them; "
            f"kubectl delete job {self._plan.search.chief} --namespace {self._plan.namespace} removes them all"
        )

    def _check_api(self) -> None:
        limit = self._plan.options.api_patience_seconds
        silence = max(self._jobs.silence(), self._pods.silence())
        if silence > limit:
            self._out_of_reach = True
            trouble = self._jobs.trouble() or self._pods.trouble()
            raise ClusterError(
                f"the Kubernetes API was not heard of for {silence:.0f} s (api_patience_seconds is {limit:g}). Run the "
                "same run id again when it is back: chief and workers may be going on meanwhile"
                + (f". The last trouble: {trouble}" if trouble else "")
            )

    def _check_groups(self, jobs: Sequence[Object]) -> None:
        """Warns of groups whose Jobs are gone; raises ClusterError if no group is left to do their work."""
        there = {job["metadata"]["name"] for job in jobs}
        wanted = {self._plan.search.group(group.name) for group in self._plan.options.groups}
        missing = wanted - there
        if missing == wanted:
            raise ClusterError(
                f"the Jobs of all workers are gone from namespace {self._plan.namespace}: somebody deleted them. Run "
                "the same run id again; finished trials are kept"
            )
        for name in sorted(missing - self._missing):
            _LOG.warning("the Job %s is gone: somebody deleted it. The other groups do its work", name)
        self._missing = missing

    def _with_events(self, seen: Seen, jobs: Sequence[Object]) -> Seen:
        """Adds what only events show: refused pods, an autoscaler's verdict, a volume that cannot be mounted."""
        if not seen.member.waiting or seen.state.health in (Health.HOPELESS, Health.DOUBTFUL):
            return seen
        job = next(job for job in jobs if job["metadata"]["name"] == seen.job)
        if job["spec"].get("suspend"):
            return seen
        # Members of a group wait for the same reasons: the events of one stand for all.
        key = job["metadata"]["uid"] + ("" if seen.pod is None else "/pod")
        told = self._events(seen.about, key, "" if seen.pod is None else seen.state.reason)
        if told is None:
            return seen
        reason = told.reason
        if told.health is Health.WAITING and seen.member.reason not in reason:
            reason = f"{seen.member.reason} ({reason})"
        return dataclasses.replace(
            seen, state=dataclasses.replace(told, reason=reason), member=dataclasses.replace(seen.member, reason=reason)
        )

    def _events(self, about: str, key: str, waits_for: str) -> diagnosis.PodState | None:
        now = time.monotonic()
        asked, told = self._words.get(key, (-_EVENTS_EVERY_SECONDS, None))
        if now - asked >= _EVENTS_EVERY_SECONDS:
            self._words[key] = (now, told)
            try:
                answer = self._api.get(
                    path("Event", self._plan.namespace),
                    fieldSelector=f"involvedObject.uid={about}",
                    patience_seconds=0.0,
                )
                told = events.of(answer["items"], waits_for, own=names.secrets(self._plan.search.name))
                self._words[key], self._no_events_since = (now, told), None
            except ClusterError as error:
                _LOG.warning("why members wait cannot be looked up: %s", error)
                self._check_events_refused(error)
        return told

    def _check_events_refused(self, error: ClusterError) -> None:
        """Raises the error if it persists: without events nobody knows why a pod is missing."""
        if not isinstance(error, ApiError) or error.code != 403:
            return
        if self._no_events_since is None:
            self._no_events_since = time.monotonic()
        if time.monotonic() - self._no_events_since >= REFUSAL_SECONDS:
            raise error


def _directory_id(root: str) -> str:
    """Identifies the search directory among others at the same path in other volumes; empty if it cannot be seen."""
    storage = SearchDir(root).storage.patient(_START_PATIENCE_SECONDS)
    if storage.path is not None and not storage.path.is_dir():
        return ""
    found = storage.read(DIRECTORY_ID)
    if found is None:
        found = uuid.uuid4().hex.encode()
        storage.write(DIRECTORY_ID, found)
    return found.decode("ascii", errors="replace")
