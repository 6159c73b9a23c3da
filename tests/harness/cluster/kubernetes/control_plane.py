"""A Kubernetes control plane: etcd, API server, controller manager and scheduler as processes of this machine."""

from __future__ import annotations

import json
import signal
import subprocess
import time
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TypeVar

from tests.certificates import Authority
from tests.harness.cluster.kubernetes.api import Api
from tests.harness.cluster.kubernetes.errors import ApiError, HarnessError
from tests.harness.cluster.machine.namespaces import KUBERNETES_SERVICE, MACHINE, POD_NETWORK, SERVICE_NETWORK

Answer = TypeVar("Answer")

API_PORT = 6443
#: Intervals of the Job controller that make tests quick; without them a Job waits 10 s before it replaces a pod.
QUICK_JOBS = {"JOB_POD_BACKOFF": "500ms", "JOB_SYNC_PERIOD": "200ms"}
#: A node that is silent for so long counts as lost; a cluster's own default is 50.
NODE_GRACE_SECONDS = 4

_ETCD = "http://127.0.0.1:2379"
_ETCD_PEER = "http://127.0.0.1:2380"
_READY_SECONDS = 120.0
_STOP_SECONDS = 5.0
_POLL_SECONDS = 0.05
_TAIL = 1500


class ControlPlane:
    """The control plane of one cluster, TLS and RBAC on. It listens on fixed ports: one in a network namespace.

    Args:
      folder: for certificates, kubeconfigs, data and logs; it is made.
      programs: name to file, as `build.programs` gives them.
      environment: variables of the controller manager, such as QUICK_JOBS.
      node_grace_seconds: how long a node may be silent before it counts as lost.
      options: more command-line options, by program.
    """

    def __init__(
        self,
        folder: Path,
        programs: Mapping[str, Path],
        *,
        environment: Mapping[str, str] | None = None,
        node_grace_seconds: int = NODE_GRACE_SECONDS,
        options: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        self.folder = folder
        self.url = f"https://{MACHINE}:{API_PORT}"
        self.seconds: dict[str, float] = {}
        self._programs = programs
        self._environment = dict(environment or {})
        self._node_grace_seconds = node_grace_seconds
        self._options = options or {}
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._authority: Authority | None = None

    @property
    def authority(self) -> Authority:
        """Signs the cluster's certificates."""
        if self._authority is None:
            raise HarnessError("the control plane has not been started")
        return self._authority

    @property
    def kubeconfig(self) -> Path:
        """The administrator's."""
        return self.folder / "admin.kubeconfig"

    def api(self, *, token: str = "") -> Api:
        """A client: of the administrator, or of who owns the service-account token."""
        return Api(self.kubeconfig, token=token)

    def start(self) -> ControlPlane:
        """Starts everything and waits until pods can be created.

        Raises:
          HarnessError: a program ended, or was not ready in time; the message ends with its log.
        """
        began = time.monotonic()
        self._make_identities()
        for name, begin, ready in (
            ("etcd", self._start_etcd, self._etcd_answers),
            ("kube-apiserver", self._start_api_server, self._api_server_is_ready),
            ("kube-controller-manager", self._start_controllers, self._pods_can_be_created),
        ):
            begin()
            self._await(name, ready)
            self.seconds[name] = round(time.monotonic() - began, 2)
        return self

    def stop(self) -> None:
        """Ends everything, etcd last."""
        for name in reversed(list(self._processes)):
            # The API server's own way out waits for its watches, up to a minute.
            self.kill(name, signal.SIGKILL if name == "kube-apiserver" else signal.SIGTERM)

    def kill(self, program: str, signal_number: int = signal.SIGKILL) -> None:
        """Ends one of the programs."""
        process = self._processes.pop(program)
        process.send_signal(signal_number)
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def restart_api_server(self, away_seconds: float = 0.0) -> None:
        """The API server dies at once, and comes back with what etcd holds.

        Args:
          away_seconds: how long it is away before it is started again.

        Raises:
          HarnessError: it did not come back.
        """
        self.kill("kube-apiserver")
        time.sleep(away_seconds)
        self._start_api_server()
        self._await("kube-apiserver", self._api_server_is_ready)

    def write_kubeconfig(
        self, name: str, user: Mapping[str, str], *, url: str = "", namespace: str = "default"
    ) -> Path:
        """Writes NAME.kubeconfig.

        Args:
          name: of the file.
          user: a kubeconfig's user, such as {"token": …}.
          url: another address than the API server's, such as a proxy's.
          namespace: the one that clients use if told nothing else.

        Returns:
          The file.
        """
        cluster = {"server": url or self.url}
        if cluster["server"].startswith("https:"):
            cluster["certificate-authority"] = str(self.authority.certificate)
        path = self.folder / f"{name}.kubeconfig"
        path.touch(mode=0o600)
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "tests",
            "clusters": [{"name": "tests", "cluster": cluster}],
            "users": [{"name": "tests", "user": dict(user)}],
            "contexts": [{"name": "tests", "context": {"cluster": "tests", "user": "tests", "namespace": namespace}}],
        }
        path.write_text(json.dumps(content))
        return path

    def __enter__(self) -> ControlPlane:
        try:
            return self.start()
        except BaseException:
            self.stop()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _make_identities(self) -> None:
        self._authority = authority = Authority(self.folder / "pki")
        authority.issue_signing_key("service-accounts")
        names = ["kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"]
        authority.issue(
            "kube-apiserver",
            user="kube-apiserver",
            hosts=[MACHINE, KUBERNETES_SERVICE, "127.0.0.1", "localhost", *names],
        )
        for name, user, groups in (
            ("admin", "admin", ["system:masters"]),
            ("kube-controller-manager", "system:kube-controller-manager", []),
            ("kube-scheduler", "system:kube-scheduler", []),
        ):
            certificate, key = authority.issue(name, user=user, groups=groups)
            self.write_kubeconfig(name, {"client-certificate": str(certificate), "client-key": str(key)})

    def _start_etcd(self) -> None:
        self._spawn(
            "etcd",
            f"--data-dir={self.folder / 'etcd'}",
            f"--listen-client-urls={_ETCD}",
            f"--advertise-client-urls={_ETCD}",
            f"--listen-peer-urls={_ETCD_PEER}",
            f"--initial-advertise-peer-urls={_ETCD_PEER}",
            f"--initial-cluster=default={_ETCD_PEER}",
            "--unsafe-no-fsync",  # the data need not outlive the machine
            "--log-level=warn",
        )

    def _start_api_server(self) -> None:
        pki = self.authority.folder
        self._spawn(
            "kube-apiserver",
            f"--etcd-servers={_ETCD}",
            f"--bind-address={MACHINE}",
            f"--advertise-address={MACHINE}",
            f"--secure-port={API_PORT}",
            f"--tls-cert-file={pki}/kube-apiserver.crt",
            f"--tls-private-key-file={pki}/kube-apiserver.key",
            f"--client-ca-file={pki}/ca.crt",
            f"--cert-dir={self.folder}/kube-apiserver",
            "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={pki}/service-accounts.pub",
            f"--service-account-signing-key-file={pki}/service-accounts.key",
            f"--service-cluster-ip-range={SERVICE_NETWORK}",
            "--allow-privileged=true",
            "--kubelet-preferred-address-types=InternalIP",
            f"--kubelet-certificate-authority={pki}/ca.crt",
            f"--kubelet-client-certificate={pki}/admin.crt",
            f"--kubelet-client-key={pki}/admin.key",
        )

    def _start_controllers(self) -> None:
        pki = self.authority.folder
        self._spawn_client(
            "kube-controller-manager",
            10257,
            "--use-service-account-credentials",
            f"--service-account-private-key-file={pki}/service-accounts.key",
            f"--root-ca-file={pki}/ca.crt",
            # Each node gets addresses of its own, also where several programs run nodes.
            "--allocate-node-cidrs",
            f"--cluster-cidr={POD_NETWORK}",
            f"--service-cluster-ip-range={SERVICE_NETWORK}",
            "--node-monitor-period=1s",
            f"--node-monitor-grace-period={self._node_grace_seconds}s",
            # In a small cluster the defaults do not evict from lost nodes if most of the nodes are lost.
            "--unhealthy-zone-threshold=1",
            "--large-cluster-size-threshold=0",
            "--node-eviction-rate=10",
            "--secondary-node-eviction-rate=10",
            # A volume whose binding met a conflict is tried again after this time.
            "--pvclaimbinder-sync-period=1s",
            "--kube-api-qps=500",
            "--kube-api-burst=1000",
        )
        self._spawn_client("kube-scheduler", 10259)

    def _spawn_client(self, program: str, port: int, *options: str) -> None:
        kubeconfig = self.folder / f"{program}.kubeconfig"
        self._spawn(
            program,
            f"--kubeconfig={kubeconfig}",
            f"--authentication-kubeconfig={kubeconfig}",
            f"--authorization-kubeconfig={kubeconfig}",
            f"--cert-dir={self.folder / program}",
            "--leader-elect=false",
            "--bind-address=127.0.0.1",
            f"--secure-port={port}",
            *options,
        )

    def _spawn(self, program: str, *options: str) -> None:
        command = [str(self._programs[program]), *options, *self._options.get(program, ())]
        environment = {"PATH": "/usr/bin:/bin", "HOME": str(self.folder), **self._environment}
        with self._log(program).open("ab") as log:
            self._processes[program] = subprocess.Popen(
                command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )

    def _log(self, program: str) -> Path:
        return self.folder / f"{program}.log"

    def _await(self, program: str, look: Callable[[], Answer]) -> Answer:
        end = time.monotonic() + _READY_SECONDS
        while True:
            for name, process in self._processes.items():
                if process.poll() is not None:
                    tail = self._log(name).read_text(errors="replace")[-_TAIL:]
                    raise HarnessError(f"{name} ended with {process.returncode}: {tail}")
            try:
                return look()
            except (OSError, ApiError) as error:
                if time.monotonic() > end:
                    tail = self._log(program).read_text(errors="replace")[-_TAIL:]
                    raise HarnessError(f"{program} not ready in {_READY_SECONDS:g} s: {error}; log: {tail}") from error
            time.sleep(_POLL_SECONDS)

    def _etcd_answers(self) -> None:
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with direct.open(f"{_ETCD}/health", timeout=2):
            pass

    def _api_server_is_ready(self) -> None:
        self.api().text("/readyz")

    def _pods_can_be_created(self) -> None:
        api = self.api()
        api.get("/api/v1/namespaces/default/serviceaccounts/default")
        api.get("/api/v1/namespaces/default/configmaps/kube-root-ca.crt")
