"""What the pods of a search are made of: groups of workers, the chief, GPUs. Validated and immutable."""

from __future__ import annotations

import re
from typing import Any

import pydantic
from pydantic import Field

from custom_components.distributed_tuner.cluster.kube.settings import syntax
from custom_components.distributed_tuner.cluster.kube.settings.strict import Strict
from custom_components.distributed_tuner.cluster.kube.settings.volumes import Volume
from custom_components.distributed_tuner.host import variables

# A Job's name is SEARCH-GROUP, and its pods' host names add -INDEX: all of it must fit into 63 characters, see `names`.
MAX_GROUP_LENGTH = 15
MAX_WORKERS_OF_GROUP = 10_000
_MAX_PRICE = 1e6

_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

# Set by the manifests themselves.
_OWN_PREFIXES = ("app.kubernetes.io/", "distributed-tuner/", "batch.kubernetes.io/")
# The Jobs' controller sets these too, under their old names.
_OWN_LABELS = ("job-name", "controller-uid")
_OWN_VARIABLES = frozenset({"HOME", variables.PROCESS, variables.INDEX})


class Gpu(Strict):
    """The GPUs of one worker.

    Attributes:
      count: how many.
      type: GKE's name of the accelerator, such as `nvidia-l4`; None takes any.
    """

    count: int = Field(default=1, ge=1, le=16)
    type: str | None = None

    _names = syntax.checked("type", by=syntax.dns_label)


class Toleration(Strict):
    """As in a pod's `tolerations`; `key` None with `Exists` tolerates everything."""

    key: str | None = None
    operator: str = "Equal"
    value: str | None = None
    effect: str | None = None

    _keys = syntax.checked("key", by=lambda text: syntax.key(text, "a taint"))
    _operators = syntax.checked("operator", by=syntax.one_of("Equal", "Exists"))
    _values = syntax.checked("value", by=lambda text: syntax.value(text, "a taint"))
    _effects = syntax.checked("effect", by=syntax.one_of("NoSchedule", "PreferNoSchedule", "NoExecute"))

    @pydantic.root_validator(skip_on_failure=True)
    def _whole(cls, values: dict[str, Any]) -> dict[str, Any]:  # noqa: N805
        if values["operator"] == "Exists" and values["value"] is not None:
            raise ValueError("operator Exists takes no value")
        if values["operator"] == "Equal" and values["key"] is None:
            raise ValueError("operator Equal needs a key; Exists without a key tolerates everything")
        return values


