"""The benchmark of searches on Kubernetes: what is read out of the audit log. The measuring itself needs a cluster."""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks import cluster
from benchmarks.clients.cluster_requests import AuditLog, count


def entry(number: int, second: int, user: str = "system:serviceaccount:ml:distributed-tuner", stage: str = "") -> str:
    return json.dumps(
        {
            "auditID": str(number),
            "stage": stage or "ResponseComplete",
            "user": {"username": user},
            "requestReceivedTimestamp": f"1970-01-01T00:00:{second:02d}.500000Z",
        }
    )


def test_requests_of_the_namespace_in_that_time_are_counted_each_once() -> None:
    lines = [
        entry(1, 9),
        entry(2, 10),
        entry(3, 11, stage="ResponseStarted"),
        entry(3, 11),  # a watch has two lines
        entry(4, 12, user="system:serviceaccount:ml:distributed-tuner-pods"),
        entry(5, 12, user="system:serviceaccount:mlops:distributed-tuner"),
        entry(6, 12, user="system:serviceaccount:kube-system:job-controller"),
        entry(7, 20),
    ]
    assert count(lines, "ml", 10.0, 20.0) == 3


def test_only_service_accounts_are_written_down(tmp_path: Path) -> None:
    log = AuditLog(tmp_path)
    (first, last) = json.loads((tmp_path / "audit-policy.json").read_text())["rules"]
    assert first["userGroups"] == ["system:serviceaccounts"] and last == {"level": "None"}
    (options,) = log.options.values()
    assert options == [f"--audit-policy-file={tmp_path}/audit-policy.json", f"--audit-log-path={tmp_path}/audit.log"]


def test_it_measures_as_promised_what_the_project_promises() -> None:
    assert (cluster.FULL.workers, cluster.FULL.simulated) == (8, (8, 100, 500))
