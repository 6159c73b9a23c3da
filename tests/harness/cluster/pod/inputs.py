"""What a pod's containers get from the API: variables and volumes."""

from __future__ import annotations

import base64
import re
from pathlib import Path

from tests.harness.cluster.kubernetes.api import Api, Object
from tests.harness.cluster.machine.namespaces import KUBERNETES_SERVICE, MACHINE

_VOLUME_KINDS = ("hostPath", "emptyDir", "configMap", "secret", "downwardAPI", "projected", "persistentVolumeClaim")


class UnsupportedError(ValueError):
    """The pod asks for what a process node cannot do."""


def expand(text: str, environment: dict[str, str]) -> str:
    """Puts variables in the place of $(NAME), as Kubernetes does; a name that is not there stays."""
    return re.sub(r"\$\((\w+)\)", lambda match: environment.get(match[1], match[0]), text)


def service_variables(services: list[Object]) -> dict[str, str]:
    """The variables by which a container finds Services: NAME_SERVICE_HOST and NAME_SERVICE_PORT."""
    found: dict[str, str] = {}
    for service in services:
        address = service["spec"].get("clusterIP")
        if address in (None, "", "None"):
            continue
        name = service["metadata"]["name"].upper().replace("-", "_")
        ports = service["spec"]["ports"]
        found[f"{name}_SERVICE_HOST"] = address
        found[f"{name}_SERVICE_PORT"] = str(ports[0]["port"])
        for port in ports:
            if port.get("name"):
                found[f"{name}_SERVICE_PORT_{port['name'].upper().replace('-', '_')}"] = str(port["port"])
    return found


def field_value(pod: Object, path: str, address: str) -> str:
    """The value of a field that the downward API offers."""
    metadata, spec = pod["metadata"], pod["spec"]
    one = re.fullmatch(r"metadata\.(labels|annotations)\['(.+)'\]", path)
    if one:
        return str(metadata.get(one[1], {}).get(one[2], ""))
    if path in ("metadata.labels", "metadata.annotations"):
        return "\n".join(f'{key}="{value}"' for key, value in metadata.get(path.partition(".")[2], {}).items())
    fields = {
        **{f"metadata.{name}": metadata[name] for name in ("name", "namespace", "uid")},
        "spec.nodeName": spec["nodeName"],
        "spec.serviceAccountName": spec.get("serviceAccountName", "default"),
        **dict.fromkeys(("status.podIP", "status.podIPs"), address),
        **dict.fromkeys(("status.hostIP", "status.hostIPs"), MACHINE),
    }
    if path not in fields:
        raise UnsupportedError(f"the field {path}")
    return str(fields[path])


