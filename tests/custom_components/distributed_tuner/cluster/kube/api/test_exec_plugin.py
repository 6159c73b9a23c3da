"""Credentials from a program such as gke-gcloud-auth-plugin."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from custom_components.distributed_tuner.cluster.kube.api import connection, exec_plugin
from custom_components.distributed_tuner.cluster.kube.api.client import KubernetesApi
from custom_components.distributed_tuner.cluster.kube.api.exec_plugin import GKE_PLUGIN, PluginError
from custom_components.distributed_tuner.rpc import credentials
from tests.custom_components.distributed_tuner.cluster.kube.api_server import ApiServer, refuses, says, serving, thing
from tests.custom_components.distributed_tuner.cluster.kube.kubeconfigs import (
    by_plugin,
    gives,
    kubeconfig,
    plugin,
    use,
)

PATH = "/api/v1/namespaces/ml/pods"


def connect(monkeypatch: pytest.MonkeyPatch, folder: Path, server: ApiServer, user: dict[str, Any]) -> KubernetesApi:
    url = f"http://127.0.0.1:{server.server_address[1]}"
    use(monkeypatch, folder, kubeconfig(url, user))
    return connection.from_environment(patience_seconds=20.0, in_pod=folder / "no-pod")


def test_the_plugins_token_is_sent_and_it_is_told_what_it_asks_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = 'echo "$KUBERNETES_EXEC_INFO" > "$NOTES"; echo "$1" >> "$NOTES"\n' + gives('{"token": "t1"}')
    plugin(tmp_path / "bin" / "plugin", script)
    notes = tmp_path / "notes"
    user = by_plugin("bin/plugin", args=["--x"], env=[{"name": "NOTES", "value": str(notes)}], provideClusterInfo=True)
    with serving(says(thing("a"))) as server:
        connect(monkeypatch, tmp_path, server, user).get(PATH)
        assert server.requests[0][4] == "Bearer t1"
    info, argument = notes.read_text().splitlines()
    assert argument == "--x"
    assert json.loads(info)["spec"]["cluster"]["server"].startswith("http://127.0.0.1:")


def test_a_token_that_has_expired_is_replaced_by_the_plugins_next_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = tmp_path / "count"
    script = f'echo x >> {count}; N=$(wc -l < {count} | tr -d " ")\n' + gives('{"token": "t$N"}')
    user = by_plugin(str(plugin(tmp_path / "plugin", script)))
    with serving(says(thing("a")), refuses(401, "Unauthorized", "Unauthorized"), says(thing("a"))) as server:
        api = connect(monkeypatch, tmp_path, server, user)
        for _ in range(3):
            api.get(PATH)
        assert [request[4] for request in server.requests] == ["Bearer t1"] * 2 + ["Bearer t2"] * 2


def test_a_plugin_that_fails_while_the_search_runs_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = tmp_path / "count"
    script = f'echo x >> {count}; N=$(wc -l < {count} | tr -d " "); [ $N = 2 ] && exit 1\n' + gives('{"token": "t$N"}')
    user = by_plugin(str(plugin(tmp_path / "plugin", script)))
    unknown = refuses(401, "Unauthorized", "Unauthorized")
    with serving(says(thing("a")), unknown, unknown, says(thing("a"))) as server:
        api = connect(monkeypatch, tmp_path, server, user)
        assert api.get(PATH) == api.get(PATH)
        assert server.requests[-1][4] == "Bearer t3"


def test_a_plugins_certificate_becomes_the_clients(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = credentials.make(["localhost"]).server
    status = {"clientCertificateData": made.certificate.decode(), "clientKeyData": made.key.decode()}
    # A shell keeps what JSON has escaped.
    user = by_plugin(str(plugin(tmp_path / "plugin", gives(json.dumps(status)).replace("<<END", "<<'END'"))))
    use(monkeypatch, tmp_path, kubeconfig("https://127.0.0.1:1", user))
    configuration = connection._client(tmp_path / "no-pod").configuration
    assert Path(configuration.cert_file).read_bytes() == made.certificate
    assert Path(configuration.key_file).read_bytes() == made.key


@pytest.mark.parametrize(
    ("name", "script", "words"),
    [
        (GKE_PLUGIN, None, [GKE_PLUGIN, "no such program", f"gcloud components install {GKE_PLUGIN}", "PATH"]),
        ("other", None, ["other", "no such program", "from example.org"]),
        (
            GKE_PLUGIN,
            "echo 'error: no account' >&2; echo 'Run it.' >&2; exit 3",
            [GKE_PLUGIN, "exit code 3", "error: no account Run it.", "gcloud auth login"],
        ),
        ("other", "exit 1", ["other failed (exit code 1): it said nothing"]),
        ("other", "echo secret-token", ["other printed what is no JSON", "by hand to see what: other …"]),
        (GKE_PLUGIN, "echo secret-token", ["no JSON", f"by hand to see what: {GKE_PLUGIN} …", "install it anew"]),
        ("other", gives("{}"), ["neither a token nor a certificate"]),
        ("other", 'echo \'{"apiVersion": "v9", "status": {"token": "secret-token"}}\'', ["speaks v9", "v1beta1"]),
    ],
)
def test_a_plugin_without_credentials_is_told_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, script: str | None, words: list[str]
) -> None:
    folder = tmp_path / "bin"
    if script is not None:
        plugin(folder / name, script)
    user = by_plugin(name, installHint="Get it\nfrom example.org")
    monkeypatch.setenv("PATH", str(folder))
    use(monkeypatch, tmp_path, kubeconfig("http://127.0.0.1:1", user))
    with pytest.raises(PluginError) as refusal:
        connection.from_environment(patience_seconds=20.0, in_pod=tmp_path)
    told = str(refusal.value)
    assert all(word in told for word in words), told
    assert "\n" not in told and "secret-token" not in told


def test_a_plugin_that_hangs_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exec_plugin, "_SECONDS", 0.2)
    settings = by_plugin(str(plugin(tmp_path / "slow", "exec sleep 30")))["exec"]
    with pytest.raises(PluginError, match="slow did not end within"):
        exec_plugin.run(settings, {}, tmp_path)
