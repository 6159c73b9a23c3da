"""Refusals of the API server, explained to the person who can fix them."""

from __future__ import annotations

import re

from custom_components.distributed_tuner.cluster.base import ClusterError

ROLE_MANIFEST = "deploy/role.yaml"

# The user that the API server assigns to a client without credentials.
_NOBODY = "system:anonymous"

_RBAC = re.compile(
    r'User "(?P<user>[^"]+)" cannot (?P<verb>\w+) resource "(?P<resource>[^"]+)" in API group "(?P<group>[^"]*)"'
    r'(?: in the namespace "(?P<namespace>[^"]+)")?'
)


# What a quota may count although pods set it only if configured, and the setting that does.
_QUOTA_SETTINGS = {r"limits\.cpu": "cpu_limit", r"(requests|limits)\.ephemeral-storage": "ephemeral_storage"}
# The request that exceeded a quota: only the resources that exceed it are listed.
_REQUESTED = re.compile(r"exceeded quota: .*?requested: (?P<what>.*?)(, used: |$)")
# Objects that a quota can count without `count/`; with fewer workers there are fewer pods.
_COUNTED = ("secrets", "services", "configmaps", "persistentvolumeclaims", "replicationcontrollers", "resourcequotas")
_PODS = ("pods", "count/pods")
_PRIORITY = re.compile(r"no PriorityClass with name (?P<name>\S+) was found")


class ApiError(ClusterError):
    """The API server answered with an error.

    Attributes:
      code: the HTTP status.
      reason: Kubernetes' name for the error, such as `AlreadyExists`.
      message: the server's message.
      retry_after: seconds that the server asks to wait, None if it does not say.
    """

    def __init__(self, code: int, reason: str, message: str, retry_after: float | None = None, what: str = "") -> None:
        super().__init__(explain(code, message, what))
        self.code = code
        self.reason = reason
        self.message = message
        self.retry_after = retry_after

    @property
    def lacks_right(self) -> bool:
        """Whether no role grants what was asked for."""
        return self.code == 403 and _RBAC.search(self.message) is not None


class ApiUnavailable(ClusterError):
    """The API server did not answer within the client's patience."""


def explain(code: int, message: str, what: str = "") -> str:
    """What was refused, where, and what to do.

    Args:
      code: the HTTP status; 0 for a refusal reported in an event.
      message: the API server's message.
      what: the request, such as `POST /apis/batch/v1/namespaces/ml/jobs`.
    """
    at = f" ({what})" if what else ""
    rbac = _RBAC.search(message)
    if rbac and rbac["user"] == _NOBODY:
        return (
            f"no credentials were sent{at}: the API server takes this client for {_NOBODY}. The kubeconfig's user has "
            "neither token, certificate nor plugin. For GKE, gcloud container clusters get-credentials CLUSTER makes "
            "the kubeconfig anew"
        )
    if rbac:
        resource = rbac["resource"] + (f".{rbac['group']}" if rbac["group"] else "")
        named = rbac["namespace"]
        namespace = named or "any namespace"
        return (
            f"{rbac['user']} may not {rbac['verb']} {resource} in namespace {namespace}. The Role in {ROLE_MANIFEST} "
            f"grants it: set `namespace: {named or '…'}` in deploy/kustomization.yaml, kubectl apply "
            "--kustomize deploy/, and run the step as the service account distributed-tuner"
            + (f". Or there is no namespace {namespace}: those without the right are not told" if named else "")
        )
    unset = [
        setting for resource, setting in _QUOTA_SETTINGS.items() if re.search(rf"must specify .*{resource}", message)
    ]
    if unset:
        return (
            f"the namespace's ResourceQuota refuses it: {message}. Set {' and '.join(unset)} of the chief and of each "
            "group, or have a LimitRange of the namespace set defaults"
        )
    if counted := _counted(message):
        return (
            f"the namespace's ResourceQuota refuses it: {message}. It limits how many {' and '.join(counted)} the "
            "namespace has, whatever their size: have the quota raised, or remove others that nobody needs"
        )
    if "exceeded quota" in message or "failed quota" in message:
        return (
            f"the namespace's ResourceQuota refuses it: {message}. Ask for fewer workers or smaller ones (count, cpu, "
            "memory, gpu), or have the quota raised"
        )
    if "violates PodSecurity" in message:
        return (
            f"the namespace's Pod Security Standard refuses the pod: {message}. The search's own pods keep to the "
            "restricted one; look for what volumes or an admission webhook add"
        )
    if "admission webhook" in message:
        return f"an admission webhook refuses it: {message}. The webhook's owner knows what it wants"
    if "ValidatingAdmissionPolicy" in message:
        return f"an admission policy of the cluster refuses it: {message}. Whoever made the policy knows what it wants"
    if "LimitRange" in message or "usage per Container" in message or "usage per Pod" in message:
        return f"the namespace's LimitRange refuses it: {message}. Change cpu or memory of the group"
    missing = re.search(r'namespaces "([^"]+)" not found', message)
    if missing:
        return f"there is no namespace {missing[1]}{at}: kubectl create namespace {missing[1]}, or set another one"
    priority = _PRIORITY.search(message)
    if priority:
        return (
            f"there is no PriorityClass {priority['name']}: correct priority_class of the group or chief, or have the "
            f"class made (kubectl get priorityclasses lists those that are there). ({message})"
        )
    account = re.search(r'serviceaccount "([^"]+)" not found', message)
    if account:
        return (
            f"there is no service account {account[1]}: kubectl apply --kustomize deploy/ makes the search's own; or "
            f"set service_account. ({message})"
        )
    if code == 401:
        return f"the API server does not know this client{at}: {message}. Its token or certificate is wrong or expired"
    if code == 422:
        return f"the API server calls the manifest invalid{at}: {message}. Compare the settings of the group or chief"
    return f"the API server refused{at}: {code} {message}"


def _counted(message: str) -> list[str]:
    """The kinds whose object count exceeds a quota; empty if the quota is on pods or their resources."""
    match = _REQUESTED.search(message)
    if match is None:
        return []
    names = [entry.partition("=")[0].strip() for entry in match["what"].split(",")]
    if any(name in _PODS or not (name.startswith("count/") or name.split(".")[0] in _COUNTED) for name in names):
        return []
    return list(dict.fromkeys(name.removeprefix("count/") for name in names))
