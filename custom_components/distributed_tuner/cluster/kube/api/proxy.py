"""The proxy between a kubeconfig's client and its API server: the kubeconfig's, else the environment's."""

from __future__ import annotations

import ipaddress
import os
import urllib.parse
import urllib.request
from collections.abc import Mapping
from typing import Any

from custom_components.distributed_tuner.cluster.base import ClusterError

_SCHEMES = ("http", "https")
_NO_PROXY = ("no_proxy", "NO_PROXY")


def use(configuration: Any, settings: Mapping[str, Any]) -> None:
    """Sets the proxy in the client's `Configuration`, which ignores the environment.

    Args:
      configuration: the client's, its `host` set.
      settings: `cluster` of the kubeconfig.

    Raises:
      ClusterError: this client cannot use the proxy.
    """
    server = urllib.parse.urlsplit(configuration.host)
    url, source = settings.get("proxy-url"), "the kubeconfig's proxy-url"
    if not url and not _is_direct(server.hostname or ""):
        url, source = urllib.request.getproxies_environment().get(server.scheme), f"{server.scheme.upper()}_PROXY"
    if not url:
        return
    # Without a scheme it is an HTTP proxy, for kubectl too. Its address may hold a password, so it is not shown.
    try:
        parts = urllib.parse.urlsplit(str(url) if "://" in str(url) else f"http://{url}")
        usable = parts.scheme in _SCHEMES and parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise ClusterError(f"{source} cannot be used: a proxy's address here is http://HOST:PORT or https://HOST:PORT")
    configuration.proxy = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
    if parts.username:
        import urllib3

        account = f"{urllib.parse.unquote(parts.username)}:{urllib.parse.unquote(parts.password or '')}"
        configuration.proxy_headers = urllib3.util.make_headers(proxy_basic_auth=account)


def _is_direct(host: str) -> bool:
    """Whether the environment's proxy is bypassed for this host: this machine itself, or one listed in NO_PROXY."""
    if host == "localhost" or urllib.request.proxy_bypass_environment(host):  # type: ignore[attr-defined]
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    listed = next((os.environ[name] for name in _NO_PROXY if name in os.environ), "")
    return address.is_loopback or any(address in network for network in _networks(listed))


def _networks(listed: str) -> list[Any]:
    """The networks in NO_PROXY, such as 10.0.0.0/8: Python's own parser knows names and addresses only."""
    found = []
    for entry in filter(None, map(str.strip, listed.split(","))):
        try:
            found.append(ipaddress.ip_network(entry, strict=False))
        except ValueError:
            continue
    return found
