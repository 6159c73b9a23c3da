"""A pod without processes, for tests that need many: it says that it runs until it is told to end."""

from __future__ import annotations

from dataclasses import replace

from tests.harness.cluster.kubernetes.api import Object
from tests.harness.cluster.pod.process_pod import ProcessPod
from tests.harness.cluster.pod.status import now, running, terminated

_STOPPED = 143


class SimulatedPod(ProcessPod):
    """Behaves to the API server as a pod whose image is there and whose containers heed SIGTERM at once."""

    def _run(self) -> None:
        since = now()
        self._become(running(since))
        self._report()
        self._ending.wait()
        self._become(terminated(_STOPPED, since))

    def _become(self, state: Object) -> None:
        self._statuses = {name: replace(status, state=state) for name, status in self._statuses.items()}
