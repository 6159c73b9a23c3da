"""Objects that the tests make, and what they look at. All take an `Api` and a namespace, and work on any cluster."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tests.harness.cluster.kubernetes.api import Api, Object
from tests.harness.cluster.kubernetes.errors import ApiError
from tests.harness.cluster.kubernetes.waiting import until

#: What the restricted Pod Security Standard asks of a pod, and of its containers.
RESTRICTED_POD: Object = {
    "runAsNonRoot": True,
    "runAsUser": 1000,
    "fsGroup": 1000,
    "seccompProfile": {"type": "RuntimeDefault"},
}
RESTRICTED_CONTAINER: Object = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "readOnlyRootFilesystem": True,
}
#: A pod that was evicted, preempted or lost with its node does not count against the Job's backoffLimit.
IGNORE_DISRUPTIONS: Object = {
    "rules": [{"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}]
}
#: Pods leave a lost node after a second, not after the default of five minutes.
LEAVE_LOST_NODES: list[Object] = [
    {"key": f"node.kubernetes.io/{trouble}", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 1}
    for trouble in ("unreachable", "not-ready")
]
#: A shell's command that runs until it is told to end, and then ends with 143 at once. It heeds SIGTERM once it has
#: said so: before that the kernel keeps the signal from a container's first process.
HEEDS = "heeds SIGTERM"
WAIT = f"trap 'exit 143' TERM; echo {HEEDS}; while :; do sleep 0.1; done"


def job_manifest(
    name: str,
    image: str,
    command: Sequence[str],
    *,
    pod: Mapping[str, Any] | None = None,
    container: Mapping[str, Any] | None = None,
    **spec: Any,
) -> Object:
    """A Job of one container called `main`.

    Args:
      name: of the Job, and of the pods' label `app`.
      image: of the container.
      command: of the container.
      pod: more of the pod's spec.
      container: more of the container's.
      **spec: more of the Job's, such as completions=3.
    """
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name},
        "spec": {
            "backoffLimit": 0,
            **spec,
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {
                    "restartPolicy": "Never",
                    "terminationGracePeriodSeconds": 2,
                    "containers": [{"name": "main", "image": image, "command": list(command), **(container or {})}],
                    **(pod or {}),
                },
            },
        },
    }


class Namespace:
    """One namespace of a cluster, and the objects in it.

    Args:
      api: of an identity that may do everything in it.
      name: of the namespace.
      image: that the cluster has, with Python and a shell.
      placement: what each pod's spec has so that it goes to the nodes that are meant.
    """

    def __init__(self, api: Api, name: str, image: str, *, placement: Mapping[str, Any] | None = None) -> None:
        self.api = api
        self.name = name
        self.image = image
        self.placement = dict(placement or {})

    def path(self, kind: str, name: str = "") -> str:
        """Where objects of a kind are, such as path("jobs"), or one of them."""
        group = _GROUPS.get(kind, "api/v1")
        return f"/{group}/namespaces/{self.name}/{kind}" + (f"/{name}" if name else "")

    def run(
        self, name: str, command: Sequence[str] | str, *, pod: Mapping[str, Any] | None = None, **more: Any
    ) -> Object:
        """Creates a Job: `job_manifest` with this namespace's image and placement. A text is a shell's command."""
        argv = ["sh", "-c", command] if isinstance(command, str) else command
        manifest = job_manifest(name, self.image, argv, pod={**self.placement, **(pod or {})}, **more)
        return self.api.create(self.path("jobs"), manifest)

    def job(self, name: str) -> Object:
        """A Job as it is now."""
        return self.api.get(self.path("jobs", name))

    def pods(self, app: str) -> list[Object]:
        """The pods with this label `app`, the oldest first."""
        pods = self.api.items(self.path("pods"), labelSelector=f"app={app}")
        return sorted(pods, key=lambda pod: str(pod["metadata"]["creationTimestamp"]))

    def finish(self, name: str, *, seconds: float = 180.0) -> Object:
        """Waits until a Job has ended, and returns it.

        Raises:
          TimeoutError: it had not after `seconds`.
        """

        def ended() -> Object | None:
            job = self.job(name)
            return job if {"Complete", "Failed"} & set(conditions(job)) else None

        return until(ended, f"the end of Job {name}", seconds=seconds, tell=lambda: self.brief(name))

    def running(self, app: str, count: int = 1, *, seconds: float = 120.0) -> list[Object]:
        """Waits until `count` pods run that nobody has deleted, and returns them.

        Raises:
          TimeoutError: they did not after `seconds`.
        """

        def found() -> list[Object] | None:
            pods = [
                pod
                for pod in self.pods(app)
                if pod["status"]["phase"] == "Running" and "deletionTimestamp" not in pod["metadata"]
            ]
            return pods if len(pods) >= count else None

        return until(found, f"{count} running pods of {app}", seconds=seconds, tell=lambda: self.brief(app))

    def waiting(self, app: str) -> set[str]:
        """The reasons for which containers of `app` have not been started."""
        return {
            one["state"]["waiting"]["reason"]
            for pod in self.pods(app)
            for one in pod["status"].get("containerStatuses", [])
            if "waiting" in one["state"]
        }

    def log(self, pod: Object, **query: object) -> str:
        """A pod's log, through the API."""
        return self.api.text(self.path("pods", f"{pod['metadata']['name']}/log"), **query)

    def said(self, pod: Object, words: str, *, seconds: float = 120.0) -> None:
        """Waits until a pod's log holds these words.

        Raises:
          TimeoutError: it did not after `seconds`.
        """
        until(lambda: words in self.log(pod), f"{words!r} in the log of {pod['metadata']['name']}", seconds=seconds)

    def logs(self, app: str) -> list[str]:
        """The logs of the pods with this label, the oldest first."""
        return [self.log(pod) for pod in self.pods(app)]

    def events(self, reason: str, *, of: str = "") -> list[str]:
        """The messages of events with this reason, of objects whose names begin so."""
        events = self.api.items(self.path("events"), fieldSelector=f"reason={reason}")
        return [event["message"] for event in events if event["involvedObject"]["name"].startswith(of)]

    def evict(self, pod: Object) -> None:
        """Asks for a pod's eviction, as a drain of its node does."""
        name = pod["metadata"]["name"]
        body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name, "namespace": self.name}}
        self.api.create(self.path("pods", f"{name}/eviction"), body)

    def service_account(self, name: str, rules: Sequence[Mapping[str, Sequence[str]]] = ()) -> str:
        """Makes a service account that may do what `rules` say in this namespace, and returns a token of it."""
        self.api.create(self.path("serviceaccounts"), {"metadata": {"name": name}})
        self.api.create(self.path("roles"), {"metadata": {"name": name}, "rules": [dict(rule) for rule in rules]})
        binding = {
            "metadata": {"name": name},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name},
            "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": self.name}],
        }
        self.api.create(self.path("rolebindings"), binding)
        answer = self.api.create(self.path("serviceaccounts", f"{name}/token"), {"spec": {}})
        return str(answer["status"]["token"])

    def brief(self, app: str) -> list[Object]:
        """What the pods of `app` are doing, for messages."""
        return [
            {
                "name": pod["metadata"]["name"],
                "node": pod["spec"].get("nodeName"),
                "deleted": "deletionTimestamp" in pod["metadata"],
                **{key: pod["status"].get(key) for key in ("phase", "reason", "message")},
                "containers": [one["state"] for one in pod["status"].get("containerStatuses", [])],
            }
            for pod in self.pods(app)
        ]


