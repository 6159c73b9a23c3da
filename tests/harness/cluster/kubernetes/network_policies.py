"""Whom the NetworkPolicies of an API server let through, by the rules of their API: the nodes here enforce none."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from tests.harness.cluster.kubernetes.api import Object


def admits(
    policies: Iterable[Object], to: Object, source: Object, port: int, namespaces: Mapping[str, Mapping[str, str]]
) -> bool:
    """Whether a pod may open a TCP connection to another one.

    Args:
      policies: of all namespaces.
      to: the pod that is called, of which metadata counts.
      source: the pod that calls.
      port: a number.
      namespaces: name -> labels.

    Raises:
      NotImplementedError: a policy has something that is not looked at here.
    """
    space = to["metadata"]["namespace"]
    rules = [
        rule
        for policy in policies
        if policy["metadata"]["namespace"] == space
        and "Ingress" in policy["spec"]["policyTypes"]
        and _selects(policy["spec"]["podSelector"], to["metadata"].get("labels", {}))
        # A policy without rules closes what it selects.
        for rule in [None, *policy["spec"].get("ingress", ())]
    ]
    return not rules or any(rule is not None and _passes(rule, space, source, port, namespaces) for rule in rules)


def _passes(rule: Object, space: str, source: Object, port: int, namespaces: Mapping[str, Mapping[str, str]]) -> bool:
    ports, peers = rule.get("ports", ()), rule.get("from", ())
    through = not ports or any(one.get("protocol", "TCP") == "TCP" and one.get("port", port) == port for one in ports)
    return through and (not peers or any(_is_peer(peer, space, source, namespaces) for peer in peers))


def _is_peer(peer: Object, space: str, source: Object, namespaces: Mapping[str, Mapping[str, str]]) -> bool:
    if set(peer) - {"podSelector", "namespaceSelector"}:
        raise NotImplementedError(f"a peer with {', '.join(peer)}")
    home = source["metadata"]["namespace"]
    near = _selects(peer["namespaceSelector"], namespaces[home]) if "namespaceSelector" in peer else home == space
    return near and _selects(peer.get("podSelector", {}), source["metadata"].get("labels", {}))


def _selects(selector: Object, labels: Mapping[str, str]) -> bool:
    if set(selector) - {"matchLabels"}:
        raise NotImplementedError(f"a selector with {', '.join(selector)}")
    return all(labels.get(key) == value for key, value in selector.get("matchLabels", {}).items())
