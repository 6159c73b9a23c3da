"""What one attempt says when nothing, or no API server, is there."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
import yaml

from custom_components.distributed_tuner.cluster.base import ClusterError
from custom_components.distributed_tuner.cluster.kube.api import connection
from custom_components.distributed_tuner.cluster.kube.api.call import Unreachable
from tests.certificates import Authority
from tests.custom_components.distributed_tuner.cluster.kube.api_server import refuses, serving

PATH = "/apis/batch/v1/namespaces/ml/jobs"
NO_PEM = b"not a certificate"


def encoded(content: bytes) -> str:
    return base64.b64encode(content).decode()


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "authority")


def ask(folder: Path, monkeypatch: pytest.MonkeyPatch, server: str, authority: bytes, **user: str) -> str:
    """What a request with this kubeconfig fails with."""
    cluster = {"server": server, "certificate-authority-data": encoded(authority)}
    named = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "it",
        "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
        "clusters": [{"name": "it", "cluster": cluster}],
        "users": [{"name": "it", "user": user}],
    }
    path = folder / "kubeconfig"
    path.write_text(yaml.safe_dump(named))
    monkeypatch.setenv("KUBECONFIG", str(path))
    with pytest.raises(ClusterError) as error:
        connection.from_environment(patience_seconds=0.2).get(PATH)
    assert not isinstance(error.value, Unreachable), "another attempt would not help"
    return str(error.value)


@pytest.mark.parametrize("fault", ["no authority", "no certificate", "another's key"])
def test_certificates_that_cannot_be_used_are_named_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, authority: Authority, fault: str
) -> None:
    (certificate, key), (_, other) = (
        authority.issue(name, user=name, hosts=["127.0.0.1"]) for name in ("one", "another")
    )
    both = tmp_path / "both.pem"
    both.write_bytes(certificate.read_bytes() + key.read_bytes())
    parts = {
        "no authority": (NO_PEM, certificate.read_bytes(), key.read_bytes()),
        "no certificate": (authority.certificate.read_bytes(), NO_PEM, NO_PEM),
        "another's key": (authority.certificate.read_bytes(), certificate.read_bytes(), other.read_bytes()),
    }
    trusted, shown, proof = parts[fault]
    user = {"client-certificate-data": encoded(shown), "client-key-data": encoded(proof)}
    with serving(refuses(401), certificate=str(both)) as server:
        words = ask(tmp_path, monkeypatch, f"https://127.0.0.1:{server.server_address[1]}", trusted, **user)
        assert server.requests == []
    assert "\n" not in words and "Look at certificate-authority, client-certificate and client-key" in words


def test_a_server_of_another_authority_is_told_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, authority: Authority
) -> None:
    certificate, key = authority.issue("one", user="one", hosts=["127.0.0.1"])
    both = tmp_path / "both.pem"
    both.write_bytes(certificate.read_bytes() + key.read_bytes())
    stranger = Authority(tmp_path / "stranger").certificate.read_bytes()
    with serving(refuses(401), certificate=str(both)) as server:
        words = ask(tmp_path, monkeypatch, f"https://127.0.0.1:{server.server_address[1]}", stranger, token="a")
    assert "\n" not in words and "not signed by the authority" in words
