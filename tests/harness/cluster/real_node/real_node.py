"""A node with the real kubelet, containerd and runc: limits, probes and real containers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.harness.cluster.kubernetes import build
from tests.harness.cluster.kubernetes.api import Object
from tests.harness.cluster.kubernetes.control_plane import ControlPlane
from tests.harness.cluster.kubernetes.errors import ApiError, HarnessError
from tests.harness.cluster.kubernetes.waiting import until
from tests.harness.cluster.machine import cgroups
from tests.harness.cluster.machine.namespaces import BRIDGE, MACHINE
from tests.harness.cluster.node.images import HOST_IMAGE, host_image
from tests.harness.cluster.node.services import DOMAIN
from tests.harness.cluster.real_node import packages as node_packages
from tests.harness.cluster.real_node.image_archive import write_image
from tests.harness.cluster.real_node.packages import NodePackages
from tests.repository import ROOT

#: Keeps pods away that do not ask for the real node, and what such a pod says.
TAINT = {"key": "cluster-tests/real", "value": "true", "effect": "NoSchedule"}
PLACEMENT: Object = {
    "nodeSelector": {TAINT["key"]: TAINT["value"]},
    "tolerations": [{"key": TAINT["key"], "operator": "Exists", "effect": "NoSchedule"}],
}

_PAUSE_IMAGE = "cluster-tests/pause:1"
_READY_SECONDS = 120.0
_TAIL = 2000
# What every container sees of this machine, read-only, where an image would have files of its own.
_SHOWN = ("/usr", "/etc/ssl", "/etc/alternatives", "/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d")
_TOP = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
_FOLDERS = ("dev", "etc", "home", "mnt", "opt", "proc", "root", "run", "srv", "sys", "tmp", "usr", "var", "var/tmp")
_ELSEWHERE = "/mnt/host"
_ACCOUNTS = {
    "etc/passwd": b"root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000:user:/tmp:/bin/sh\n",
    "etc/group": b"root:x:0:\nuser:x:1000:\n",
}


class RealNode:
    """One real node, in the network of the control plane. It is ready once it is made.

    Args:
      plane: the control plane.
      folder: for its files; it is made.
      name: of the node.
      labels: besides its own.

    Raises:
      HarnessError: it did not become ready; the message ends with its log.
    """

    def __init__(
        self, plane: ControlPlane, folder: Path, name: str = "real", *, labels: Mapping[str, str] | None = None
    ) -> None:
        self.name = name
        self._plane = plane
        self._api = plane.api()
        self._folder = folder
        self._group = f"cluster-tests-{name}-{plane.folder.parent.name}"
        self._packages = node_packages.find()
        folder.mkdir(parents=True, mode=0o711)
        cgroups.make(self._group)
        self._process = self._start(labels or {})
        try:
            self._write_network()
            until(self._ready, f"node {name} to be ready", seconds=_READY_SECONDS)
        except (TimeoutError, HarnessError) as error:
            log = self.log()
            self.close()
            raise HarnessError(f"the real node is not ready: {error}; {log}") from error

    def log(self) -> str:
        """The end of the kubelet's log, or of what started it."""
        for name in ("kubelet", "start"):
            path = self._folder / f"{name}.log"
            if path.exists() and path.stat().st_size:
                return f"{path}: {path.read_text(errors='replace')[-_TAIL:]}"
        return "nothing was logged"

    def close(self) -> None:
        """Ends the node with all its containers, and deletes its object."""
        self._process.kill()
        self._process.wait()
        cgroups.remove(self._group)
        self._api.delete(f"/api/v1/nodes/{self.name}")

    def _start(self, labels: Mapping[str, str]) -> subprocess.Popen[bytes]:
        folder, packages = self._folder, self._packages
        socket = folder / "containerd.sock"
        environment = {
            "PATH": os.pathsep.join([*packages.folders, "/usr/sbin", "/usr/bin", "/sbin", "/bin"]),
            "HOME": str(folder),
        }
        images = self._write_images()
        self._write_configuration(socket, environment)
        own_labels = {TAINT["key"]: TAINT["value"], **labels}
        order = {
            "folder": str(folder),
            "images": [str(image) for image in images],
            "ctr": [packages.program("ctr"), "--address", str(socket)],
            "environment": environment,
            "commands": {
                "containerd": [packages.program("containerd"), "--config", str(folder / "containerd.toml")],
                "kubelet": [
                    str(build.programs(build.KUBELET)["kubelet"]),
                    f"--config={folder / 'kubelet.json'}",
                    f"--kubeconfig={self._identity()}",
                    f"--root-dir={folder / 'kubelet'}",
                    f"--cert-dir={folder / 'certificates'}",
                    f"--hostname-override={self.name}",
                    f"--node-ip={MACHINE}",
                    f"--node-labels={','.join(f'{key}={value}' for key, value in own_labels.items())}",
                ],
            },
        }
        with (folder / "start.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-S", "-m", "tests.harness.cluster.real_node.init"],
                cwd=ROOT,
                env={"PATH": environment["PATH"], "PYTHONDONTWRITEBYTECODE": "1"},
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        assert process.stdin is not None
        with process.stdin as pipe:
            pipe.write(json.dumps(order).encode())
        return process

    def _identity(self) -> Path:
        certificate, key = self._certificate()
        return self._plane.write_kubeconfig(
            f"node-{self.name}", {"client-certificate": str(certificate), "client-key": str(key)}
        )

    def _certificate(self) -> tuple[Path, Path]:
        folder = self._plane.authority.folder
        name = f"kubelet-{self.name}"
        if not (folder / f"{name}.crt").exists():
            user, hosts = f"system:node:{self.name}", [MACHINE, self.name]
            self._plane.authority.issue(name, user=user, groups=["system:nodes"], hosts=hosts)
        return folder / f"{name}.crt", folder / f"{name}.key"

    def _write_images(self) -> list[Path]:
        """One that holds a pod's network, and HOST_IMAGE without files: this machine's are shown to its containers."""
        pause, host = self._folder / "pause.tar", self._folder / "host.tar"
        program = build.programs(build.PAUSE)["pause"].read_bytes()
        config: Object = {"Env": ["PATH=/"], "Entrypoint": ["/pause"]}
        write_image(pause, f"docker.io/{_PAUSE_IMAGE}", folders=(), links={}, files={"pause": program}, config=config)
        image = host_image()
        config = {
            "Env": [f"{key}={_inside(value)}" for key, value in image.environment.items()],
            "WorkingDir": _inside(image.working_directory),
            "Cmd": ["sh"],
        }
        links = {name: str(Path(f"/{name}").readlink()) for name in _TOP if Path(f"/{name}").is_symlink()}
        write_image(host, f"docker.io/{HOST_IMAGE}", folders=_FOLDERS, links=links, files=_ACCOUNTS, config=config)
        return [pause, host]

    def _write_configuration(self, socket: Path, environment: Mapping[str, str]) -> None:
        folder = self._folder
        (folder / "cni").mkdir()
        (folder / "runtime.json").write_text(json.dumps(self._runtime_spec(environment)))
        (folder / "containerd.toml").write_text(_containerd_toml(folder, socket, self._packages))
        certificate = self._certificate()
        kubelet = _kubelet_config(folder, socket, self._plane.authority.certificate, certificate, self._group)
        (folder / "kubelet.json").write_text(json.dumps(kubelet))

    def _runtime_spec(self, environment: Mapping[str, str]) -> Object:
        command = [self._packages.program("ctr"), "oci", "spec"]
        told = subprocess.run(command, env=dict(environment), capture_output=True, check=True, timeout=60)
        spec: Object = json.loads(told.stdout)
        top = [f"/{name}" for name in _TOP if Path(f"/{name}").is_dir() and not Path(f"/{name}").is_symlink()]
        for path in sorted({*_SHOWN, *top, *host_image().paths}):
            if Path(path).exists():
                spec["mounts"].append(
                    {"destination": _inside(path), "type": "bind", "source": path, "options": ["rbind", "ro", "nosuid"]}
                )
        return spec

    def _write_network(self) -> None:
        """Gives the pods the addresses that the controller manager chose for the node."""

        def network() -> str:
            try:
                node = self._api.get(f"/api/v1/nodes/{self.name}")
            except ApiError as error:
                if error.status != 404:
                    raise
                self._check()
                return ""
            return str(node["spec"].get("podCIDR", ""))

        addresses = until(network, "the kubelet to register", seconds=_READY_SECONDS)
        start = addresses.rpartition(".")[0]
        ranges = {
            "subnet": "10.244.0.0/16",
            "rangeStart": f"{start}.10",
            "rangeEnd": f"{start}.250",
            "gateway": MACHINE,
        }
        bridge = {
            "type": "bridge",
            "bridge": BRIDGE,
            "isGateway": False,
            "ipMasq": False,
            "hairpinMode": True,
            "ipam": {
                "type": "host-local",
                "ranges": [[ranges]],
                "routes": [{"dst": "0.0.0.0/0"}],
                "dataDir": str(self._folder / "addresses"),
            },
        }
        unfinished = self._folder / "cni" / "pods.unfinished"
        unfinished.write_text(json.dumps({"cniVersion": "0.4.0", "name": "pods", "plugins": [bridge]}))
        unfinished.rename(unfinished.with_name("pods.conflist"))

    def _ready(self) -> bool:
        self._check()
        conditions = self._api.get(f"/api/v1/nodes/{self.name}")["status"].get("conditions", [])
        return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)

    def _check(self) -> None:
        if self._process.poll() is not None:
            raise HarnessError(f"it ended with {self._process.returncode}")


