"""Finds the API server: that of the pod this process runs in, else that of the kubeconfig."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from custom_components.distributed_tuner.cluster.base import ClusterError
from custom_components.distributed_tuner.cluster.kube.api import bearer, kubeconfig
from custom_components.distributed_tuner.cluster.kube.api.client import KubernetesApi

SERVICE_ACCOUNT_DIR = Path("/var/run/secrets/kubernetes.io/serviceaccount")


def from_environment(*, patience_seconds: float, in_pod: Path = SERVICE_ACCOUNT_DIR) -> KubernetesApi:
    """The API server of the pod this process runs in, else of the kubeconfig.

    Args:
      patience_seconds: see `KubernetesApi`.
      in_pod: where a pod's service account is mounted.

    Raises:
      ClusterError: there is neither, or it cannot be used.
    """
    return KubernetesApi(lambda: _client(in_pod), patience_seconds=patience_seconds)


def _client(in_pod: Path) -> Any:
    import kubernetes.client
    import kubernetes.config
    from kubernetes.config import incluster_config

    configuration = kubernetes.client.Configuration()
    if (in_pod / "token").is_file():
        loader = incluster_config.InClusterConfigLoader(
            str(in_pod / "token"), str(in_pod / "ca.crt"), try_refresh_token=False
        )
        try:
            loader.load_and_set(configuration)
        except (kubernetes.config.ConfigException, OSError) as error:
            raise ClusterError(f"the pod's service account in {in_pod} cannot be used: {error}") from error
        # The kubelet renews the file long before the token in it expires.
        configuration.get_api_key_with_prefix = lambda *_: bearer.header(
            f"Bearer {(in_pod / 'token').read_text()}", f"the file {in_pod / 'token'}"
        )
    else:
        kubeconfig.load(configuration)
    # Only `KubernetesApi` retries.
    configuration.retries = False
    configuration.client_side_validation = False
    client = kubernetes.client.ApiClient(configuration)
    if name := getattr(configuration, "tls_server_name", None):
        client.rest_client.pool_manager.connection_pool_kw["server_hostname"] = name
    return client
