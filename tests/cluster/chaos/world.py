"""The machines of a search, and what befalls them."""

from __future__ import annotations

import dataclasses
import random
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from tests.cluster.chaos.recovery import Disruption
from tests.cluster.chaos.watched import Watched, hit
from tests.harness.cluster.kubernetes.api import MERGE, Object
from tests.harness.cluster.kubernetes.control_plane import ControlPlane
from tests.harness.cluster.kubernetes.errors import ApiError
from tests.harness.cluster.node.node_pool import SPOT_LABELS, SPOT_TAINT, NodePool
from tests.harness.cluster.node.process_node import ProcessNode

POOL = "pool"
#: The groups of workers, as settings of the search. The chief shares machines with one of them.
GROUPS: Mapping[str, Mapping[str, Any]] = {
    "spot": {"spot": True},
    "steady": {"node_selector": {POOL: "steady"}},
    "extra": {"node_selector": {POOL: "extra"}},
}
CHIEF: Mapping[str, Any] = {"node_selector": {POOL: "steady"}}
NODES_OF_POOL = 2
#: How long the API server is away where its absence is what is tried.
AWAY_SECONDS = 30.0
SILENCE, AWAY = "silence-node", "api-away"
_SPOT_NOTICE_SECONDS = 2.0
_SILENCE_SECONDS = 180.0


@dataclasses.dataclass
class World:
    """Where the search runs.

    Attributes:
      plane: of the cluster.
      nodes: for the search's machines.
      choose: decides what is random.
      away_seconds: see AWAY_SECONDS.
      disruptions: those that came about.
    """

    plane: ControlPlane
    nodes: NodePool
    choose: random.Random
    away_seconds: float = AWAY_SECONDS
    disruptions: list[Disruption] = dataclasses.field(default_factory=list)
    _machines: list[tuple[str, ProcessNode]] = dataclasses.field(default_factory=list)
    _taken: set[str] = dataclasses.field(default_factory=set)
    _silent: dict[str, Iterator[Disruption | None]] = dataclasses.field(default_factory=dict)

    def settle(self) -> None:
        """Starts the machines of each group."""
        for group in GROUPS:
            for _ in range(NODES_OF_POOL):
                self._add(group)

    def strike(self, kind: str, watched: Watched) -> bool:
        """Brings a disruption about, or begins to; False if there was nothing to hit just now."""
        waited = self.waits
        try:
            disruption = KINDS[kind](self, watched)
        except ApiError:
            return False  # the pod was gone before its turn
        if disruption is not None:
            self._note(disruption)
        return disruption is not None or (self.waits and not waited)

    def go_on(self) -> None:
        """Looks after what was begun and has not come about yet."""
        for name, silent in list(self._silent.items()):
            disruption = next(silent)
            if disruption is not None:
                del self._silent[name]
                self._note(disruption)

    @property
    def waits(self) -> bool:
        """Whether a disruption has begun that has not come about yet."""
        return bool(self._silent)

    def _note(self, disruption: Disruption) -> None:
        self.disruptions.append(disruption)
        self._taken |= {hit.pod for hit in disruption.hits}

    def _add(self, group: str) -> None:
        if group == "spot":
            node = self.nodes.add(labels={**SPOT_LABELS, POOL: group}, taints=[SPOT_TAINT])
        else:
            node = self.nodes.add(labels={POOL: group})
        self._machines.append((group, node))

    def _replace(self, group: str, node: ProcessNode) -> None:
        """The cloud removes a machine that is gone, and brings another one."""
        self._machines.remove((group, node))
        self.nodes.remove(node)
        self._add(group)

    def _live(self, watched: Watched, *, chief: bool = False) -> list[Object]:
        return [
            pod
            for pod in watched.live(chief=chief)
            if pod["metadata"]["name"] not in self._taken and pod["spec"]["nodeName"] not in self._silent
        ]

    def _occupied(
        self, watched: Watched, groups: Mapping[str, Any] = GROUPS
    ) -> tuple[str, ProcessNode, list[Object]] | None:
        """A machine that pods run on, and these."""
        pods = [*self._live(watched), *self._live(watched, chief=True)]
        machines = [
            (group, node, on_it)
            for group, node in self._machines
            if group in groups and (on_it := [pod for pod in pods if pod["spec"]["nodeName"] == node.name])
        ]
        return self.choose.choice(machines) if machines else None