_GROUPS = {
    "jobs": "apis/batch/v1",
    "roles": "apis/rbac.authorization.k8s.io/v1",
    "rolebindings": "apis/rbac.authorization.k8s.io/v1",
    "networkpolicies": "apis/networking.k8s.io/v1",
    "endpointslices": "apis/discovery.k8s.io/v1",
    "poddisruptionbudgets": "apis/policy/v1",
}


def conditions(thing: Object) -> dict[str, str]:
    """The conditions of an object that hold, each with its reason."""
    held = [one for one in thing["status"].get("conditions", []) if one["status"] == "True"]
    return {one["type"]: one.get("reason", "") for one in held}


def make_namespace(
    api: Api,
    name: str,
    image: str,
    *,
    labels: Mapping[str, str] | None = None,
    placement: Mapping[str, Any] | None = None,
) -> Namespace:
    """Creates a namespace that is ready for pods."""
    api.create("/api/v1/namespaces", {"metadata": {"name": name, "labels": dict(labels or {})}})
    namespace = Namespace(api, name, image, placement=placement)

    def ready() -> bool:
        try:
            api.get(namespace.path("serviceaccounts", "default"))
            api.get(namespace.path("configmaps", "kube-root-ca.crt"))
        except ApiError as error:
            if error.status == 404:
                return False
            raise
        return True

    until(ready, f"the service account of namespace {name}")
    return namespace
