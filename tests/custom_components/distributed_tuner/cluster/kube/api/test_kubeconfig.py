"""Kubeconfigs that are not what they should be: one line each."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from custom_components.distributed_tuner.cluster.base import ClusterError
from custom_components.distributed_tuner.cluster.kube import place
from custom_components.distributed_tuner.cluster.kube.api import connection, kubeconfig
from tests.custom_components.distributed_tuner.cluster.kube import kubeconfigs

GOOD = kubeconfigs.kubeconfig("http://127.0.0.1:1", {"token": "t"}, "team")


def test_the_namespace_is_that_of_the_current_context(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kubeconfigs.use(monkeypatch, tmp_path, GOOD)
    assert place.context_namespace() == "team"
    kubeconfigs.use(monkeypatch, tmp_path, kubeconfigs.kubeconfig("http://127.0.0.1:1", {}))
    assert place.context_namespace() == "default"
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    assert place.context_namespace() == "default"


def test_files_that_are_not_there_or_empty_are_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = kubeconfigs.use(monkeypatch, tmp_path, GOOD)
    (tmp_path / "empty").touch()
    monkeypatch.setenv("KUBECONFIG", f"{tmp_path / 'none'}:{tmp_path / 'empty'}:{file}")
    assert kubeconfig.context_namespace() == "team"


def test_an_empty_variable_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("KUBECONFIG", "")
    with pytest.raises(ClusterError, match=r"there is no kubeconfig at ~/\.kube/config.*get-credentials"):
        connection.from_environment(patience_seconds=1.0, in_pod=tmp_path)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no Kubernetes cluster is known here"),
        ("{a: [", "is no YAML"),
        ("\0", "is no YAML"),
        ("- a", "is none"),
        ("just words", "is none"),
        ("{clusters: 3}", "is damaged: clusters"),
        ("{users: [3]}", "is damaged: users"),
        ("{contexts: [{name: a, context: b}]}", "is damaged: contexts"),
        ("{clusters: []}", "cannot be used"),
        (yaml.safe_dump({**GOOD, "current-context": "there"}), "there"),
        (
            yaml.safe_dump(
                {
                    **GOOD,
                    "clusters": [
                        {"name": "c", "cluster": {"server": "https://x", "certificate-authority-data": "not base64"}}
                    ],
                }
            ),
            "cannot be used",
        ),
        (yaml.safe_dump({**GOOD, "users": [{"name": "v", "user": {}}]}), "has no user u, which its context here names"),
        (yaml.safe_dump({**GOOD, "users": []}), "has no user u, which its context here names"),
        (
            yaml.safe_dump(kubeconfigs.kubeconfig("http://127.0.0.1:1", {"exec": "gcloud"})),
            "`exec` of its user u is no",
        ),
        (None, "cannot be read: Is a directory"),
    ],
)
def test_what_is_no_kubeconfig_is_told_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str | None, words: str
) -> None:
    file = tmp_path / "config"
    if text is None:
        file.mkdir()
    else:
        file.write_text(text)
    monkeypatch.setenv("KUBECONFIG", str(file))
    with pytest.raises(ClusterError) as refusal:
        connection.from_environment(patience_seconds=1.0, in_pod=tmp_path)
    assert words in str(refusal.value) and "\n" not in str(refusal.value)