def _evict_worker(world: World, watched: Watched) -> Disruption | None:
    pods = world._live(watched)
    return _evict(watched, "evict-worker", [world.choose.choice(pods)]) if pods else None


def _evict_chief(world: World, watched: Watched) -> Disruption | None:
    pods = world._live(watched, chief=True)
    return _evict(watched, "evict-chief", pods) if pods else None


def _drain(world: World, watched: Watched) -> Disruption | None:
    """All pods leave a machine, which takes no others meanwhile."""
    found = world._occupied(watched)
    if found is None:
        return None
    _, node, pods = found
    path = f"/api/v1/nodes/{node.name}"
    api = watched.made.namespace.api
    api.patch(path, {"spec": {"unschedulable": True}}, MERGE)
    try:
        return _evict(watched, "drain-node", pods)
    finally:
        api.patch(path, {"spec": {"unschedulable": None}}, MERGE)


def _preempt(world: World, watched: Watched) -> Disruption | None:
    """A spot machine is taken away in good order."""
    found = world._occupied(watched, {"spot": True})
    if found is None:
        return None
    group, node, pods = found
    at = time.time()
    node.preempt(_SPOT_NOTICE_SECONDS)
    world._replace(group, node)
    return Disruption("preempt-spot", at, [hit(pod) for pod in pods])


def _kill_node(world: World, watched: Watched) -> Disruption | None:
    """A machine is gone from one moment to the next."""
    found = world._occupied(watched)
    if found is None:
        return None
    group, node, pods = found
    at = time.time()
    world._replace(group, node)
    return Disruption("kill-node", at, [hit(pod) for pod in pods])


def _silence(world: World, watched: Watched) -> None:
    """A machine's way to the API server is cut until its pods count as lost; they run on meanwhile."""
    found = world._occupied(watched)
    if found is not None and not world.waits:
        _, node, pods = found
        node.cut_off()
        world._silent[node.name] = _reconnected(node, watched, {pod["metadata"]["uid"]: pod for pod in pods})


def _reconnected(node: ProcessNode, watched: Watched, pods: Mapping[str, Object]) -> Iterator[Disruption | None]:
    """Waits until a silent machine's pods are given up; then it hears of that, and that is the disruption."""
    ends = time.monotonic() + _SILENCE_SECONDS
    while time.monotonic() < ends:
        try:
            there = {pod["metadata"]["uid"]: pod for pod in watched.pods()}
        except ApiError:
            yield None
            continue
        if all("deletionTimestamp" in there[uid]["metadata"] for uid in pods if uid in there):
            break
        yield None
    at = time.time()
    node.reconnect()
    yield Disruption(SILENCE, at, [hit(pod) for pod in pods.values()])


def _restart_api(world: World, watched: Watched) -> Disruption:
    return _without_api(world, "restart-api", 0.0)


def _api_away(world: World, watched: Watched) -> Disruption:
    return _without_api(world, AWAY, world.away_seconds)


def _without_api(world: World, kind: str, seconds: float) -> Disruption:
    at = time.time()
    world.plane.restart_api_server(away_seconds=seconds)
    return Disruption(kind, at, over=time.time())


def _evict(watched: Watched, kind: str, pods: list[Object]) -> Disruption | None:
    at = time.time()
    hits = []
    for pod in pods:
        try:
            watched.made.namespace.evict(pod)
        except ApiError as error:
            if error.status != 404:
                raise
        else:
            hits.append(hit(pod))
    return Disruption(kind, at, hits) if hits else None


#: Each kind by its name. SILENCE comes about later, see `World.go_on`.
KINDS: Mapping[str, Callable[[World, Watched], Disruption | None]] = {
    "evict-worker": _evict_worker,
    "evict-chief": _evict_chief,
    "drain-node": _drain,
    "preempt-spot": _preempt,
    "kill-node": _kill_node,
    SILENCE: _silence,
    "restart-api": _restart_api,
    AWAY: _api_away,
}