class PodInputs:
    """Reads what one pod's containers are given.

    Args:
      api: asks as the node.
      pod: the pod.
      address: the pod's own.
      folder: for the volumes' content.
    """

    def __init__(self, api: Api, pod: Object, address: str, folder: Path) -> None:
        self._api = api
        self._pod = pod
        self._address = address
        self._folder = folder
        self._namespace: str = pod["metadata"]["namespace"]

    def environment(self, container: Object) -> dict[str, str]:
        """The variables of a container, without the image's.

        Raises:
          ApiError: a ConfigMap or Secret is not there.
          UnsupportedError: a process node does not know such a source.
        """
        found = service_variables(self._services())
        for source in container.get("envFrom", []):
            kind, reference = ("secrets", "secretRef") if "secretRef" in source else ("configmaps", "configMapRef")
            values = self._data(kind, source[reference]["name"])
            found.update({source.get("prefix", "") + key: value.decode() for key, value in values.items()})
        for variable in container.get("env", []):
            source = variable.get("valueFrom")
            found[variable["name"]] = (
                self._value(container, source) if source else expand(variable.get("value", ""), found)
            )
        return found

    def volumes(self) -> dict[str, Path]:
        """Fills the pod's volumes, and returns where each lies.

        Raises:
          ApiError: a ConfigMap, Secret or claim is not there.
          UnsupportedError: a process node does not know such a volume.
        """
        return {volume["name"]: self._volume(volume) for volume in self._pod["spec"].get("volumes", [])}

    def _services(self) -> list[Object]:
        kubernetes = {
            "metadata": {"name": "kubernetes"},
            "spec": {"clusterIP": KUBERNETES_SERVICE, "ports": [{"name": "https", "port": 443}]},
        }
        if not self._pod["spec"].get("enableServiceLinks", True):
            return [kubernetes]
        return [kubernetes, *self._api.items(f"/api/v1/namespaces/{self._namespace}/services")]

    def _data(self, kind: str, name: str) -> dict[str, bytes]:
        data = self._api.get(f"/api/v1/namespaces/{self._namespace}/{kind}/{name}").get("data") or {}
        decode = base64.b64decode if kind == "secrets" else str.encode
        return {key: decode(value) for key, value in data.items()}

    def _value(self, container: Object, source: Object) -> str:
        if "fieldRef" in source:
            return field_value(self._pod, source["fieldRef"]["fieldPath"], self._address)
        for reference, kind in (("configMapKeyRef", "configmaps"), ("secretKeyRef", "secrets")):
            if reference in source:
                return self._data(kind, source[reference]["name"])[source[reference]["key"]].decode()
        if "resourceFieldRef" in source:
            which, _, resource = source["resourceFieldRef"]["resource"].partition(".")
            return str(container.get("resources", {}).get(which, {}).get(resource, ""))
        raise UnsupportedError(f"a variable from {', '.join(source)}")

    def _volume(self, volume: Object) -> Path:
        kind = next((kind for kind in _VOLUME_KINDS if kind in volume), None)
        if kind is None:
            raise UnsupportedError(f"the volume {volume['name']}: one of {', '.join(_VOLUME_KINDS)} is")
        if kind == "hostPath":
            return _host_path(volume["hostPath"])
        if kind == "persistentVolumeClaim":
            return self._claimed(volume["persistentVolumeClaim"]["claimName"])
        folder = self._folder / volume["name"]
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o777)
        if kind == "projected":
            for source in volume["projected"]["sources"]:
                self._fill(folder, source)
        elif kind != "emptyDir":
            self._fill(folder, {kind: volume[kind]})
        return folder

    def _fill(self, folder: Path, source: Object) -> None:
        for path, content in self._contents(source).items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(content)

    def _contents(self, source: Object) -> dict[str, bytes]:
        if "serviceAccountToken" in source:
            return {source["serviceAccountToken"]["path"]: self._token(source["serviceAccountToken"]).encode()}
        if "downwardAPI" in source:
            return {
                item["path"]: field_value(self._pod, item["fieldRef"]["fieldPath"], self._address).encode()
                for item in source["downwardAPI"].get("items", [])
            }
        kind, reference = ("secrets", source["secret"]) if "secret" in source else ("configmaps", source["configMap"])
        data = self._data(kind, reference.get("name") or reference["secretName"])
        items = reference.get("items") or [{"key": key, "path": key} for key in data]
        return {item["path"]: data[item["key"]] for item in items}

    def _token(self, wanted: Object) -> str:
        metadata = self._pod["metadata"]
        account = self._pod["spec"].get("serviceAccountName", "default")
        owner = {"kind": "Pod", "apiVersion": "v1", "name": metadata["name"], "uid": metadata["uid"]}
        request = {
            "audiences": [wanted["audience"]] if wanted.get("audience") else [],
            "expirationSeconds": wanted.get("expirationSeconds", 3600),
            "boundObjectRef": owner,
        }
        path = f"/api/v1/namespaces/{self._namespace}/serviceaccounts/{account}/token"
        return str(self._api.create(path, {"spec": request})["status"]["token"])

    def _claimed(self, name: str) -> Path:
        claim = self._api.get(f"/api/v1/namespaces/{self._namespace}/persistentvolumeclaims/{name}")
        volume = self._api.get(f"/api/v1/persistentvolumes/{claim['spec']['volumeName']}")
        if "hostPath" not in volume["spec"]:
            raise UnsupportedError(f"the volume {volume['metadata']['name']}: only those of a hostPath are")
        return _host_path(volume["spec"]["hostPath"])


def _host_path(source: Object) -> Path:
    path = Path(source["path"])
    if source.get("type") == "DirectoryOrCreate":
        path.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        raise FileNotFoundError(f"the hostPath {path} is not there")
    return path
