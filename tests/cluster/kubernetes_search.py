"""A search on the cluster that a test is about to run, under the rights that deploy/ grants and no others."""

from __future__ import annotations

import dataclasses
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from custom_components.distributed_tuner.cluster.kube import place
from custom_components.distributed_tuner.cluster.kube.api.client import KubernetesApi
from custom_components.distributed_tuner.cluster.kube.cluster import KubernetesCluster
from custom_components.distributed_tuner.cluster.kube.manifests.names import SearchName
from custom_components.distributed_tuner.cluster.kube.place import Place
from custom_components.distributed_tuner.cluster.kube.settings.options import KubernetesOptions
from custom_components.distributed_tuner.host import variables
from custom_components.distributed_tuner.options import SearchOptions
from custom_components.distributed_tuner.record.record import SearchRecord
from custom_components.distributed_tuner.search import run as search
from custom_components.distributed_tuner.spec import SearchSpec
from custom_components.distributed_tuner.storage.search_dir import SearchDir
from tests.harness.cluster.kubernetes.api import Object
from tests.harness.cluster.kubernetes.errors import ApiError
from tests.harness.cluster.kubernetes.objects import Namespace
from tests.harness.cluster.local_cluster import LocalCluster
from tests.repository import ROOT

DEPLOY = ROOT / "deploy"
TUNERS = ROOT / "tests" / "custom_components" / "distributed_tuner"
STEP = "distributed-tuner"
POD_USER = 1000
OPTIONS = SearchOptions(heartbeat_seconds=0.5, lease_seconds=5.0, grace_seconds=5.0)
#: What a search makes, and must leave none of.
KINDS = ("jobs", "pods", "services", "secrets", "networkpolicies")


class KubernetesSearch:
    """A search in a namespace of its own.

    Args:
      cluster: where.
      namespace: that `deploy` has been applied to.
      folder: which pods see at the same path, as the claim `runs`; or an address in a bucket, which takes no volume.
      api: the step's connection to the API server.
      function: of `user_tuners`, or its whole path.
      config: the function's `custom_config`.
      settings: of `KubernetesOptions`, besides image, namespace and the shared folder.
      run: the run's id.
      options: the search's.
    """

    def __init__(
        self,
        cluster: LocalCluster,
        namespace: Namespace,
        folder: Path | str,
        api: KubernetesApi,
        function: str = "waiting",
        config: Mapping[str, Any] | None = None,
        settings: Mapping[str, Any] | None = None,
        run: str = "monday",
        options: SearchOptions = OPTIONS,
    ) -> None:
        self.namespace = namespace
        volumes = []
        if isinstance(folder, Path):
            self.directory = SearchDir(folder / run)
            self.directory.create()
            for shared in (self.directory.root, self.directory.logs):
                os.chown(shared, POD_USER, POD_USER)
            claim = {"persistentVolumeClaim": {"claimName": "runs"}}
            volumes = [{"name": "runs", "mount_path": str(folder), "source": claim}]
        else:
            self.directory = SearchDir(f"{folder}/{run}")
        self.options = options
        path = function if "." in function else f"user_tuners.{function}"
        properties = {"tuner_fn": path, "custom_config": json.dumps(config or {})}
        self.spec = SearchSpec(function, "", properties, self.options)
        env = {
            "PYTHONPATH": f"{TUNERS}{os.pathsep}{TUNERS / 'worker' / 'resume'}",
            # The nodes only claim to have GPUs.
            variables.GPU_CHECK: "off",
            **((settings or {}).get("env") or {}),
        }
        small = {"cpu": "100m", "memory": "512Mi", "env": env}
        values: dict[str, Any] = {
            "image": namespace.image,
            "namespace": namespace.name,
            "groups": [small],
            "chief": small,
            "volumes": volumes,
            "node_loss_seconds": 1,
            **{key: value for key, value in (settings or {}).items() if key != "env"},
        }
        values["groups"] = [{**small, **group} for group in values["groups"]]
        values["chief"] = {**small, **values["chief"]}
        self.name = SearchName("cluster-tests", run, "Tuner")
        self.plan = place.plan(KubernetesOptions.from_mapping(values), self.options, self.name, self.directory.url)
        self.api = api
        self.owners: Sequence[Mapping[str, Any]] = ()
        self.callers: Mapping[str, Any] | None = None
        self.words: list[str] = []
        self.records: list[SearchRecord] = []

    def make_cluster(self) -> KubernetesCluster:
        """What a step makes at its start."""
        return KubernetesCluster(
            dataclasses.replace(self.plan, attempt=os.urandom(4).hex()),
            self.api,
            Place(tuple(self.owners), self.callers),
        )

    def run(
        self,
        workers: int = 2,
        watch: Callable[[SearchRecord], None] | None = None,
        tell: Callable[[str], None] | None = None,
        cluster: KubernetesCluster | None = None,
    ) -> search.Found:
        """Runs to the end; `watch` sees each record that differs from the last."""

        def look(record: SearchRecord, now: float, alive: int) -> None:
            if not self.records or self.records[-1] != record:
                self.records.append(record)
            if watch is not None:
                watch(record)

        def note(words: str) -> None:
            self.words.append(words)
            if tell is not None:
                tell(words)

        return search.run(
            self.spec, self.directory, cluster or self.make_cluster(), workers=workers, watch=look, tell=note
        )

    def pods(self, part: str = "chief") -> list[Object]:
        """The pods of the chief, or of a group."""
        label = "app.kubernetes.io/component=chief" if part == "chief" else f"distributed-tuner/group={part}"
        return self.namespace.api.items(
            self.namespace.path("pods"), labelSelector=f"distributed-tuner/search={self.name.name},{label}"
        )

    def live(self, part: str = "chief") -> list[Object]:
        """Those of them that run and that nobody has deleted."""
        return [
            pod
            for pod in self.pods(part)
            if pod["status"]["phase"] == "Running" and "deletionTimestamp" not in pod["metadata"]
        ]

    def job(self, part: str = "chief") -> Object:
        """The Job of the chief or of a group."""
        return self.namespace.job(f"{self.name.name}-{part}")

    def left(self) -> list[str]:
        """What of the search is in the namespace."""
        selector = f"distributed-tuner/search={self.name.name}"
        return [
            f"{kind}/{one['metadata']['name']}"
            for kind in KINDS
            for one in self.namespace.api.items(self.namespace.path(kind), labelSelector=selector)
        ]

    def ran(self) -> list[str]:
        """The trials that a `Waiting` tuner ran, one entry each time."""
        log = self.directory.root / "ran.log"
        return [line.split()[0] for line in log.read_text().splitlines()] if log.exists() else []


