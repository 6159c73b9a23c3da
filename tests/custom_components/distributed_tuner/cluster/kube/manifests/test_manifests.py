"""The manifests as they are sent, against files that a person has read.

After a wanted change UPDATE_GOLDEN=1 make test ARGS=tests/custom_components/distributed_tuner/cluster/kube writes the
files anew; read their diff before it is committed.
"""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path
from typing import Any

import pytest
import typer.testing
import yaml

from custom_components.distributed_tuner.__main__ import app
from custom_components.distributed_tuner.cluster.kube.manifests import manifests
from custom_components.distributed_tuner.cluster.kube.manifests.names import SearchName
from custom_components.distributed_tuner.cluster.kube.manifests.plan import Plan
from custom_components.distributed_tuner.cluster.kube.settings.groups import WorkerGroup
from custom_components.distributed_tuner.cluster.kube.settings.options import KubernetesOptions

GOLDEN = Path(__file__).with_name("golden")
OWNER = {
    "apiVersion": "v1",
    "kind": "Pod",
    "name": "step",
    "uid": "1",
    "controller": False,
    "blockOwnerDeletion": False,
}


def plan(**settings: Any) -> Plan:
    return Plan(
        search=SearchName("taxi", "monday", "DistributedTuner"),
        namespace="ml",
        root="/runs/search",
        options=KubernetesOptions.from_mapping({"image": "registry.example/tuner:1", **settings}),
        grace_seconds=24.5,
        lock_seconds=300.0,
        attempt="a1",
        callers={"podSelector": {"matchLabels": {"workflow": "w"}}},
    )


def render(name: str) -> str:
    arguments = ["render", str(GOLDEN / f"{name}.json"), "--pipeline", "taxi", "--run", "Monday_1", "--directory"]
    result = typer.testing.CliRunner().invoke(app, [*arguments, "/runs/search", "--workers", "8"])
    assert result.exit_code == 0, result.output
    return result.stdout


def everything() -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((GOLDEN / "everything.yaml").read_text("utf-8")))


@pytest.mark.parametrize("name", ["smallest", "everything"])
def test_the_manifests_are_those_that_were_read(name: str) -> None:
    file = GOLDEN / f"{name}.yaml"
    now = render(name)
    if os.environ.get("UPDATE_GOLDEN"):
        file.write_text(now, "utf-8")
    assert now == file.read_text("utf-8"), "the manifests changed; see the top of this test"


def pods() -> list[dict[str, Any]]:
    return [document["spec"]["template"] for document in everything() if document["kind"] == "Job"]


def test_every_pod_keeps_to_the_restricted_pod_security_standard() -> None:
    assert len(pods()) == 4
    for pod in pods():
        spec = pod["spec"]
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert spec["automountServiceAccountToken"] is False
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(spec)
        for container in spec["containers"]:
            context = container["securityContext"]
            assert context["allowPrivilegeEscalation"] is False and context["readOnlyRootFilesystem"] is True
            assert context["capabilities"] == {"drop": ["ALL"]}


def test_secrets_are_files_that_only_the_pod_reads_and_each_side_has_its_own() -> None:
    chief, *workers = [pod["spec"]["volumes"][0]["secret"] for pod in pods()]
    assert chief["defaultMode"] == 0o400 and {worker["defaultMode"] for worker in workers} == {0o400}
    assert {worker["secretName"] for worker in workers} != {chief["secretName"]}
    held = {
        document["metadata"]["name"]: set(document["stringData"])
        for document in everything()
        if document["kind"] == "Secret"
    }
    assert held == {chief["secretName"]: {"token", "tls.crt", "tls.key"}, workers[0]["secretName"]: {"token", "ca.crt"}}
    for pod in pods():
        text = json.dumps(pod["spec"]["containers"])
        assert "secretKeyRef" not in text and "TOKEN" not in text


def test_own_labels_and_environment_win_over_the_users() -> None:
    for settings in ({"labels": {"distributed-tuner/search": "x"}}, {"env": {"HOME": "/root-dir"}}):
        with pytest.raises(ValueError, match="the search itself"):
            WorkerGroup.parse_obj(settings)


def test_owners_are_on_every_object() -> None:
    made = [
        manifests.chief_job(plan(), [OWNER]),
        manifests.worker_job(plan(), WorkerGroup(), 2, [OWNER]),
        manifests.service(plan(), [OWNER]),
        manifests.network_policy(plan(), [OWNER]),
        manifests.secret(plan(), "chief", {}, [OWNER]),
    ]
    assert all(manifest["metadata"]["ownerReferences"] == [OWNER] for manifest in made)
    assert "ownerReferences" not in manifests.service(plan())["metadata"]


def test_a_group_of_none_waits_suspended_and_not_as_a_finished_job() -> None:
    job = manifests.worker_job(plan(), WorkerGroup(), 0)
    assert job["spec"]["suspend"] is True and job["spec"]["completions"] == 1
    assert "suspend" not in manifests.worker_job(plan(), WorkerGroup(), 3)["spec"]


def test_a_disruption_costs_nothing_and_a_fatal_end_is_final() -> None:
    for job, action in (
        (manifests.chief_job(plan()), "FailJob"),
        (manifests.worker_job(plan(), WorkerGroup(), 1), "FailIndex"),
    ):
        fatal, disruption, restart = job["spec"]["podFailurePolicy"]["rules"]
        assert fatal["action"] == action and 70 in fatal["onExitCodes"]["values"]
        assert disruption["action"] == "Ignore" and disruption["onPodConditions"][0]["type"] == "DisruptionTarget"
        assert restart["action"] == "Ignore" and restart["onExitCodes"]["values"] == [71, 75, 76, 143]


def test_the_policy_lets_workers_and_the_step_in_and_nobody_else() -> None:
    (rule,) = manifests.network_policy(plan())["spec"]["ingress"]
    assert [peer["podSelector"]["matchLabels"] for peer in rule["from"]] == [
        {"distributed-tuner/search": plan().search.name},
        {"workflow": "w"},
    ]
    assert rule["ports"] == [{"protocol": "TCP", "port": 50051}]


def test_the_policies_are_those_that_were_read() -> None:
    """For each place of a step, see `place.find`."""
    workflow = {"podSelector": {"matchLabels": {"workflows.argoproj.io/workflow": "w"}}}
    elsewhere = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kubeflow"}}}
    places = [workflow, None, {**elsewhere, **workflow}, {**elsewhere, "podSelector": {}}]
    policies = [manifests.network_policy(dataclasses.replace(plan(), callers=callers)) for callers in places]
    file = GOLDEN / "network_policies.yaml"
    now = yaml.safe_dump_all([policy["spec"] for policy in policies], sort_keys=False)
    if os.environ.get("UPDATE_GOLDEN"):
        file.write_text(now, "utf-8")
    assert now == file.read_text("utf-8"), "the manifests changed; see the top of this test"
