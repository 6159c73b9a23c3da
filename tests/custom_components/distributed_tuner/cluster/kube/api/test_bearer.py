"""Tokens that no header can carry as they are: sent without a line's end, else refused, and never shown."""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import Any

import pytest

from custom_components.distributed_tuner.cluster.base import ClusterError
from custom_components.distributed_tuner.cluster.kube.api import connection
from custom_components.distributed_tuner.cluster.kube.api.kubeconfig import load
from custom_components.distributed_tuner.rpc import credentials
from tests.custom_components.distributed_tuner.cluster.kube import kubeconfigs
from tests.custom_components.distributed_tuner.cluster.kube.api.test_connection import service_account
from tests.custom_components.distributed_tuner.cluster.kube.api_server import says, serving, thing

PATH = "/api/v1/namespaces/ml/pods"
TOKEN = "eyJsecret"


def told(error: BaseException) -> str:
    """All that a traceback shows."""
    return "".join(traceback.format_exception(error))


@pytest.mark.parametrize("user", [{"tokenFile": "token"}, {"token": f"{TOKEN}\n"}, {"token": f" {TOKEN}\r\n"}])
def test_a_lines_end_is_no_part_of_a_token(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, user: dict[str, Any]
) -> None:
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    with serving(says(thing("a"))) as server:
        kubeconfigs.use(
            monkeypatch, tmp_path, kubeconfigs.kubeconfig(f"http://127.0.0.1:{server.server_address[1]}", user)
        )
        connection.from_environment(patience_seconds=5.0, in_pod=tmp_path / "none").get(PATH)
        assert server.requests[0][4] == f"Bearer {TOKEN}"


@pytest.mark.parametrize(
    "token", [f"{TOKEN}\nx", f"{TOKEN}\r\n\tx", f"{TOKEN} x", f"{TOKEN}\0", f"{TOKEN}ö", f"{TOKEN}€"]
)
@pytest.mark.parametrize("where", ["token", "tokenFile", "exec", "pod"])
def test_a_token_that_no_header_can_carry_is_refused_by_its_place_and_not_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str, token: str
) -> None:
    named = file = tmp_path / "the-token"
    file.write_bytes(token.encode())
    user: dict[str, Any] = {where: token if where == "token" else file.name}
    if where == "exec":
        monkeypatch.setattr(
            "custom_components.distributed_tuner.cluster.kube.api.exec_plugin.run", lambda *_: {"token": token}
        )
        user, named = kubeconfigs.by_plugin("some-plugin"), Path("some-plugin")
    config = kubeconfigs.use(monkeypatch, tmp_path, kubeconfigs.kubeconfig("http://127.0.0.1:1", user))
    if where == "token":
        named = config
    if where == "pod":
        monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
        monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "1")
        service_account(tmp_path, credentials.make(["localhost"]), token)
        named = tmp_path / "token"
    with pytest.raises(ClusterError, match="is not shown here") as refusal:
        connection.from_environment(patience_seconds=5.0, in_pod=tmp_path if where == "pod" else tmp_path / "x").get(
            PATH
        )
    assert str(named) in str(refusal.value) and "\n" not in str(refusal.value)
    assert TOKEN not in told(refusal.value)


def test_an_empty_token_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "token").write_text("\n")
    kubeconfigs.use(monkeypatch, tmp_path, kubeconfigs.kubeconfig("http://127.0.0.1:1", {"tokenFile": "token"}))
    with pytest.raises(ClusterError, match=rf"the token of the file {tmp_path}/token is empty"):
        connection.from_environment(patience_seconds=5.0, in_pod=tmp_path / "none")


def test_a_request_that_cannot_be_sent_for_another_reason_shows_no_token() -> None:
    with serving(says(thing("a"))) as server:
        api = server.api()
        api._client.configuration.api_key = {"authorization": f"Bearer {TOKEN}\n"}
        with pytest.raises(ClusterError, match=f"GET {PATH}.*not shown") as refusal:
            api.get(PATH)
    assert TOKEN not in told(refusal.value)


@pytest.mark.parametrize(
    "content",
    [
        f"users: [{{name: u, user: {{token: {TOKEN}: x}}}}]",
        f"token: *{TOKEN}",
        # The client's own name for a user whose settings lack something is all of them.
        kubeconfigs.kubeconfig("http://127.0.0.1:1", {"token": TOKEN, "auth-provider": {"name": "oidc", "config": {}}}),
        {**kubeconfigs.kubeconfig("http://127.0.0.1:1", {}), "users": [{"name": "u", "user": None, "token": TOKEN}]},
    ],
)
def test_a_damaged_kubeconfig_shows_no_token(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str | dict[str, Any]
) -> None:
    import kubernetes.client

    if isinstance(content, str):
        (tmp_path / "config").write_text(content)
        monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))
    else:
        kubeconfigs.use(monkeypatch, tmp_path, content)
    with pytest.raises(ClusterError) as refusal:
        load(kubernetes.client.Configuration())
    assert TOKEN not in told(refusal.value) and "config" in str(refusal.value)


def test_what_a_failed_plugin_printed_for_a_client_is_not_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = kubeconfigs.gives(f'{{"token": "{TOKEN}"}}') + "\nexit 3"
    user = kubeconfigs.by_plugin(str(kubeconfigs.plugin(tmp_path / "plugin", script)))
    kubeconfigs.use(monkeypatch, tmp_path, kubeconfigs.kubeconfig("http://127.0.0.1:1", user))
    with pytest.raises(ClusterError, match="exit code 3") as refusal:
        connection.from_environment(patience_seconds=5.0, in_pod=tmp_path / "none")
    assert TOKEN not in told(refusal.value)
