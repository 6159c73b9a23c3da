"""The volumes of chief and workers."""

from __future__ import annotations

from typing import Any

import pydantic

from custom_components.distributed_tuner.cluster.kube.settings import syntax
from custom_components.distributed_tuner.cluster.kube.settings.strict import Strict

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
# Kinds that several pods may share; the others belong to one pod, or are read-only.
_SHARED_KINDS = ("csi", "persistentVolumeClaim")
_CLAIM = "persistentVolumeClaim"
_CREDENTIALS_PATH = "/etc/distributed-tuner"
_OWN_PATHS = ("/tmp", "/home/tuner", _CREDENTIALS_PATH)
# Kinds in which the folder for mounting another volume cannot be created.
_READ_ONLY_KINDS = ("configMap", "downwardAPI", "projected", "secret")


class Volume(Strict):
    """A volume of the pod and where its container sees it.

    Attributes:
      name: of the volume.
      mount_path: where it is mounted.
      source: Kubernetes' own words, such as `{"persistentVolumeClaim": {"claimName": "runs"}}`.
      read_only: whether the pod may only read.
      sub_path: the part of the volume that is mounted; all of it if empty.
    """

    name: str
    mount_path: str
    source: dict[str, Any]
    read_only: bool = False
    sub_path: str = ""

    _names = syntax.checked("name", by=syntax.dns_label)
    _folders = syntax.checked("mount_path", by=syntax.folder)
    _parts = syntax.checked("sub_path", by=syntax.part)

    @property
    def shared(self) -> bool:
        """Whether other pods see what one pod writes there, as far as the volume's kind tells."""
        kind, how = next(iter(self.source.items()))
        return kind in _SHARED_KINDS and not self.read_only and not how.get("readOnly")

    def takes(self, other: Volume) -> bool:
        """Whether the other volume can be mounted at its path, as far as this one is concerned."""
        kind, how = next(iter(self.source.items()))
        read_only = kind in _READ_ONLY_KINDS or self.read_only or bool(how.get("readOnly"))
        return not (read_only and _lies_in(other.mount_path, self.mount_path))

    @pydantic.validator("source")
    def _allowed(cls, source: dict[str, Any]) -> dict[str, Any]:  # noqa: N805
        if len(source) != 1 or next(iter(source)) not in VOLUME_KINDS:
            raise ValueError(
                f"expected exactly one of {', '.join(VOLUME_KINDS)}, got {', '.join(source) or 'nothing'}. These are "
                "the kinds that the restricted Pod Security Standard allows; a host path or an NFS server is reached "
                "through a persistentVolumeClaim"
            )
        kind, how = next(iter(source.items()))
        if not isinstance(how, dict):
            raise ValueError(f"{kind}: expected names and values, such as {{}}, got {how!r}")
        if kind == _CLAIM:
            _check_claim(how)
        return source

    @pydantic.validator("mount_path")
    def _free(cls, path: str) -> str:  # noqa: N805
        if syntax.normal(path) in _OWN_PATHS:
            raise ValueError(f"{path} is taken by the search itself")
        if _lies_in(path, _CREDENTIALS_PATH):
            raise ValueError(
                f"{path} lies in {_CREDENTIALS_PATH}, where the search's Secret is: nothing can be mounted there"
            )
        return path

    @pydantic.validator("name")
    def _not_own(cls, name: str) -> str:  # noqa: N805
        if name in ("credentials", "home", "tmp"):
            raise ValueError(f"{name!r} is taken by the search itself")
        return name


def _lies_in(path: str, folder: str) -> bool:
    return syntax.normal(path).startswith(f"{syntax.normal(folder)}/")


def _check_claim(how: dict[str, Any]) -> None:
    if unknown := sorted(str(key) for key in how if key not in ("claimName", "readOnly")):
        raise ValueError(f"{_CLAIM}: it has claimName and readOnly, and no {', '.join(unknown)}")
    name = how.get("claimName")
    if not isinstance(name, str):
        raise ValueError(f"{_CLAIM}: needs claimName, the name of a claim as a text, such as runs")
    if not isinstance(how.get("readOnly", False), bool):
        raise ValueError(f"{_CLAIM}: readOnly: expected true or false, got {how['readOnly']!r}")
    try:
        syntax.dns_name(name)
    except ValueError as error:
        raise ValueError(f"{_CLAIM}: claimName: {error}") from None
