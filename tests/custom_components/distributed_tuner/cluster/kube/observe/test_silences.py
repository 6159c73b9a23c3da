"""Those of whom nothing is left are counted all the same."""

from __future__ import annotations

from custom_components.distributed_tuner.cluster.base import SILENCED, Loss
from custom_components.distributed_tuner.cluster.kube.observe.members import Seen, view
from custom_components.distributed_tuner.cluster.kube.observe.silences import Silences
from tests.custom_components.distributed_tuner.cluster.kube.things import job, pod

CHIEF, SPOT = job(None), job("spot", 2)


def seen(*pods: dict[str, object]) -> Seen:
    return view([CHIEF, SPOT], pods, "ml")[1]


def test_a_member_has_the_ends_of_its_silent_pods() -> None:
    silences = Silences()
    silences.pods |= {"a", "lost"}
    crashed = pod(SPOT, 0, "Failed", exit_code=139)
    assert silences.shown(seen(crashed)).member.restarts == 1
    # Its node was gone; and another's.
    silences.note([Loss("spot-0", "", "lost", fault=False), Loss("spot-1", "", "a")])
    assert silences.shown(seen(crashed)) == seen(crashed)
    silences.note([Loss("spot-0", "", "a")])
    member = silences.shown(seen(crashed)).member
    assert (member.restarts, member.end, member.silenced) == (2, SILENCED, True)


def test_a_later_end_is_told_as_itself() -> None:
    silences = Silences()
    silences.pods.add("a")
    silences.note([Loss("spot-0", "", "a"), Loss("spot-0", "", "b")])
    member = silences.shown(seen(pod(SPOT, 0, "Failed", exit_code=139), pod(SPOT, 0, created=1))).member
    assert (member.restarts, member.silenced) == (2, False) and "exit code 139" in member.end
