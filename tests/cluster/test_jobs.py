"""What the search relies on of Jobs, on any cluster."""

from __future__ import annotations

from tests.cluster.objects import Namespace, conditions


def test_a_job_completes_and_its_log_is_read_through_the_api(namespace: Namespace) -> None:
    namespace.run("greeting", ["python", "-c", "print('hello from a pod')"])
    assert "Complete" in conditions(namespace.finish("greeting"))
    assert namespace.logs("greeting") == ["hello from a pod\n"]
