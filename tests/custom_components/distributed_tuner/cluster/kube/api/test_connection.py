"""Finding the API server, and staying known to it."""

from __future__ import annotations

from pathlib import Path

import pytest

from custom_components.distributed_tuner.cluster.base import ClusterError
from custom_components.distributed_tuner.cluster.kube.api import connection
from custom_components.distributed_tuner.rpc import credentials
from tests.custom_components.distributed_tuner.cluster.kube.api_server import says, serving, thing

PATH = "/api/v1/namespaces/ml/pods"


def service_account(folder: Path, made: credentials.Credentials, token: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "token").write_text(token)
    (folder / "ca.crt").write_bytes(made.access.authority or b"")


def test_a_token_that_the_kubelet_renews_is_used_from_then_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = credentials.make(["localhost"])
    certificate = tmp_path / "server.pem"
    certificate.write_bytes(made.server.certificate + made.server.key)
    service_account(tmp_path / "account", made, "first")
    with serving(says(thing("a")), certificate=str(certificate)) as server:
        monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "localhost")
        monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(server.server_address[1]))
        api = connection.from_environment(patience_seconds=10.0, in_pod=tmp_path / "account")
        api.get(PATH)
        service_account(tmp_path / "account", made, "second")
        api.get(PATH)
        assert [request[4] for request in server.requests] == ["Bearer first", "Bearer second"]
        # Another server behind that address is not waited for to become the right one.
        service_account(tmp_path / "account", credentials.make(["localhost"]), "third")
        with pytest.raises(ClusterError, match="not signed by the authority"):
            connection.from_environment(patience_seconds=60.0, in_pod=tmp_path / "account").get(PATH)


def test_no_cluster_at_all_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(tmp_path / "none"))
    with pytest.raises(ClusterError, match="no Kubernetes cluster is known here"):
        connection.from_environment(patience_seconds=1.0, in_pod=tmp_path)
