"""All of a search's objects at once, for people to review before the search exists."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from custom_components.distributed_tuner.cluster.kube.manifests import manifests, names
from custom_components.distributed_tuner.cluster.kube.manifests.manifests import Manifest
from custom_components.distributed_tuner.cluster.kube.manifests.plan import Plan
from custom_components.distributed_tuner.rpc import credentials

_SECRET = "made at the start of the search"


def rendered(plan: Plan, counts: Mapping[str, int]) -> Iterator[Manifest]:
    """All manifests of a search in the order of their creation, without owners and secrets.

    Args:
      plan: the search.
      counts: how many workers each group has.
    """
    yield manifests.chief_job(plan)
    files = {
        names.CHIEF: (credentials.TOKEN_FILE, credentials.CERTIFICATE_FILE, credentials.KEY_FILE),
        names.WORKER: (credentials.TOKEN_FILE, credentials.AUTHORITY_FILE),
    }
    for component, keys in files.items():
        yield manifests.secret(plan, component, dict.fromkeys(keys, _SECRET))
    yield manifests.service(plan)
    yield manifests.network_policy(plan)
    for group in plan.options.groups:
        yield manifests.worker_job(plan, group, counts[group.name])
