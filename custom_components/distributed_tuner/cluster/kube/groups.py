"""What the pods of a search are made of: groups of workers, the chief, volumes, GPUs. Validated and immutable."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from typing import Any

import pydantic
from pydantic import Field

# A Job's name is SEARCH-GROUP and its pods' host names end in -INDEX: all of it has to fit 63 characters, see `names`.
MAX_GROUP_LENGTH = 15
MAX_WORKERS_OF_GROUP = 10_000
_MAX_PRICE = 1e6

# They end in \Z: $ would let a line's end pass.
_DNS_LABEL = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?\Z"
_DNS_NAME = r"^[a-z0-9]([-.a-z0-9]*[a-z0-9])?\Z"
_QUANTITY = r"^[0-9]+(\.[0-9]+)?(m|k|Ki|M|Mi|G|Gi|T|Ti|P|Pi)?\Z"
_UNITS = ("", "K", "M", "G", "T", "P")
_LABEL_VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")
_LABEL_KEY = re.compile(r"([a-z0-9]([-.a-z0-9]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

# The kinds of volume that the restricted Pod Security Standard allows.
VOLUME_KINDS = (
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "persistentVolumeClaim",
    "projected",
    "secret",
)
# Those that several pods may share; the others are each pod's own, or read-only.
_SHARED_KINDS = ("csi", "persistentVolumeClaim")
# Set by the manifests themselves.
_OWN_PREFIXES = ("app.kubernetes.io/", "distributed-tuner/", "batch.kubernetes.io/")
# The Jobs' controller sets these too, by their old names.
_OWN_LABELS = ("job-name", "controller-uid")
_OWN_VARIABLES = frozenset({"HOME", "DISTRIBUTED_TUNER_PROCESS", "JOB_COMPLETION_INDEX"})
_OWN_PATHS = ("/tmp", "/home/tuner", "/etc/distributed-tuner")

_PLAIN = (bool, int, float, str)


class Strict(pydantic.BaseModel):
    """Refuses unknown fields, and is immutable."""

    class Config:
        """pydantic's."""

        allow_mutation = False
        extra = "forbid"
        validate_all = True

    @pydantic.validator("*", pre=True)
    def _no_conversions(cls, value: Any, field: pydantic.fields.ModelField) -> Any:  # noqa: N805
        """pydantic would make 2 of 2.7 and of "2", and "1" of 1."""
        if isinstance(value, (dict, list, tuple)) and field.type_ is str:
            for place, each in value.items() if isinstance(value, dict) else enumerate(value):
                if not isinstance(each, str):
                    raise ValueError(f"{place}: expected a text, got {each!r}; write it in quotes: {_quoted(each)}")
        if value is None or field.shape != pydantic.fields.SHAPE_SINGLETON:
            return value
        # A field with limits has a type of pydantic's own, derived from int, float or str.
        kind = next((kind for kind in _PLAIN if isinstance(field.type_, type) and issubclass(field.type_, kind)), None)
        right, words = {
            None: (True, ""),
            bool: (isinstance(value, bool), "true or false"),
            int: (type(value) is int, "a whole number"),
            float: (type(value) in (int, float), "a number"),
            str: (isinstance(value, str), "a text"),
        }[kind]
        if not right:
            raise ValueError(f"expected {words}, got {value!r}")
        return value


def _amount(quantity: str) -> Decimal:
    """What a quantity of Kubernetes says: `500m` is 0.5."""
    unit = quantity.lstrip("0123456789.")
    power = -1 if unit == "m" else _UNITS.index(unit[:1].upper())
    return Decimal(quantity[: len(quantity) - len(unit)]) * Decimal(1024 if unit.endswith("i") else 1000) ** power


def _quoted(value: Any) -> str:
    """What a person who wrote this without quotes in YAML meant, mostly."""
    return json.dumps(str(value).lower() if isinstance(value, bool) else str(value))


class Gpu(Strict):
    """The GPUs of one worker.

    Attributes:
      count: how many.
      type: GKE's name of the accelerator, such as `nvidia-l4`; None takes any.
    """

    count: int = Field(default=1, ge=1, le=16)
    type: str | None = Field(default=None, regex=_DNS_LABEL, max_length=63)


class Toleration(Strict):
    """As in a pod's `tolerations`; `key` None with `Exists` tolerates everything."""

    key: str | None = None
    operator: str = Field(default="Equal", regex=r"^(Equal|Exists)\Z")
    value: str | None = None
    effect: str | None = Field(default=None, regex=r"^(NoSchedule|PreferNoSchedule|NoExecute)\Z")

    @pydantic.validator("key")
    def _is_key(cls, key: str | None) -> str | None:  # noqa: N805
        if key is not None and not _LABEL_KEY.fullmatch(key):
            raise ValueError(f"{key!r} is no key of a taint (PREFIX/NAME, NAME of at most 63 letters, digits, -_.)")
        return key

    @pydantic.validator("value")
    def _is_value(cls, value: str | None) -> str | None:  # noqa: N805
        if value is not None and not _LABEL_VALUE.fullmatch(value):
            raise ValueError(f"{value!r}: a taint's value has at most 63 letters, digits, -_.")
        return value

    @pydantic.root_validator(skip_on_failure=True)
    def _whole(cls, values: dict[str, Any]) -> dict[str, Any]:  # noqa: N805
        if values["operator"] == "Exists" and values["value"] is not None:
            raise ValueError("operator Exists takes no value")
        if values["operator"] == "Equal" and values["key"] is None:
            raise ValueError("operator Equal needs a key; Exists without a key tolerates everything")
        return values


