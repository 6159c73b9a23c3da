"""An API server in this process's memory, as far as a search's step needs one. It runs nothing."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from custom_components.distributed_tuner.cluster.base import ClusterError
from custom_components.distributed_tuner.cluster.kube.api.call import MERGE_PATCH, STRATEGIC_PATCH, Object
from custom_components.distributed_tuner.cluster.kube.api.client import KubernetesApi
from custom_components.distributed_tuner.cluster.kube.api.errors import ApiError

_WATCH_SECONDS = 0.02


class FakeApi(KubernetesApi):
    """Keeps objects by their paths; a deleted one takes what it owns along, at once.

    Attributes:
      objects: by path.
      events: as a list of all is answered, whatever is asked for.
      asked: (verb, path, field selector or patience) of each call but watches.
      trouble: raised by each call, where it is set.
      refuse: what is raised by the call with this verb and path, where anything is.
    """

    def __init__(self) -> None:
        super().__init__(lambda: None, patience_seconds=0.0)
        self.objects: dict[str, Object] = {}
        self.events: list[Object] = []
        self.asked: list[tuple[str, str, Any]] = []
        self.trouble: ClusterError | None = None
        self.refuse: Callable[[str, str], ClusterError | None] = lambda verb, path: None
        self._uids = itertools.count(1)

    def get(self, path: str, *, patience_seconds: float | None = None, **query: Any) -> Object:
        """See `KubernetesApi.get`."""
        self._note("get", path, query.get("fieldSelector"))
        if path.endswith("/events"):
            about = str(query["fieldSelector"]).removeprefix("involvedObject.uid=")
            return {"items": [event for event in self.events if event["involvedObject"]["uid"] == about]}
        if path in self.objects:
            return self.objects[path]
        found = [one for at, one in self.objects.items() if at.rpartition("/")[0] == path]
        if "labelSelector" not in query:
            raise ApiError(404, "NotFound", f"{path} not found")
        items = [one for one in found if _matches(one["metadata"].get("labels", {}), query["labelSelector"])]
        return {"kind": "List", "metadata": {"resourceVersion": "1"}, "items": items}

    def create(self, path: str, manifest: Mapping[str, Any]) -> Object:
        """See `KubernetesApi.create`."""
        target = f"{path}/{manifest['metadata']['name']}"
        self._note("create", target, None)
        if target in self.objects:
            raise ApiError(409, "AlreadyExists", f"{target} already exists")
        more = {"uid": f"uid-{next(self._uids)}", "creationTimestamp": "2026-01-01T00:00:00Z"}
        made: Object = {**manifest, "metadata": {**manifest["metadata"], **more}}
        if "stringData" in made:
            import base64

            made["data"] = {k: base64.b64encode(v.encode()).decode() for k, v in made.pop("stringData").items()}
        self.objects[target] = made
        return made

    def patch(
        self, path: str, change: Any, content_type: str = MERGE_PATCH, *, patience_seconds: float | None = None
    ) -> Object:
        """See `KubernetesApi.patch`; a patch of all that is no status, or of that."""
        self._note("patch", path, patience_seconds)
        path = path.removesuffix("/status")
        if path not in self.objects:
            raise ApiError(404, "NotFound", f"{path} not found")
        if change.get("metadata", {}).get("uid", found := self.objects[path]["metadata"]["uid"]) != found:
            raise ApiError(409, "Conflict", f"{path} has another uid")
        _merge(self.objects[path], change, by_type=content_type == STRATEGIC_PATCH)
        return self.objects[path]

    def delete(
        self,
        path: str,
        *,
        propagation: str = "Background",
        grace_seconds: int | None = None,
        uid: str | None = None,
        patience_seconds: float | None = None,
    ) -> None:
        """See `KubernetesApi.delete`."""
        self._note("delete", path, patience_seconds)
        found = self.objects.get(path)
        if found is None or uid not in (None, found["metadata"]["uid"]):
            return
        del self.objects[path]
        for at, one in list(self.objects.items()):
            owners = [owner["uid"] for owner in one["metadata"].get("ownerReferences", ())]
            if found["metadata"]["uid"] in owners:
                self.delete(at)

    def watch(self, path: str, *, seconds: int, stall_seconds: float, **query: Any) -> Iterator[tuple[str, Object]]:
        """Has forgotten everything, so that all is listed anew."""
        time.sleep(_WATCH_SECONDS)
        raise self.trouble or ApiError(410, "Expired", "too old")

    def deleted(self) -> list[str]:
        """The names of what was asked to be deleted, in order."""
        return [path.rpartition("/")[2] for verb, path, _ in self.asked if verb == "delete"]

    def _note(self, verb: str, path: str, more: Any) -> None:
        self.asked.append((verb, path, more))
        error = self.trouble or self.refuse(verb, path)
        if error is not None:
            raise error


def _merge(target: Object, change: Mapping[str, Any], *, by_type: bool = False) -> None:
    """Merges as RFC 7386 says: None removes, what is no object replaces; or conditions by their types."""
    for key, value in change.items():
        if value is None:
            target.pop(key, None)
        elif isinstance(value, Mapping):
            _merge(target.setdefault(key, {}), value, by_type=by_type)
        elif by_type and key == "conditions":
            types = [one["type"] for one in value]
            target[key] = [*(one for one in target.get(key, ()) if one["type"] not in types), *value]
        else:
            target[key] = value


def _matches(labels: Mapping[str, str], selector: str) -> bool:
    for part in selector.split(","):
        key, _, value = part.partition("=")
        if key not in labels or (value and labels[key] != value):
            return False
    return True
