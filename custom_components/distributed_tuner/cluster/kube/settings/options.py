"""How a search runs on Kubernetes, as the user sets it and as JSON carries it."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

import pydantic
from pydantic import Field

from custom_components.distributed_tuner.cluster.base import ClusterError
from custom_components.distributed_tuner.cluster.kube.settings import syntax
from custom_components.distributed_tuner.cluster.kube.settings.groups import PodSettings, WorkerGroup
from custom_components.distributed_tuner.cluster.kube.settings.strict import Strict
from custom_components.distributed_tuner.cluster.kube.settings.volumes import Volume
from custom_components.distributed_tuner.record.costs import Price
from custom_components.distributed_tuner.storage import BUCKET_SCHEME

KIND = "kubernetes"


class KubernetesOptionsError(ClusterError, ValueError):
    """A setting of the Kubernetes cluster is unknown or out of its range."""


class KubernetesOptions(Strict):
    """Where and how chief and workers run.

    Attributes:
      image: the container image of chief and workers; it contains this package and the user's module.
      namespace: where chief and workers run; None takes the step's own, or that of the kubeconfig's context.
      groups: the workers, see `WorkerGroup`. At most one leaves its count open and gets the rest of `num_workers`.
      chief: the chief's pod.
      volumes: of chief and workers; the search directory must be on one of them, at the same path for all, or in a
        bucket.
      service_account: of chief and workers. They need no right to the API; it is for what they read elsewhere.
      image_pull_secrets: names of Secrets.
      port: the port that the chief listens on.
      pending_seconds: how long the chief, or all workers, may wait for a machine before the search gives up.
      api_patience_seconds: how long the API server may be unreachable before the search gives up.
      node_loss_seconds: how long a node may be unreachable before its pods are given up; they are replaced when their
        grace is over too.
      ttl_seconds: how long a finished Job is kept if nobody removes it, because the step died.
      linger_seconds: how long a chief whose search is over stays if nobody fetches its results.
      deserted_seconds: how long a chief stays without any call from the step or workers, whatever the search's state:
        the step is dead, and no worker can start. `ttl_seconds` later the chief's Job is deleted with all that it owns.
      keep_on_failure: whether Jobs and pods of a failed search stay for debugging. They are deleted like those of a
        step that died, after `linger_seconds` or `deserted_seconds` plus `ttl_seconds`, or when the run is repeated.
      run_as_user: the user and group id of the container; not 0.
    """

    image: str = Field(default=..., min_length=1)
    namespace: str | None = None
    groups: tuple[WorkerGroup, ...] = (WorkerGroup(),)
    chief: PodSettings = PodSettings(memory="2Gi")
    volumes: tuple[Volume, ...] = ()
    service_account: str = "distributed-tuner-pods"
    image_pull_secrets: tuple[str, ...] = ()
    port: int = Field(default=50051, ge=1024, le=65535)
    pending_seconds: float = Field(default=900.0, gt=0)
    # Without changes a watch is silent for half a minute.
    api_patience_seconds: float = Field(default=600.0, ge=60.0)
    node_loss_seconds: int = Field(default=30, ge=0, le=syntax.MAX_NUMBER)
    ttl_seconds: int = Field(default=3600, ge=60, le=syntax.MAX_NUMBER)
    linger_seconds: float = Field(default=3600.0, gt=0)
    deserted_seconds: float = Field(default=3600.0, ge=60.0)
    keep_on_failure: bool = False
    run_as_user: int = Field(default=1000, ge=1, le=syntax.MAX_NUMBER)

    _labels = syntax.checked("namespace", by=syntax.dns_label)
    _names = syntax.checked("service_account", by=syntax.dns_name)

    @pydantic.validator("groups")
    def _distinct(cls, groups: tuple[WorkerGroup, ...]) -> tuple[WorkerGroup, ...]:  # noqa: N805
        names = [group.name for group in groups]
        if not names:
            raise ValueError("a search needs at least one group of workers")
        if len(set(names)) < len(names):
            raise ValueError(f"two groups have the same name: {', '.join(names)}")
        if sum(group.count is None for group in groups) > 1:
            raise ValueError("only one group may leave its count open")
        if all(group.count == 0 for group in groups):
            raise ValueError("no group has a worker: raise a count, or leave one open")
        return groups

    @pydantic.validator("image_pull_secrets")
    def _secrets(cls, secrets: tuple[str, ...]) -> tuple[str, ...]:  # noqa: N805
        for name in secrets:
            syntax.dns_name(name)
        return secrets

    @pydantic.validator("chief")
    def _no_gpu(cls, chief: PodSettings) -> PodSettings:  # noqa: N805
        if chief.gpu is not None:
            raise ValueError("gpu: the chief trains nothing")
        return chief

    @pydantic.root_validator(skip_on_failure=True)
    def _volumes_once(cls, values: dict[str, Any]) -> dict[str, Any]:  # noqa: N805
        for place, pod in [("chief", values["chief"]), *((f"groups {g.name}", g) for g in values["groups"])]:
            volumes = [*values["volumes"], *pod.volumes]
            names = [volume.name for volume in volumes]
            if len(set(names)) < len(names):
                raise ValueError(f"{place}: two volumes have the same name: {', '.join(names)}")
            paths = [syntax.normal(volume.mount_path) for volume in volumes]
            if len(set(paths)) < len(paths):
                raise ValueError(f"{place}: two volumes are mounted at the same path: {', '.join(paths)}")
            for outer, inner in itertools.permutations(volumes, 2):
                if not outer.takes(inner):
                    raise ValueError(
                        f"{place}: volume {inner.name} at {inner.mount_path} lies in volume {outer.name} at "
                        f"{outer.mount_path}, which is read-only: nothing can be mounted there"
                    )
        return values

    def counts(self, workers: int) -> dict[str, int]:
        """How many workers each group has; groups with a count of their own keep it.

        Args:
          workers: how many are wanted in all.

        Raises:
          KubernetesOptionsError: none are left for a group with a queue.
        """
        fixed = sum(group.count or 0 for group in self.groups)
        counts = {group.name: max(0, workers - fixed) if group.count is None else group.count for group in self.groups}
        for group in self.groups:
            if group.queue and not counts[group.name]:
                # Its Job could not stay suspended: Kueue resumes the Jobs that it admits, and an empty one is complete.
                raise KubernetesOptionsError(
                    f"groups {group.name}: count: none of the {workers} workers (num_workers) is left for it, and a "
                    "group in a queue needs at least one. Raise num_workers, lower another group's count, or leave "
                    "this group out"
                )
        return counts

    def check_root(self, root: str) -> None:
        """Checks that chief and workers find the search directory at the step's path; a bucket is the same everywhere.

        Args:
          root: the path or gs:// address of the search directory.

        Raises:
          KubernetesOptionsError: a pod has no writable volume there.
        """
        if root.startswith(BUCKET_SCHEME):
            return
        for place, pod in [("chief", self.chief), *((f"group {group.name}", group) for group in self.groups)]:
            volumes = [volume for volume in (*self.volumes, *pod.volumes) if volume.shared]
            if not any(PurePosixPath(root).is_relative_to(PurePosixPath(volume.mount_path)) for volume in volumes):
                mounted = ", ".join(sorted(volume.mount_path for volume in volumes)) or "none"
                raise KubernetesOptionsError(
                    f"{place}: no volume that it may write to and shares holds the search directory, which is below "
                    f"{root} (such volumes: {mounted}). Mount one there, in the pipeline's step too, or have the "
                    "pipeline root in a bucket (gs://…)"
                )

    def prices(self) -> dict[str, Price]:
        """The prices of the groups, by name, if the user gave any."""
        return {
            group.name: Price(group.price_per_hour, group.on_demand_price_per_hour)
            for group in self.groups
            if group.price_per_hour is not None
        }

    def to_json(self) -> str:
        """The settings that differ from their defaults, as a JSON object."""
        return self.json(exclude_defaults=True, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> KubernetesOptions:
        """Reads what `to_json` wrote.

        Raises:
          KubernetesOptionsError: the text is no JSON object, or a setting is unknown or out of range.
        """
        try:
            values = json.loads(text)
        except json.JSONDecodeError as error:
            raise KubernetesOptionsError(f"the settings of the Kubernetes cluster are no JSON: {error}") from error
        return cls.from_mapping(values)

    @classmethod
    def from_mapping(cls, values: Any) -> KubernetesOptions:
        """Validates settings in their JSON form; ignores the key `kind`.

        Raises:
          KubernetesOptionsError: a setting is unknown or out of range; each is named.
        """
        if not isinstance(values, Mapping):
            raise KubernetesOptionsError(
                f"the settings of the Kubernetes cluster: expected an object, got {type(values).__name__}"
            )
        try:
            return cls(**{str(key): value for key, value in values.items() if key != "kind"})
        except pydantic.ValidationError as error:
            faults = "; ".join(_fault(entry) for entry in error.errors())
            raise KubernetesOptionsError(f"setting of the Kubernetes cluster: {faults}") from None


def _fault(entry: Mapping[str, Any]) -> str:
    parts = [f"[{part}]" if isinstance(part, int) else f".{part}" for part in entry["loc"] if part != "__root__"]
    message = {
        "extra fields not permitted": "unknown setting",
        "field required": "missing",
    }.get(entry["msg"], entry["msg"])
    return f"{''.join(parts).lstrip('.')}: {message}" if parts else str(message)