class Volume(Strict):
    """A volume of the pod and where its container sees it.

    Attributes:
      name: of the volume.
      mount_path: where it is mounted.
      source: Kubernetes' own words, such as `{"persistentVolumeClaim": {"claimName": "runs"}}`.
      read_only: whether the pod may only read.
      sub_path: the part of the volume that is mounted; all of it if empty.
    """

    name: str = Field(regex=_DNS_LABEL, max_length=63)
    mount_path: str = Field(regex=r"^/[^:\x00]+\Z")
    source: dict[str, Any]
    read_only: bool = False
    sub_path: str = Field(default="", regex=r"^([^/].*)?\Z")

    @property
    def shared(self) -> bool:
        """Whether what one pod writes there is seen by another one, for all that its kind tells."""
        return next(iter(self.source)) in _SHARED_KINDS and not self.read_only

    @pydantic.validator("source")
    def _allowed(cls, source: dict[str, Any]) -> dict[str, Any]:  # noqa: N805
        if len(source) != 1 or next(iter(source)) not in VOLUME_KINDS:
            raise ValueError(
                f"expected exactly one of {', '.join(VOLUME_KINDS)}, got {', '.join(source) or 'nothing'}. These are "
                "the kinds that the restricted Pod Security Standard allows; a host path or an NFS server is reached "
                "through a persistentVolumeClaim"
            )
        return source

    @pydantic.validator("mount_path")
    def _free(cls, path: str) -> str:  # noqa: N805
        if path.rstrip("/") in _OWN_PATHS:
            raise ValueError(f"{path} is taken by the search itself")
        return path

    @pydantic.validator("name")
    def _not_own(cls, name: str) -> str:  # noqa: N805
        if name in ("credentials", "home", "tmp"):
            raise ValueError(f"{name!r} is taken by the search itself")
        return name


class PodSettings(Strict):
    """What chief and workers have in common.

    Attributes:
      image: the container image; None takes the search's.
      cpu: CPUs that the pod asks for; it may use more where there are more.
      cpu_limit: CPUs that it may not exceed, at least `cpu`; None sets no limit. Only for a namespace whose
        ResourceQuota counts `limits.cpu`: a pod that is throttled trains no better.
      memory: memory that it asks for and may not exceed.
      ephemeral_storage: local disk that it asks for and may not exceed; None leaves it open.
      gpu: GPUs.
      spot: whether the pod runs on GKE's spot nodes, and only there.
      node_selector: labels of the nodes that it may run on.
      tolerations: taints that it bears.
      priority_class: name of a PriorityClass.
      env: environment variables. No place for secrets.
      volumes: besides those of the search.
      service_account: name of the pod's service account; None takes the search's. Its token is not mounted.
      labels: of the pods.
      annotations: of the pods.
      queue: name of a Kueue LocalQueue that admits the Job.
    """

    image: str | None = Field(default=None, min_length=1)
    cpu: str = Field(default="1", regex=_QUANTITY)
    cpu_limit: str | None = Field(default=None, regex=_QUANTITY)
    memory: str = Field(default="4Gi", regex=_QUANTITY)
    ephemeral_storage: str | None = Field(default=None, regex=_QUANTITY)
    gpu: Gpu | None = None
    spot: bool = False
    node_selector: dict[str, str] = {}
    tolerations: tuple[Toleration, ...] = ()
    priority_class: str | None = Field(default=None, regex=_DNS_NAME, max_length=253)
    env: dict[str, str] = {}
    volumes: tuple[Volume, ...] = ()
    service_account: str | None = Field(default=None, regex=_DNS_NAME, max_length=253)
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    queue: str | None = Field(default=None, regex=_DNS_NAME, max_length=63)

    @pydantic.validator("cpu_limit")
    def _limit_is_enough(cls, limit: str | None, values: dict[str, Any]) -> str | None:  # noqa: N805
        if limit is not None and "cpu" in values and _amount(limit) < _amount(values["cpu"]):
            raise ValueError(f"{limit} is less than cpu, {values['cpu']}")
        return limit

    @pydantic.validator("labels", "node_selector")
    def _labels(cls, labels: dict[str, str]) -> dict[str, str]:  # noqa: N805
        for key, value in labels.items():
            if not _LABEL_KEY.fullmatch(key):
                raise ValueError(f"{key!r} is no key of a label (PREFIX/NAME, NAME of at most 63 letters, digits, -_.)")
            if not _LABEL_VALUE.fullmatch(value):
                raise ValueError(f"{key}={value!r}: a label's value has at most 63 letters, digits, -_.")
        return labels

    @pydantic.validator("annotations")
    def _annotations(cls, annotations: dict[str, str]) -> dict[str, str]:  # noqa: N805
        for key in annotations:
            # A prefix with capitals, which a label may not have, is taken by the API here.
            if not _LABEL_KEY.fullmatch(key.lower()):
                raise ValueError(f"{key!r} is no key of an annotation (PREFIX/NAME, NAME as that of a label)")
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
      count: how many workers; None takes what `num_workers` leaves for this group. At least one in a `queue`.
      price_per_hour: what the machine of one worker costs for an hour, in any currency; where several workers share a
        node, each one's part. Only for the report; None where nobody said.
      on_demand_price_per_hour: what the same machine costs on demand, for a group on spot machines.
    """

    name: str = Field(default="worker", regex=_DNS_LABEL, max_length=MAX_GROUP_LENGTH)
    count: int | None = Field(default=None, ge=0, le=MAX_WORKERS_OF_GROUP)
    price_per_hour: float | None = Field(default=None, ge=0, le=_MAX_PRICE)
    on_demand_price_per_hour: float | None = Field(default=None, ge=0, le=_MAX_PRICE)

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