def deploy(namespace: Namespace) -> str:
    """Applies deploy/ to a namespace, as kustomize would, and returns a token of the step's service account."""
    for path in sorted(DEPLOY.glob("*.yaml")):
        for manifest in _documents(path):
            for subject in manifest.get("subjects", ()):
                subject["namespace"] = namespace.name
            _apply(namespace, manifest)
    answer = namespace.api.create(namespace.path("serviceaccounts", f"{STEP}/token"), {"spec": {}})
    return str(answer["status"]["token"])


def connect(url: str, authority: Path, token: str) -> KubernetesApi:
    """A step's connection, with the service account's token."""

    def client() -> Any:
        import kubernetes.client

        configuration = kubernetes.client.Configuration()
        configuration.host = url
        configuration.ssl_ca_cert = str(authority)
        configuration.api_key = {"authorization": f"Bearer {token}"}
        configuration.retries = False
        return kubernetes.client.ApiClient(configuration)

    return KubernetesApi(client, patience_seconds=60.0)


def _documents(path: Path) -> Iterator[Object]:
    for document in yaml.safe_load_all(path.read_text("utf-8")):
        if document["kind"] != "Kustomization":
            yield document


def _apply(namespace: Namespace, manifest: Object) -> None:
    kinds = {
        "ServiceAccount": "serviceaccounts",
        "Role": "roles",
        "RoleBinding": "rolebindings",
        "NetworkPolicy": "networkpolicies",
    }
    ends = time.monotonic() + 30
    while True:
        try:
            namespace.api.create(namespace.path(kinds[manifest["kind"]]), manifest)
        except ApiError as error:
            if error.status != 404 or time.monotonic() > ends:
                raise
            time.sleep(0.1)
        else:
            return
