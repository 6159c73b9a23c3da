"""Kubeconfigs and credential plugins as tests need them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

VERSION = "client.authentication.k8s.io/v1beta1"


def kubeconfig(server: str, user: dict[str, Any], namespace: str | None = None) -> dict[str, Any]:
    """A kubeconfig with one context."""
    context = {"cluster": "c", "user": "u", **({"namespace": namespace} if namespace else {})}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "here",
        "clusters": [{"name": "c", "cluster": {"server": server}}],
        "contexts": [{"name": "here", "context": context}],
        "users": [{"name": "u", "user": user}],
    }


def use(monkeypatch: pytest.MonkeyPatch, folder: Path, content: dict[str, Any]) -> Path:
    """Makes it this process's."""
    file = folder / "config"
    file.write_text(yaml.safe_dump(content))
    monkeypatch.setenv("KUBECONFIG", str(file))
    return file


def by_plugin(command: str, **more: Any) -> dict[str, Any]:
    """A user whose credentials a program has."""
    return {"exec": {"apiVersion": VERSION, "command": command, "interactiveMode": "Never", **more}}


def plugin(file: Path, script: str) -> Path:
    """A program."""
    file.parent.mkdir(exist_ok=True)
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)
    return file


def gives(status: str) -> str:
    """The script of a program that answers with this status, as JSON."""
    return f"""/bin/cat <<END
{{"apiVersion": "{VERSION}", "kind": "ExecCredential", "status": {status}}}
END"""
