"""The command line's part for searches on Kubernetes: `render`, `scale`, `members`, `logs`.

Each command imports for itself what talks to the API server: inspecting a search in a folder does not wait for that.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from custom_components.distributed_tuner.cli.terminal import fail, say
from custom_components.distributed_tuner.cluster.kube.manifests import names

if TYPE_CHECKING:
    from custom_components.distributed_tuner.cluster.kube.api.client import KubernetesApi
    from custom_components.distributed_tuner.cluster.kube.running import Running

_PATIENCE_SECONDS = 20.0

SearchArgument = Annotated[
    str, typer.Argument(metavar="SEARCH", help="The search's name: the label distributed-tuner/search of its Jobs.")
]
NamespaceOption = Annotated[
    str | None, typer.Option(help="Where it runs; default: the pod's own, or that of the kubeconfig's context.")
]


def add_to(app: typer.Typer) -> None:
    """Adds the commands."""
    for command in (render, scale, members, logs):
        app.command()(command)


def render(
    settings: Annotated[
        Path, typer.Argument(help="The cluster's settings, YAML or JSON: the file of CLUSTER_OPTIONS.")
    ],
    pipeline: Annotated[str, typer.Option(help="The pipeline's name.")] = "pipeline",
    run: Annotated[str, typer.Option(help="The run's id.")] = "run",
    node: Annotated[str, typer.Option(help="The id of the tuner's node.")] = "DistributedTuner",
    directory: Annotated[str, typer.Option(help="The search directory, as the pods see it.")] = "/search",
    workers: Annotated[int, typer.Option(min=0, help="As num_workers of the component.")] = 2,
    options: Annotated[str, typer.Option(help="SearchOptions as JSON.")] = "{}",
) -> None:
    """Prints a search's manifests, without a cluster. Secrets are left out of their Secrets."""
    import yaml

    from custom_components.distributed_tuner.cluster.kube import place
    from custom_components.distributed_tuner.cluster.kube.manifests import rendering
    from custom_components.distributed_tuner.cluster.kube.manifests.names import SearchName
    from custom_components.distributed_tuner.cluster.kube.manifests.plan import Plan
    from custom_components.distributed_tuner.cluster.kube.settings import file as settings_file
    from custom_components.distributed_tuner.cluster.kube.settings.options import (
        KubernetesOptions,
        KubernetesOptionsError,
    )
    from custom_components.distributed_tuner.options import SearchOptions

    try:
        chosen = KubernetesOptions.from_mapping(settings_file.read(settings))
    except ValueError as error:
        raise typer.BadParameter(f"{settings}: {error}", param_hint="SETTINGS") from error
    try:
        search = SearchOptions.from_json(options)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--options") from error
    plan = Plan(
        search=SearchName(pipeline, run, node),
        namespace=chosen.namespace or place.DEFAULT_NAMESPACE,
        root=directory,
        options=chosen,
        grace_seconds=search.grace_seconds,
        lock_seconds=search.chief_timeout_seconds,
        attempt="attempt",
    )
    try:
        documents = list(rendering.rendered(plan, chosen.counts(workers)))
    except KubernetesOptionsError as error:
        raise typer.BadParameter(str(error), param_hint="--workers") from error
    say(yaml.safe_dump_all(documents, sort_keys=False, default_flow_style=False, width=120), newline=False)


def scale(
    search: SearchArgument,
    group: Annotated[str, typer.Option(help="The group of workers.")],
    workers: Annotated[int, typer.Option(min=0, help="How many it should have.")],
    namespace: NamespaceOption = None,
) -> None:
    """Changes how many workers a running search has. Those that go give their trials back first."""
    from custom_components.distributed_tuner.cluster.kube.control import objects

    with _reaching(namespace) as (api, where):
        objects.scale(api, where, search, group, workers)
    say(f"search {search}: group {group} has {workers} workers from now on")


def members(search: SearchArgument, namespace: NamespaceOption = None) -> None:
    """The chief and the workers of a running search: their states, restarts, and what they wait for."""
    from custom_components.distributed_tuner.cluster.kube import running

    with _reaching(namespace) as (api, where):
        seen = running.see(api, where, search)
    for each in seen:
        say(running.line(each.member))


def logs(
    search: SearchArgument,
    member: Annotated[str, typer.Argument(help="`chief`, or a worker such as `spot-3`.")] = names.CHIEF,
    lines: Annotated[int, typer.Option(min=1, help="How many of the last lines.")] = 100,
    namespace: NamespaceOption = None,
) -> None:
    """The log of the chief or of a worker of a running search."""
    from custom_components.distributed_tuner.cluster.base import ClusterError
    from custom_components.distributed_tuner.cluster.kube import running
    from custom_components.distributed_tuner.cluster.kube.control import objects

    with _reaching(namespace) as (api, where):
        begun = {entry.member.name: entry.begun for entry in running.see(api, where, search)}
        if member not in begun:
            raise ClusterError(f"search {search} has no {member}; it has {', '.join(begun)}")
        if not begun[member]:
            raise ClusterError(f"{member} has no pod that runs yet; `members {search}` tells what it waits for")
        say(objects.read_log(api, where, begun[member][0], lines))


def look_up(search: str, namespace: str | None) -> Running:
    """Finds a running search, for commands that accept its directory as well.

    Args:
      search: its name on Kubernetes.
      namespace: of the search; None takes the pod's own, or that of the kubeconfig's context.

    Raises:
      typer.Exit: no such search; the reason has been printed.
    """
    from custom_components.distributed_tuner.cluster.kube import running

    with _reaching(namespace, f"{search} is no folder here; as the name of a search on Kubernetes: ") as (api, where):
        return running.find(api, where, search)


@contextlib.contextmanager
def _reaching(namespace: str | None, before: str = "") -> Iterator[tuple[KubernetesApi, str]]:
    """Yields the API server and the namespace; a ClusterError ends the command with its message."""
    from custom_components.distributed_tuner.cluster.base import ClusterError
    from custom_components.distributed_tuner.cluster.kube import place
    from custom_components.distributed_tuner.cluster.kube.api import connection

    try:
        yield (
            connection.from_environment(patience_seconds=_PATIENCE_SECONDS),
            namespace or place.own_namespace() or place.context_namespace(),
        )
    except ClusterError as error:
        fail(f"{before}{error}")
