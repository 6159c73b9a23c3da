"""Names and labels of a search's objects: stable, so that a rerun step finds them, and short enough."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from pathlib import Path

# SEARCH-GROUP-INDEX is a host name, limited to 63 characters: 36 + 1 + 15 (`groups.MAX_GROUP_LENGTH`) + 1 + 5 leave
# room for the suffixes of pods.
_MAX_LENGTH = 36
_HASH_LENGTH = 10
_SEARCH = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")

SEARCH_LABEL = "distributed-tuner/search"
GROUP_LABEL = "distributed-tuner/group"
COMPONENT_LABEL = "app.kubernetes.io/component"
CHIEF = "chief"
WORKER = "worker"


@dataclasses.dataclass(frozen=True)
class SearchName:
    """One search in one namespace.

    Attributes:
      pipeline: the pipeline's name.
      run: the run's id.
      node: the id of the tuner's node in the pipeline.
    """

    pipeline: str
    run: str
    node: str

    @property
    def name(self) -> str:
        """A DNS label of at most 36 characters: a readable part, and a hash of all three parts that makes it unique."""
        digest = hashlib.sha256(json.dumps([self.pipeline, self.run, self.node]).encode()).hexdigest()[:_HASH_LENGTH]
        slug = re.sub(r"[^a-z0-9]+", "-", f"{self.run}-{self.node}".lower()).strip("-")
        if not slug[:1].isalpha():
            # A Service's name must not begin with a digit.
            slug = f"s-{slug}".strip("-")
        return f"{slug[: _MAX_LENGTH - _HASH_LENGTH - 1].rstrip('-')}-{digest}"

    @property
    def chief(self) -> str:
        """The name of the chief's Job, Service, Secret and NetworkPolicy."""
        return secrets(self.name)[0]

    @property
    def worker_secret(self) -> str:
        """The name of the Secret with which workers reach the chief; no group can have this name."""
        return secrets(self.name)[1]

    def group(self, group: str) -> str:
        """The name of the Job of a group of workers."""
        return f"{self.name}-{group}"

    def labels(self, component: str, group: str | None = None) -> dict[str, str]:
        """The labels of an object of this search."""
        labels = {
            "app.kubernetes.io/name": "distributed-tuner",
            "app.kubernetes.io/instance": self.name,
            COMPONENT_LABEL: component,
            "app.kubernetes.io/managed-by": "distributed-tuner",
            SEARCH_LABEL: self.name,
        }
        return labels if group is None else {**labels, GROUP_LABEL: group}

    def annotations(self) -> dict[str, str]:
        """Annotations for people: what the name was made of."""
        return {
            "distributed-tuner/pipeline": self.pipeline,
            "distributed-tuner/run": self.run,
            "distributed-tuner/node": self.node,
        }


def selector(search: str) -> str:
    """The label selector for everything that belongs to a search, by its `SearchName.name`."""
    return f"{SEARCH_LABEL}={search}"


def secrets(search: str) -> tuple[str, str]:
    """The Secrets of the chief and of the workers of a search, by its `SearchName.name`."""
    return f"{search}-{CHIEF}", f"{search}-worker-credentials"


def member(group: str, index: int) -> str:
    """A worker's id, stable over restarts."""
    return f"{group}-{index}"


def is_search(text: str) -> bool:
    """Whether the text may be the name of a search on Kubernetes, rather than its directory."""
    return _SEARCH.fullmatch(text) is not None and not Path(text).exists()
