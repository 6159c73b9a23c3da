"""A node whose pods are processes of this machine: what a kubelet says and does, without a container engine."""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tests.certificates import Authority
from tests.harness.cluster.kubernetes.api import MERGE, Api, Object
from tests.harness.cluster.kubernetes.errors import ApiError
from tests.harness.cluster.kubernetes.waiting import until
from tests.harness.cluster.machine.namespaces import MACHINE
from tests.harness.cluster.node.images import Image
from tests.harness.cluster.node.log_server import LogServer
from tests.harness.cluster.pod.host import Addresses, PodHost
from tests.harness.cluster.pod.process_pod import ProcessPod
from tests.harness.cluster.pod.status import now

CAPACITY = {"cpu": "8", "memory": "16Gi", "pods": "100", "ephemeral-storage": "50Gi"}

_LABELS = {"kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64"}
_LEASE_SECONDS = 4
_HEARTBEAT_SECONDS = 1.0
_RETRY_SECONDS = 0.3
# A controller manager hears of nothing for a minute or so after the API server was away.
_ADDRESSES_SECONDS = 240.0
_SHUTDOWN_MESSAGE = "Pod was terminated in response to imminent node shutdown."


class ProcessNode:
    """One node.

    Args:
      api: asks as the node.
      name: of the node.
      folder: for its pods' files.
      authority: signs the certificate of its log server.
      images: name to what it stands for. It may change: a missing image is tried again.
      labels: besides those that every node has.
      taints: that keep pods away.
      capacity: replaces or adds to CAPACITY, such as {"nvidia.com/gpu": "1"}.
      make_pod: what its pods are.
    """

    def __init__(
        self,
        api: Api,
        name: str,
        folder: Path,
        authority: Authority,
        *,
        images: Mapping[str, Image],
        labels: Mapping[str, str] | None = None,
        taints: Sequence[Mapping[str, str]] = (),
        capacity: Mapping[str, str] | None = None,
        make_pod: Callable[[Object, PodHost], ProcessPod] = ProcessPod,
    ) -> None:
        self.name = name
        self._make_pod = make_pod
        self._api = api
        self._dead = threading.Event()
        self._silent = threading.Event()
        self._pods: dict[str, ProcessPod] = {}
        self._ending: dict[str, float] = {}  # uid to the grace that its pod was given last
        self._lock = threading.Lock()
        self._capacity = {**CAPACITY, **(capacity or {})}
        folder.mkdir(parents=True, mode=0o700)
        certificate = authority.issue(f"node-{name}", user=f"system:node:{name}", hosts=[MACHINE, name])
        self._logs = LogServer(self._find_log, certificate, authority.certificate)
        self._register(labels or {}, taints)
        network = until(
            self._network, f"node {name}: addresses from the controller manager", seconds=_ADDRESSES_SECONDS
        )
        self._host = PodHost(name, api, folder, images, Addresses(network), dead=self._dead)
        self._say_ready()
        self._thread(self._beat)
        self._thread(self._follow)

    def die(self) -> None:
        """The machine is gone from one moment to the next: no heartbeat, no status, no processes."""
        self._dead.set()
        self._logs.close()
        with self._lock:
            pods = list(self._pods.values())
        for pod in pods:
            pod.vanish()

    def crash(self, uid: str) -> None:
        """Kills the containers of a pod, if it is one of this node."""
        with self._lock:
            pod = self._pods.get(uid)
        if pod is not None:
            pod.crash()

    def preempt(self, grace: float = 2.0) -> None:
        """The machine is taken away in good order, as a cloud takes a spot machine.

        The node says that it is not ready, its pods get SIGTERM and `grace` seconds and end as Failed with a
        DisruptionTarget condition, the machine is gone.
        """
        with self._lock:
            pods = [pod for pod in self._pods.values() if not pod.over.is_set()]
            self._silent.set()  # no new pods, no more "ready"
        self._write_status(ready=False, reason="KubeletNotReady", message="node is shutting down")
        end = {"disruption": "TerminationByKubelet", "reason": "Terminated", "message": _SHUTDOWN_MESSAGE}
        threads = [self._thread(pod.end, grace, **end) for pod in pods]
        for thread in threads:
            thread.join()
        self.die()

    def cut_off(self) -> None:
        """The node's network to the API server fails: its pods run on, it says nothing and hears nothing."""
        self._silent.set()

    def reconnect(self) -> None:
        """After `cut_off`."""
        self._silent.clear()

    def _register(self, labels: Mapping[str, str], taints: Sequence[Mapping[str, str]]) -> None:
        node = {
            "metadata": {"name": self.name, "labels": {"kubernetes.io/hostname": self.name, **_LABELS, **labels}},
            "spec": {"taints": [dict(taint) for taint in taints]},
        }
        self._api.create("/api/v1/nodes", node)
        lease = {
            "metadata": {"name": self.name},
            "spec": {
                "holderIdentity": self.name,
                "leaseDurationSeconds": _LEASE_SECONDS,
                "renewTime": now(precise=True),
            },
        }
        try:
            self._api.create("/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases", lease)
        except ApiError as error:
            if error.status != 409:  # of an earlier node of this name
                raise

    def _network(self) -> str:
        return str(self._api.get(f"/api/v1/nodes/{self.name}")["spec"].get("podCIDR", ""))

    def _say_ready(self) -> None:
        self._write_status(ready=True, reason="KubeletReady", message="process node is ready")

    def _write_status(self, *, ready: bool, reason: str, message: str) -> None:
        time = now()
        condition = {
            "type": "Ready",
            "status": str(ready),
            "reason": reason,
            "message": message,
            "lastHeartbeatTime": time,
            "lastTransitionTime": time,
        }
        unknown = dict.fromkeys(("bootID", "machineID", "systemUUID", "kubeProxyVersion"), "")
        info = {
            **unknown,
            "kubeletVersion": "v0.0.0-process-node",
            "osImage": "processes of this machine",
            "kernelVersion": os.uname().release,
            "containerRuntimeVersion": "process://1",
            "architecture": "amd64",
            "operatingSystem": "linux",
        }
        status = {
            "capacity": self._capacity,
            "allocatable": self._capacity,
            "addresses": [{"type": "InternalIP", "address": MACHINE}, {"type": "Hostname", "address": self.name}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": self._logs.port}},
            "nodeInfo": info,
            "conditions": [condition],
        }
        self._api.patch(f"/api/v1/nodes/{self.name}/status", {"status": status})

    def _beat(self) -> None:
        path = f"/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/{self.name}"
        while not self._dead.wait(_HEARTBEAT_SECONDS):
            if self._silent.is_set():
                continue
            try:
                self._api.patch(path, {"spec": {"renewTime": now(precise=True)}}, MERGE)
                conditions = self._api.get(f"/api/v1/nodes/{self.name}")["status"].get("conditions", [])
                if not any(one["type"] == "Ready" and one["status"] == "True" for one in conditions):
                    self._say_ready()  # it was silent for too long
            except ApiError:
                continue  # the API server is away: the next beat tries again

    def _follow(self) -> None:
        while not self._dead.is_set():
            try:
                for kind, pods in self._api.watch(
                    "/api/v1/pods", self._dead, fieldSelector=f"spec.nodeName={self.name}"
                ):
                    if self._dead.is_set():
                        return
                    if self._silent.is_set():
                        break
                    self._apply(kind, pods)
            except ApiError:
                pass  # the API server is away: list again
            self._dead.wait(_RETRY_SECONDS)

    def _apply(self, kind: str, pods: list[Object]) -> None:
        there = {pod["metadata"]["uid"] for pod in pods}
        with self._lock:
            known = set(self._pods)
        gone = known - there if kind == "LISTED" else there if kind == "DELETED" else set()
        for uid in gone:
            self._forget(uid)
        if kind != "DELETED":
            for pod in pods:
                self._see(pod)

    def _see(self, pod: Object) -> None:
        uid = pod["metadata"]["uid"]
        deleted = bool(pod["metadata"].get("deletionTimestamp"))
        with self._lock:
            if self._dead.is_set() or self._silent.is_set():
                return
            mine = self._pods.get(uid)
            if mine is None:
                if pod["status"]["phase"] != "Pending":
                    # It ran on an earlier node of this name, and did not survive that.
                    if deleted:
                        self._thread(self._remove, pod)
                    return
                mine = self._pods[uid] = self._make_pod(pod, self._host)
                self._thread(mine.run)
            mine.pod = pod
            if mine.sees_itself_misjudged():
                self._thread(mine.report)
            grace = float(pod["metadata"].get("deletionGracePeriodSeconds") or 0)
            if not deleted or self._ending.get(uid, math.inf) <= grace:
                return
            self._ending[uid] = grace
        self._thread(self._end, mine, grace)

    def _end(self, pod: ProcessPod, grace: float) -> None:
        pod.end(grace)
        self._remove(pod.pod)

    def _remove(self, pod: Object) -> None:
        """Tells the API server that nothing of a deleted pod is left."""
        metadata = pod["metadata"]
        while not self._dead.is_set():
            try:
                path = f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}"
                self._api.delete(path, grace=0, uid=metadata["uid"])
                return
            except ApiError:
                self._dead.wait(_RETRY_SECONDS)

    def _forget(self, uid: str) -> None:
        with self._lock:
            pod = self._pods.pop(uid, None)
            self._ending.pop(uid, None)
        if pod is not None and not pod.over.is_set():
            self._thread(pod.end, 0.0)

    def _find_log(
        self, namespace: str, name: str, container: str, previous: bool
    ) -> tuple[Path, Callable[[], bool]] | None:
        with self._lock:
            pods = [
                pod
                for pod in self._pods.values()
                if (pod.pod["metadata"]["namespace"], pod.pod["metadata"]["name"]) == (namespace, name)
            ]
        if not pods:
            return None
        path = pods[-1].log(container, previous=previous)
        return None if path is None else (path, lambda: pods[-1].over.is_set() or self._dead.is_set())

    def _thread(self, target: Callable[..., object], *args: object, **options: object) -> threading.Thread:
        thread = threading.Thread(target=target, args=args, kwargs=options, daemon=True, name=f"node-{self.name}")
        thread.start()
        return thread
