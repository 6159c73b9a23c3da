"""How often the step of a search asks the API server, as the API server's own audit log tells."""

from __future__ import annotations

import datetime
import json
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from tests.cluster.kubernetes_search import KubernetesSearch
from tests.harness.cluster.kubernetes.objects import Namespace
from tests.harness.cluster.kubernetes.waiting import until
from tests.harness.cluster.node.node_pool import NodePool

PODS_OF_NODE = 125
#: Of a hundred pods so many are taken away each minute, as on spot machines on a bad day.
TAKEN_OF_HUNDRED = 5

_POLL_SECONDS = 0.25
_ALL_RUN_SECONDS = 600.0


class AuditLog:
    """The API server's audit log.

    Args:
      folder: for the log and its policy.
    """

    def __init__(self, folder: Path) -> None:
        self._policy = folder / "audit-policy.json"
        self._log = folder / "audit.log"
        groups = [{"group": group} for group in ("", "batch", "networking.k8s.io")]
        rule = {"level": "Metadata", "userGroups": ["system:serviceaccounts"], "resources": groups}
        policy = {
            "apiVersion": "audit.k8s.io/v1",
            "kind": "Policy",
            "omitStages": ["RequestReceived"],
            "rules": [rule, {"level": "None"}],
        }
        self._policy.write_text(json.dumps(policy))

    @property
    def options(self) -> Mapping[str, list[str]]:
        """What makes the API server write it."""
        return {"kube-apiserver": [f"--audit-policy-file={self._policy}", f"--audit-log-path={self._log}"]}

    def requests(self, namespace: str, since: float, until: float) -> int:
        """How many requests the service accounts of a namespace made between two times, seconds since the epoch."""
        return count(self._log.read_text("utf-8").splitlines(), namespace, since, until)


def count(lines: Iterable[str], namespace: str, since: float, until: float) -> int:
    """How many requests an audit log has of a namespace's service accounts; a watch is one, though it has two lines."""
    found = set()
    for line in lines:
        entry = json.loads(line)
        if not entry["user"]["username"].startswith(f"system:serviceaccount:{namespace}:"):
            continue
        received = datetime.datetime.fromisoformat(entry["requestReceivedTimestamp"].replace("Z", "+00:00"))
        if since <= received.timestamp() < until:
            found.add(entry["auditID"])
    return len(found)


def per_minute(
    made: KubernetesSearch, team: Namespace, nodes: NodePool, audit: AuditLog, workers: int, seconds: float
) -> float:
    """Follows a search of simulated pods, of which some are taken away, and counts what the step asks.

    Args:
      made: the search; nothing of it has been started.
      team: its namespace.
      nodes: for the pods.
      audit: of the API server.
      workers: how many.
      seconds: how long it is followed once all run.

    Returns:
      Requests a minute.
    """
    for _ in range(-(-(workers + 1) // PODS_OF_NODE)):
        nodes.add(capacity={"cpu": "1000", "memory": "4Ti", "pods": str(PODS_OF_NODE)}, simulated=True)
    cluster = made.make_cluster()
    try:
        made.spec.write(made.directory.storage)
        cluster.start(workers)

        def all_run() -> bool:
            cluster.poll()
            return len(made.live("worker")) == workers

        until(all_run, f"{workers} workers", seconds=_ALL_RUN_SECONDS)
        pause = 6000.0 / (TAKEN_OF_HUNDRED * workers)
        began = time.time()
        next_taken = time.monotonic() + min(pause, seconds) / 2
        while time.time() < began + seconds:
            cluster.poll()
            if time.monotonic() >= next_taken:
                team.evict(made.live("worker")[0])
                next_taken += pause
            time.sleep(_POLL_SECONDS)
        return audit.requests(team.name, began, time.time()) * 60.0 / (time.time() - began)
    finally:
        cluster.close(grace_seconds=0.0)
