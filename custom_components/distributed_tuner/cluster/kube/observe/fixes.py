"""Which setting fixes what the scheduler and the kubelet complain of."""

from __future__ import annotations

import re

from custom_components.distributed_tuner.cluster.kube.manifests.pod_template import SCRATCH_FOLDERS, SCRATCH_LIMIT

# The scheduler's words for what a node lacks, and the settings of a group or of the chief that request it.
_SETTINGS = (
    (re.compile(r"Insufficient (?P<what>cpu|memory|ephemeral-storage)"), "{what}"),
    (re.compile(r"Insufficient nvidia\.com/gpu"), "gpu"),
    (
        re.compile(r"didn't match (Pod's node affinity/selector|node selector)"),
        "node_selector, gpu.type, spot",
    ),
    (re.compile(r"untolerated taint|had taint"), "tolerations"),
    (re.compile(r"Too many pods"), "count"),
    (re.compile(r"volume node affinity conflict"), "volumes, node_selector"),
)
_MISSING = re.compile(
    r'\b(?P<kind>persistentvolumeclaim|configmap|secret)s? "(?P<name>[^"]+)" not found', re.IGNORECASE
)
# The kubelet's words when it evicts a pod for what it wrote to its node's disk.
_FULL_FOLDER = re.compile(r'EmptyDir volume "(?P<name>[^"]+)" exceeds')
_FULL_DISK = re.compile(r"ephemeral[- ](local )?storage")
_NOT_THE_CHIEFS = ("gpu", "gpu.type", "count")
_UNBOUND = "unbound immediate PersistentVolumeClaims"
_KINDS = {"persistentvolumeclaim": "PersistentVolumeClaim", "configmap": "ConfigMap", "secret": "Secret"}


def settings_of(group: str | None) -> str:
    """Names the settings of a group's pods, or of the chief's."""
    return f"groups[{group}]" if group else "chief"


def scheduling_fix(message: str, group: str | None) -> str:
    """What to change if the scheduler finds no node; empty if its message points to no setting.

    Args:
      message: the scheduler's message.
      group: the group of workers, None for the chief.
    """
    if fix := missing_fix(message):
        return fix
    if _UNBOUND in message:
        return "Look at the claims of `volumes`: kubectl get pvc tells why one has no volume"
    found: list[str] = []
    for words, settings in _SETTINGS:
        for match in words.finditer(message):
            found.extend(settings.format(**match.groupdict()).replace("-", "_").split(", "))
    names = [name for name in dict.fromkeys(found) if group or name not in _NOT_THE_CHIEFS]
    if not names:
        return ""
    listed = " or ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
    return f"Unless such a node is on its way, change {listed} of {settings_of(group)}, or add nodes that have it"


def missing_name(message: str) -> str | None:
    """The name of the object that the message reports as missing."""
    match = _MISSING.search(message)
    return match["name"] if match else None


def missing_fix(message: str) -> str:
    """What to do about a missing object; empty if the message names none."""
    match = _MISSING.search(message)
    if match is None:
        return ""
    kind, name = _KINDS[match["kind"].lower()], match["name"]
    return f"There is no {kind} {name} in the namespace: make it, or correct its name in `volumes`"


def disk_fix(message: str, group: str | None) -> str:
    """What to change if a pod wrote too much to its node's disk; empty if the message is about something else.

    Args:
      message: the kubelet's message on an eviction.
      group: the group of workers, None for the chief.
    """
    if match := _FULL_FOLDER.search(message):
        name = match["name"]
        if name in SCRATCH_FOLDERS:
            return f"Have it write what is large to one of `volumes`: {SCRATCH_FOLDERS[name]} holds {SCRATCH_LIMIT}"
        return f"Raise sizeLimit of {name} in `volumes`"
    if _FULL_DISK.search(message):
        return f"Raise `ephemeral_storage` of {settings_of(group)}, or have it write less to its own disk"
    return ""
