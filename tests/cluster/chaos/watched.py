"""One search on Kubernetes, in a thread of its own, and what is seen of it meanwhile."""

from __future__ import annotations

import faulthandler
import io
import json
import tempfile
import threading
import time

from custom_components.distributed_tuner.cluster.base import ClusterError
from custom_components.distributed_tuner.cluster.kube.manifests import manifests, names
from custom_components.distributed_tuner.cluster.kube.observe import diagnosis
from custom_components.distributed_tuner.record.record import SearchRecord, TrialStatus
from custom_components.distributed_tuner.search import run as search
from tests.cluster.chaos.recovery import Hit, Sights
from tests.cluster.kubernetes_search import KubernetesSearch
from tests.harness.chaos import training_log
from tests.harness.cluster.kubernetes.api import Object
from tests.harness.cluster.kubernetes.errors import ApiError

_INDEX = "batch.kubernetes.io/job-completion-index"
_FAILURES = "batch.kubernetes.io/job-index-failure-count"
_FINAL = frozenset({TrialStatus.COMPLETED, TrialStatus.FAILED})
_LAST_LINES = 20
_CALL_OFF_SECONDS = 120.0


class Watched:
    """A search while it goes on.

    Args:
      made: the search.
      workers: how many.
    """

    def __init__(self, made: KubernetesSearch, workers: int) -> None:
        self.made = made
        self.began = time.time()
        self.found: search.Found | None = None
        self.error: BaseException | None = None
        #: Ends that a Job's controller counts against a backoff limit, and the Jobs that say that it has.
        self.counted: set[str] = set()
        self._record: SearchRecord | None = None
        self._answers: list[float] = []
        self._running: dict[str, list[tuple[float, str]]] = {}
        self._called_off = threading.Event()

        def run() -> None:
            try:
                self.found = made.run(workers=workers, watch=self._take, tell=self._obey)
            except BaseException as error:
                self.error = error

        self._thread = threading.Thread(target=run, name="search", daemon=True)
        self._thread.start()

    @property
    def over(self) -> bool:
        """Whether the run ended, one way or another."""
        return not self._thread.is_alive()

    def look(self) -> None:
        """Looks at pods and Jobs; an API server that is away shows nothing."""
        try:
            pods = self.pods()
            jobs = self.made.namespace.api.items(self.made.namespace.path("jobs"), labelSelector=self._selector)
        except ApiError:
            return
        now = time.time()
        # What ends with its Job is removed, by the step.
        kept = {job["metadata"]["uid"] for job in jobs if "deletionTimestamp" not in job["metadata"]}
        pods = [
            pod for pod in pods if any(owner["uid"] in kept for owner in pod["metadata"].get("ownerReferences", ()))
        ]
        for pod in pods:
            if not _is_live(pod):
                continue
            seen = self._running.setdefault(member(pod), [])
            if all(name != pod["metadata"]["name"] for _, name in seen):
                seen.append((now, pod["metadata"]["name"]))
        self.counted |= {
            f"pod {pod['metadata']['name']}, whose member had failed before,"
            for pod in pods
            if pod["metadata"].get("annotations", {}).get(_FAILURES, "0") != "0"
        }
        self.counted |= {
            f"the end of pod {pod['metadata']['name']} ({diagnosis.of_pod(pod).reason})" for pod in pods if _counts(pod)
        }
        self.counted |= {f"Job {job['metadata']['name']}" for job in jobs if job["status"].get("failed")}

    def pods(self) -> list[Object]:
        """All pods of the search.

        Raises:
          ApiError: the API server is away.
        """
        return self.made.namespace.api.items(self.made.namespace.path("pods"), labelSelector=self._selector)

    def live(self, *, chief: bool = False) -> list[Object]:
        """The workers' pods that run and that nobody has deleted, or the chief's, in the order of their names.

        Raises:
          ApiError: the API server is away.
        """
        found = [pod for pod in self.pods() if _is_live(pod) and (member(pod) == names.CHIEF) == chief]
        return sorted(found, key=lambda pod: str(pod["metadata"]["name"]))

    def sights(self) -> Sights:
        """All that was seen so far."""
        record = self.found.record if self.found is not None else self._record
        ended = {
            trial.trial_id: trial.ended
            for trial in (record.trials if record else ())
            if trial.status in _FINAL and trial.ended is not None
        }
        lines = training_log.read(self.made.directory.root)
        running = {name: list(seen) for name, seen in self._running.items()}
        return Sights(lines, ended, running, list(self._answers))

    def call_off(self) -> None:
        """Ends the search from outside, and waits for that."""
        self._called_off.set()
        self._thread.join(_CALL_OFF_SECONDS)

    def dump(self) -> str:
        """What a hanging search is doing: its pods, its Jobs, its trials, the step's threads, the ends of the logs."""
        text = io.StringIO()
        text.write(f"--- trials\n{self._record}\n--- threads of the step\n{_threads()}")
        for kind in ("jobs", "pods"):
            try:
                things = self.made.namespace.api.items(self.made.namespace.path(kind), labelSelector=self._selector)
            except ApiError as error:
                text.write(f"--- {kind}: {error}\n")
                continue
            for thing in things:
                text.write(f"--- {kind} {thing['metadata']['name']}\n{json.dumps(thing['status'])}\n")
                if kind == "pods" and thing["status"]["phase"] != "Pending":
                    text.write(self._log(thing))
        return text.getvalue()

    @property
    def _selector(self) -> str:
        return f"{names.SEARCH_LABEL}={self.made.name.name}"

    def _log(self, pod: Object) -> str:
        try:
            return self.made.namespace.log(pod, tailLines=_LAST_LINES)
        except ApiError as error:
            return f"(no log: {error})\n"

    def _take(self, record: SearchRecord) -> None:
        self._record = record
        self._answers.append(time.time())

    def _obey(self, words: str) -> None:
        if self._called_off.is_set():
            raise ClusterError("the search is called off")


def member(pod: Object) -> str:
    """The member of the search that a pod is."""
    labels = pod["metadata"]["labels"]
    group = labels.get(names.GROUP_LABEL)
    return f"{group}-{labels[_INDEX]}" if group else names.CHIEF


def hit(pod: Object) -> Hit:
    """A pod as what a disruption takes."""
    return Hit(member(pod), pod["metadata"]["name"])


def _counts(pod: Object) -> bool:
    """Whether a pod failed, and neither by a disruption nor with an exit code that the Jobs ignore."""
    failed = pod["status"]["phase"] == "Failed" and not diagnosis.taken_away(pod)
    return failed and diagnosis.of_pod(pod).exit_code not in manifests.RESTART_CODES


def _is_live(pod: Object) -> bool:
    return bool(pod["status"]["phase"] == "Running" and "deletionTimestamp" not in pod["metadata"])


def _threads() -> str:
    with tempfile.TemporaryFile("w+") as file:
        faulthandler.dump_traceback(file, all_threads=True)
        file.seek(0)
        return file.read()
