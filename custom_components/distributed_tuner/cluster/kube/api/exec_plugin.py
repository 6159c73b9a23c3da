"""Credentials from a program that the kubeconfig names, such as gke-gcloud-auth-plugin.

The kubernetes client runs such programs too, but goes on without credentials where one fails.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from custom_components.distributed_tuner.cluster.base import ClusterError

GKE_PLUGIN = "gke-gcloud-auth-plugin"
INSTALL = (
    f"`gcloud components install {GKE_PLUGIN}` installs it (from Google's apt or yum repository: the package "
    f"google-cloud-cli-{GKE_PLUGIN})"
)

_SECONDS = 60.0
_VARIABLE = "KUBERNETES_EXEC_INFO"


class PluginError(ClusterError):
    """The program is missing, failed, or printed something unexpected."""


def run(settings: Mapping[str, Any], cluster: Mapping[str, Any], folder: Path) -> dict[str, str]:
    """Runs the program once.

    Args:
      settings: `exec` of the kubeconfig's user.
      cluster: `cluster` of the kubeconfig's cluster, for a program that asks for it (`provideClusterInfo`).
      folder: that of the kubeconfig, which a relative path of the program is resolved against.

    Returns:
      Its `status`: `token`, or `clientCertificateData` and `clientKeyData`.

    Raises:
      PluginError: no credentials; the message has the program's name, its output and what to do.
    """
    command, version = str(settings.get("command", "")), str(settings.get("apiVersion", ""))
    if not command or not version:
        raise PluginError("the kubeconfig's user has an `exec` without command or apiVersion")
    program = str(folder / command) if os.sep in command else command
    name = os.path.basename(command)
    spec: dict[str, Any] = {"interactive": False}
    if settings.get("provideClusterInfo"):
        spec["cluster"] = dict(cluster)
    told = json.dumps({"apiVersion": version, "kind": "ExecCredential", "spec": spec})
    more = {str(entry["name"]): str(entry["value"]) for entry in settings.get("env") or ()}
    try:
        done = subprocess.run(
            [program, *map(str, settings.get("args") or ())],
            env={**os.environ, **more, _VARIABLE: told},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_SECONDS,
        )
    except FileNotFoundError:
        raise PluginError(
            f"the kubeconfig takes credentials from {name}, and there is no such program here. {_hint(settings, name)}"
        ) from None
    except OSError as error:
        raise PluginError(f"the kubeconfig's credential plugin {name} cannot be run: {error.strerror}") from None
    except subprocess.TimeoutExpired:
        raise PluginError(f"the kubeconfig's credential plugin {name} did not end within {_SECONDS:g} s") from None
    if done.returncode != 0:
        # Credentials are JSON, on its standard output.
        words = _one_line(done.stderr) or ("" if "{" in done.stdout else _one_line(done.stdout)) or "it said nothing"
        raise PluginError(
            f"the kubeconfig's credential plugin {name} failed (exit code {done.returncode}): {words}.{_login(name)}"
        )
    return _status(command, version, done.stdout)


def _status(command: str, version: str, output: str) -> dict[str, str]:
    # Its output may hold a token and is never shown.
    name = os.path.basename(command)
    try:
        answer = json.loads(output)
    except ValueError:
        fix = f". To install it anew: `gcloud components remove {GKE_PLUGIN}`; {INSTALL}" if name == GKE_PLUGIN else ""
        raise PluginError(
            f"the kubeconfig's credential plugin {name} printed what is no JSON. Run it by hand to see what: "
            f"{command} …{fix}"
        ) from None
    said = answer.get("apiVersion") if isinstance(answer, dict) else None
    if said != version:
        raise PluginError(
            f"the kubeconfig's credential plugin {name} speaks {said}, and the kubeconfig asks for {version}: make the "
            "kubeconfig anew, or install the plugin's current version"
        )
    status = answer.get("status")
    if not isinstance(status, dict) or not (
        status.get("token") or (status.get("clientCertificateData") and status.get("clientKeyData"))
    ):
        raise PluginError(f"the kubeconfig's credential plugin {name} gave neither a token nor a certificate")
    return {str(key): str(value) for key, value in status.items()}


def _hint(settings: Mapping[str, Any], name: str) -> str:
    if name == GKE_PLUGIN:
        return f"{INSTALL}; it must be on the PATH"
    return _one_line(str(settings.get("installHint") or "")) or "Install it, or put it on the PATH"


def _login(name: str) -> str:
    if name != GKE_PLUGIN:
        return ""
    return " `gcloud auth login` (for a service account, `gcloud auth activate-service-account`) gives it an account"


def _one_line(text: str) -> str:
    return " ".join(text.split()).rstrip(".")
