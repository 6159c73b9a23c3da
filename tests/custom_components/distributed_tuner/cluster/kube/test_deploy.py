"""What deploy/ grants: enough is shown on a real cluster (tests/cluster), no more than that is shown here."""

from __future__ import annotations

from typing import Any

import yaml

from custom_components.distributed_tuner.cluster.kube.api import errors
from custom_components.distributed_tuner.cluster.kube.settings.options import KubernetesOptions
from tests.repository import ROOT

DEPLOY = ROOT / "deploy"


def documents() -> list[dict[str, Any]]:
    listed = yaml.safe_load((DEPLOY / "kustomization.yaml").read_text("utf-8"))["resources"]
    assert sorted(listed) == sorted(path.name for path in DEPLOY.glob("*.yaml") if path.name != "kustomization.yaml")
    return [document for name in listed for document in yaml.safe_load_all((DEPLOY / name).read_text("utf-8"))]


def test_all_rights_are_in_one_namespace_and_each_verb_is_named() -> None:
    assert {document["kind"] for document in documents()} == {"ServiceAccount", "Role", "RoleBinding", "NetworkPolicy"}
    (role,) = [document for document in documents() if document["kind"] == "Role"]
    for rule in role["rules"]:
        assert "*" not in {*rule["apiGroups"], *rule["resources"], *rule["verbs"]}
    granted = {resource: set(rule["verbs"]) for rule in role["rules"] for resource in rule["resources"]}
    assert granted["secrets"] == {"create", "get", "delete"}, "whoever may list Secrets reads all of the namespace"
    assert not {"create", "update", "patch"} & granted["pods"]
    assert granted["pods/status"] == {"patch"}
    assert not {"pods/exec", "roles", "rolebindings"} & set(granted)


def test_only_the_step_has_rights_and_pods_get_no_token() -> None:
    accounts = {d["metadata"]["name"]: d for d in documents() if d["kind"] == "ServiceAccount"}
    pods = KubernetesOptions.from_mapping({"image": "i"}).service_account
    assert set(accounts) == {"distributed-tuner", pods}
    assert accounts[pods]["automountServiceAccountToken"] is False
    (binding,) = [document for document in documents() if document["kind"] == "RoleBinding"]
    assert [subject["name"] for subject in binding["subjects"]] == ["distributed-tuner"]


def test_no_object_names_a_namespace() -> None:
    assert all("namespace" not in document["metadata"] for document in documents())


def test_the_file_that_refusals_point_to_is_there() -> None:
    assert (DEPLOY.parent / errors.ROLE_MANIFEST).is_file()