def _inside(text: str) -> str:
    """Paths of this machine as containers see them: a pod has a `/tmp` of its own, which hides a checkout in ours."""
    return os.pathsep.join(
        f"{_ELSEWHERE}{path}" if path.startswith("/tmp/") else path for path in text.split(os.pathsep)
    )


def _containerd_toml(folder: Path, socket: Path, packages: NodePackages) -> str:
    cri = 'plugins."io.containerd.grpc.v1.cri"'
    unused = [f'"io.containerd.snapshotter.v1.{name}"' for name in ("aufs", "btrfs", "devmapper", "zfs")]
    return f"""version = 2
root = "{folder}/containerd"
state = "{folder}/containerd.state"
disabled_plugins = [{", ".join(unused)}]

[grpc]
  address = "{socket}"

[{cri}]
  restrict_oom_score_adj = true
  disable_apparmor = true
  sandbox_image = "docker.io/{_PAUSE_IMAGE}"

[{cri}.cni]
  bin_dir = "{packages.plugins}"
  conf_dir = "{folder}/cni"

[{cri}.containerd]
  snapshotter = "overlayfs"

[{cri}.containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
  base_runtime_spec = "{folder}/runtime.json"

[{cri}.containerd.runtimes.runc.options]
  BinaryName = "{packages.program("runc")}"
  SystemdCgroup = false
"""


def _kubelet_config(folder: Path, socket: Path, authority: Path, certificate: tuple[Path, Path], group: str) -> Object:
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": MACHINE,
        "healthzPort": 0,
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(authority)},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": str(certificate[0]),
        "tlsPrivateKeyFile": str(certificate[1]),
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{group}",
        "failCgroupV1": False,
        "failSwapOn": False,
        "containerRuntimeEndpoint": f"unix://{socket}",
        "makeIPTablesUtilChains": False,
        "clusterDNS": [MACHINE],
        "clusterDomain": DOMAIN,
        "resolvConf": "",
        "registerWithTaints": [TAINT],
        "nodeStatusUpdateFrequency": "1s",
        "nodeLeaseDurationSeconds": 4,
        "syncFrequency": "1s",
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
        "volumePluginDir": str(folder / "plugins"),
    }
