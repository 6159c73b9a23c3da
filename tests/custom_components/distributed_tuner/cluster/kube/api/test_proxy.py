"""What lies between a client outside the cluster and its API server, and whom it acts as."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import urllib3

from custom_components.distributed_tuner.cluster.base import ClusterError
from custom_components.distributed_tuner.cluster.kube.api import connection
from custom_components.distributed_tuner.rpc import credentials
from tests.custom_components.distributed_tuner.cluster.kube import kubeconfigs
from tests.custom_components.distributed_tuner.cluster.kube.api_server import says, serving, thing

PATH = "/api/v1/namespaces/ml/pods"
VARIABLES = ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "NO_PROXY", "no_proxy")


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


def use(monkeypatch: pytest.MonkeyPatch, folder: Path, server: str, user: dict[str, Any], **cluster: Any) -> None:
    content = kubeconfigs.kubeconfig(server, user)
    content["clusters"][0]["cluster"].update(cluster)
    kubeconfigs.use(monkeypatch, folder, content)


def proxy(tmp_path: Path) -> tuple[str | None, dict[str, str] | None]:
    configuration = connection._client(tmp_path / "no-pod").configuration
    return configuration.proxy, configuration.proxy_headers


def test_requests_go_through_the_kubeconfigs_proxy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(says(thing("a"))) as server:
        here = f"http://127.0.0.1:{server.server_address[1]}"
        use(monkeypatch, tmp_path, "http://apiserver.internal", {"token": "t"}, **{"proxy-url": here})
        connection.from_environment(patience_seconds=5.0, in_pod=tmp_path / "none").get(PATH)
        assert [request[1] for request in server.requests] == [PATH]


def test_the_environments_proxy_is_used_but_for_hosts_that_it_leaves_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "proxy.example:3128")
    monkeypatch.setenv("NO_PROXY", "inside.example, 10.0.0.0/8")
    for server, expected in {
        "https://api.example": "http://proxy.example:3128",
        "https://203.0.113.1": "http://proxy.example:3128",
        "http://api.example": None,
        "https://api.inside.example:6443": None,
        "https://10.2.3.4": None,
        "https://127.0.0.1:6443": None,
        "https://[::1]:6443": None,
        "https://localhost:6443": None,
    }.items():
        use(monkeypatch, tmp_path, server, {"token": "t"})
        assert proxy(tmp_path) == (expected, None), server
    # The kubeconfig's own is for every host.
    use(monkeypatch, tmp_path, "https://10.2.3.4", {"token": "t"}, **{"proxy-url": "https://u:p%40@other.example:1"})
    headers = urllib3.util.make_headers(proxy_basic_auth="u:p@")
    assert proxy(tmp_path) == ("https://other.example:1", headers)


@pytest.mark.parametrize(
    "url", ["socks5://u:secret@proxy:1080", "http://u:secret@", "http://u:secret@h:x", "http://[u:secret"]
)
def test_a_proxy_that_cannot_be_used_is_told_by_its_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    use(monkeypatch, tmp_path, "https://api.example", {"token": "t"}, **{"proxy-url": url})
    with pytest.raises(ClusterError, match="kubeconfig's proxy-url cannot be used") as refusal:
        proxy(tmp_path)
    monkeypatch.setenv("HTTPS_PROXY", url)
    use(monkeypatch, tmp_path, "https://api.example", {"token": "t"})
    with pytest.raises(ClusterError, match="HTTPS_PROXY cannot be used") as other:
        proxy(tmp_path)
    assert "secret" not in f"{refusal.value}{other.value}"


def test_the_certificate_may_be_for_the_name_that_the_kubeconfig_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = credentials.make(["api.internal"])
    (tmp_path / "server.pem").write_bytes(made.server.certificate + made.server.key)
    (tmp_path / "ca.crt").write_bytes(made.access.authority or b"")
    with serving(says(thing("a")), certificate=str(tmp_path / "server.pem")) as server:
        more = {"certificate-authority": "ca.crt", "tls-server-name": "api.internal"}
        use(monkeypatch, tmp_path, f"https://127.0.0.1:{server.server_address[1]}", {"token": "t"}, **more)
        connection.from_environment(patience_seconds=0.5, in_pod=tmp_path / "none").get(PATH)
        more["tls-server-name"] = "other.internal"
        use(monkeypatch, tmp_path, f"https://127.0.0.1:{server.server_address[1]}", {"token": "t"}, **more)
        with pytest.raises(ClusterError, match=r"other\.internal"):
            connection.from_environment(patience_seconds=0.5, in_pod=tmp_path / "none").get(PATH)


@pytest.mark.parametrize(
    "more", [{"as": "system:serviceaccount:ml:nobody"}, {"as-groups": ["g"]}, {"as-user-extra": {"a": ["b"]}}]
)
def test_a_user_who_is_to_act_as_another_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: dict[str, Any]
) -> None:
    use(monkeypatch, tmp_path, "https://api.example", {"token": "t", **more})
    with pytest.raises(ClusterError, match=f"has `{next(iter(more))}` for its user"):
        connection.from_environment(patience_seconds=1.0, in_pod=tmp_path / "none")