class PodSettings(Strict):
    """What chief and workers have in common.

    Attributes:
      image: the container image; None takes the search's.
      cpu: CPUs requested; the pod may use more if the node has more.
      cpu_limit: CPUs that the pod may not exceed, at least `cpu`; None sets no limit. Only for a namespace whose
        ResourceQuota counts `limits.cpu`: throttling does not make a pod train better.
      memory: memory requested, which is also the limit.
      ephemeral_storage: local disk requested, which is also the limit; None sets neither.
      gpu: GPUs.
      spot: whether the pod runs on GKE's spot nodes, and only there.
      node_selector: labels that a node must have.
      tolerations: taints that the pod tolerates.
      priority_class: name of a PriorityClass.
      env: environment variables. Not for secrets.
      volumes: in addition to those of the search.
      service_account: name of the pod's service account; None takes the search's. Its token is not mounted.
      labels: of the pods.
      annotations: of the pods.
      queue: name of a Kueue LocalQueue that admits the Job.
    """

    image: str | None = Field(default=None, min_length=1)
    cpu: str = "1"
    cpu_limit: str | None = None
    memory: str = "4Gi"
    ephemeral_storage: str | None = None
    gpu: Gpu | None = None
    spot: bool = False
    node_selector: dict[str, str] = Field(default={})
    tolerations: tuple[Toleration, ...] = ()
    priority_class: str | None = None
    env: dict[str, str] = Field(default={})
    volumes: tuple[Volume, ...] = ()
    service_account: str | None = None
    labels: dict[str, str] = Field(default={})
    annotations: dict[str, str] = Field(default={})
    # It is used as the value of a label, too.
    queue: str | None = Field(default=None, max_length=63)

    _cpus = syntax.checked("cpu", "cpu_limit", by=syntax.cpu)
    _sizes = syntax.checked("memory", "ephemeral_storage", by=syntax.size)
    _names = syntax.checked("priority_class", "service_account", "queue", by=syntax.dns_name)

    @pydantic.validator("cpu_limit")
    def _limit_is_enough(cls, limit: str | None, values: dict[str, Any]) -> str | None:  # noqa: N805
        if limit is not None and "cpu" in values and syntax.amount(limit) < syntax.amount(values["cpu"]):
            raise ValueError(f"{limit} is less than cpu, {values['cpu']}")
        return limit

    @pydantic.validator("labels", "node_selector")
    def _labels(cls, labels: dict[str, str]) -> dict[str, str]:  # noqa: N805
        for key, value in labels.items():
            syntax.key(key)
            try:
                syntax.value(value)
            except ValueError as error:
                raise ValueError(f"{key}={error}") from None
        return labels

    @pydantic.validator("annotations")
    def _annotations(cls, annotations: dict[str, str]) -> dict[str, str]:  # noqa: N805
        syntax.check_annotations(annotations)
        return annotations

    @pydantic.validator("labels", "annotations")
    def _not_own(cls, labels: dict[str, str]) -> dict[str, str]:  # noqa: N805
        for key in labels:
            if key.startswith(_OWN_PREFIXES) or key in _OWN_LABELS:
                raise ValueError(f"{key} is set by the search itself")
        return labels

    @pydantic.validator("env")
    def _variables(cls, env: dict[str, str]) -> dict[str, str]:  # noqa: N805
        for name, value in env.items():
            if "\0" in value:
                raise ValueError(f"{name}: a variable's value cannot hold a null character")
            if not _ENV_NAME.fullmatch(name) or name in _OWN_VARIABLES:
                raise ValueError(f"{name!r} is no name of a variable, or one that the search itself sets")
        return env


class WorkerGroup(PodSettings):
    """Workers that are alike: one Indexed Job.

    Attributes:
      name: of the group; its workers are NAME-0, NAME-1, …
      count: how many workers; None takes what other groups leave of `num_workers`. At least one with a `queue`.
      price_per_hour: what the machine of one worker costs per hour, in any currency; if several workers share a node,
        each one's share. Only for the report; None if unknown.
      on_demand_price_per_hour: what the same machine costs on demand, for a group on spot machines.
    """

    name: str = Field(default="worker", max_length=MAX_GROUP_LENGTH)
    count: int | None = Field(default=None, ge=0, le=MAX_WORKERS_OF_GROUP)
    price_per_hour: float | None = Field(default=None, ge=0, le=_MAX_PRICE)
    on_demand_price_per_hour: float | None = Field(default=None, ge=0, le=_MAX_PRICE)

    _labels_of_dns = syntax.checked("name", by=syntax.dns_label)

    @pydantic.validator("name")
    def _not_chief(cls, name: str) -> str:  # noqa: N805
        if name == "chief":
            raise ValueError("'chief' is the name of the chief")
        return name

    @pydantic.validator("count")
    def _some_in_a_queue(cls, count: int | None, values: dict[str, Any]) -> int | None:  # noqa: N805
        if count == 0 and values.get("queue"):
            raise ValueError("a group in a queue needs at least one worker: the queue lets its Job run, not the search")
        return count

    @pydantic.validator("on_demand_price_per_hour")
    def _both(cls, price: float | None, values: dict[str, Any]) -> float | None:  # noqa: N805
        if price is not None and values.get("price_per_hour") is None:
            raise ValueError("needs price_per_hour, which it is compared with")
        return price
