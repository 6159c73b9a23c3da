"""The kubeconfig: KUBECONFIG or ~/.kube/config. Errors in it are reported in one line."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import yaml

from custom_components.distributed_tuner.cluster.base import ClusterError
from custom_components.distributed_tuner.cluster.kube.api import bearer, exec_plugin, proxy

_DEFAULT = "~/.kube/config"
_PARTS = {"clusters": "cluster", "contexts": "context", "users": "user"}
# Keys of a user that make the API server impersonate another account; the kubernetes client ignores them.
_IMPERSONATION = ("as", "as-uid", "as-groups", "as-user-extra")
_WHERE = (
    "In a pod its service account's token must be mounted; elsewhere KUBECONFIG or ~/.kube/config names the cluster "
    "(for GKE: gcloud container clusters get-credentials CLUSTER)"
)


def load(configuration: Any) -> None:
    """Sets server and credentials of the current context in the client's `Configuration`.

    Raises:
      ClusterError: there is no kubeconfig, it cannot be read, its credential plugin fails, or it needs something that
        is not supported here.
    """
    from kubernetes.config import kube_config

    loader = _loader()
    _check_user(loader)

    def from_exec_plugin() -> bool | None:
        settings = loader._user.value.get("exec")
        if not isinstance(settings, dict):
            return None
        folder = Path(loader._user.path or "").absolute().parent
        status = exec_plugin.run(settings, loader._cluster.value, folder)
        if "token" in status:
            loader.token = f"Bearer {status['token']}"
        if "clientCertificateData" in status:
            for key, name in (("clientCertificateData", "cert_file"), ("clientKeyData", "key_file")):
                held = kube_config.FileOrData(status, None, data_key_name=key, base64_file_content=False)
                setattr(loader, name, held.as_file())
        return True

    # The client's own method only logs that a plugin failed, and goes on as system:anonymous.
    loader._load_from_exec_plugin = from_exec_plugin
    try:
        loader.load_and_set(configuration)
        if "authorization" in configuration.api_key:
            sent = configuration.api_key["authorization"]
            configuration.api_key["authorization"] = bearer.header(sent, _source(loader))
        proxy.use(configuration, loader._cluster.value)
        # Named as in later clients; `connection` passes it on.
        configuration.tls_server_name = loader._cluster.value.get("tls-server-name")
    except ClusterError:
        raise
    except Exception as error:
        raise _unusable(error) from error


def context_namespace() -> str | None:
    """The namespace of the current context; None if it names none, or there is no kubeconfig.

    Raises:
      ClusterError: the kubeconfig cannot be read.
    """
    if not _files():
        return None
    namespace = _loader().current_context.get("context", {}).get("namespace")
    return str(namespace) if namespace else None


def _loader() -> Any:
    from kubernetes.config import kube_config

    files = _files()
    if not files:
        raise ClusterError(
            f"no Kubernetes cluster is known here: there is no kubeconfig at {_location()}, or an empty one. {_WHERE}"
        )
    try:
        merged = kube_config.KubeConfigMerger(os.pathsep.join(files))
        for kind in _PARTS:
            for node in merged.config.value[kind]:
                # The client's own name for it, shown in its errors, is its whole content, tokens included.
                node.name = f"{node.path}/{kind}[name={node.value['name']}]"
        return kube_config.KubeConfigLoader(
            config_dict=merged.config, config_base_path=None, config_persister=merged.save_changes
        )
    except Exception as error:
        raise _unusable(error) from error


def _check_user(loader: Any) -> None:
    user, context = loader._user, loader._current_context.value
    name = context["context"].get("user")
    if user is None and name:
        raise ClusterError(
            f"the kubeconfig at {_location()} has no user {name}, which its context {context['name']} names. Correct "
            "the context's user, or add this one. For GKE, gcloud container clusters get-credentials CLUSTER makes the "
            "kubeconfig anew"
        )
    if user is not None and not isinstance(user.value.get("exec") or {}, dict):
        raise ClusterError(
            f"the kubeconfig {user.path} is damaged: `exec` of its user {name} is no mapping with apiVersion and "
            "command"
        )
    asked = [key for key in _IMPERSONATION if user is not None and user.value.get(key)]
    if asked:
        raise ClusterError(
            f"the kubeconfig {user.path} has `{asked[0]}` for its user, and this client cannot act as somebody else. "
            "Take a context whose credentials are the account's own (for a service account: kubectl create token NAME)"
        )


def _source(loader: Any) -> str:
    """Whose credentials a `KubeConfigLoader` has loaded."""
    user, path = loader._user.value, Path(loader._user.path or "").absolute()
    if "token" in user or "auth-provider" in user:
        return f"the kubeconfig {path}"
    if "tokenFile" in user:
        return f"the file {path.parent / str(user['tokenFile'])}"
    if "exec" in user:
        return f"the credential plugin {user['exec'].get('command')}"
    return f"the kubeconfig {path}"


def _location() -> str:
    return os.environ.get("KUBECONFIG") or _DEFAULT


def _files() -> list[str]:
    """The kubeconfig files that exist and are not empty."""
    found = [Path(name).expanduser() for name in _location().split(os.pathsep) if name]
    return [str(file) for file in found if file.exists() and _check(file)]


def _check(file: Path) -> bool:
    """Whether the file has any content.

    Raises:
      ClusterError: it is not a kubeconfig.
    """
    try:
        content = yaml.safe_load(file.read_text("utf-8"))
    except OSError as error:
        raise ClusterError(f"the kubeconfig {file} cannot be read: {error.strerror}") from error
    except (ValueError, yaml.YAMLError) as error:
        # The error's own message quotes the line, which may hold a token.
        mark = getattr(error, "problem_mark", None)
        where = f": see line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise ClusterError(f"the kubeconfig {file} is no YAML{where}") from None
    if content is None:
        return False
    if not isinstance(content, dict):
        raise ClusterError(f"the kubeconfig {file} is none: it holds no object with clusters, contexts and users")
    for kind, part in _PARTS.items():
        entries = content.get(kind) or []
        if not isinstance(entries, list) or not all(
            isinstance(entry, dict) and "name" in entry and isinstance(entry.get(part) or {}, dict) for entry in entries
        ):
            raise ClusterError(
                f"the kubeconfig {file} is damaged: {kind} must be a list of objects with name and {part}"
            )
    return True


def _unusable(error: Exception) -> ClusterError:
    return ClusterError(f"the kubeconfig at {_location()} cannot be used: {_one_line(error)}. {_WHERE}")


def _one_line(error: Exception) -> str:
    return " ".join((str(error) or type(error).__name__).split()).rstrip(".")
