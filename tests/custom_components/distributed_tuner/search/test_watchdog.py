"""Who waits in vain is told, and why; who only waits is left alone."""

from __future__ import annotations

import re
from typing import Any

import pytest

from custom_components.distributed_tuner.cluster.base import Member, MemberState, Snapshot
from custom_components.distributed_tuner.errors import SearchError
from custom_components.distributed_tuner.options import SearchOptions
from custom_components.distributed_tuner.record.record import SearchRecord
from custom_components.distributed_tuner.search.watchdog import Watchdog
from tests.custom_components.distributed_tuner.records import search as search_record
from tests.custom_components.distributed_tuner.records import trial

OPTIONS = SearchOptions(lease_seconds=10.0, grace_seconds=5.0, start_seconds=100.0, chief_timeout_seconds=50.0)
STARTED = search_record(trial("0", 1.0))


class Logs:
    """Stands for the cluster, of which only logs are asked."""

    def tail(self, member: str, lines: int = 20) -> str:
        """The last words."""
        return f"the last words of {member}"


class Watched:
    """A watchdog on a clock of the test's own."""

    def __init__(self, options: SearchOptions = OPTIONS) -> None:
        self.now = 0.0
        cluster: Any = Logs()
        self.dog = Watchdog(options, cluster, lambda: self.now)

    def check(self, *workers: Member, chief: Member | None = None, record: SearchRecord | None = STARTED) -> None:
        """As a run does."""
        self.dog.check(Snapshot(chief or member("chief"), workers), record)


def member(name: str, restarts: int = 0, code: int | None = None, **more: Any) -> Member:
    return Member(name, more.pop("state", MemberState.RUNNING), restarts, code, f"exit code {code}", "its.log", **more)


@pytest.fixture
def watched() -> Watched:
    return Watched()


def test_workers_that_all_die_at_every_start_end_the_search(watched: Watched) -> None:
    watched.check(member("a", 3, 139), member("b", 4, 139))
    with pytest.raises(SearchError, match="all workers die as soon as they are started, a 4 times"):
        watched.check(member("a", 4, 139), member("b", 4, 139))


def test_deaths_before_something_happened_do_not_count(watched: Watched) -> None:
    watched.dog.changed(Snapshot(member("chief", 11, 1), [member("a", 3, 139)]))
    watched.check(member("a", 6, 139), chief=member("chief", 22, 1))
    with pytest.raises(SearchError):
        watched.check(member("a", 7, 139))


def test_killed_workers_are_given_more_starts(watched: Watched) -> None:
    watched.check(member("a", 15, 137))
    with pytest.raises(SearchError):
        watched.check(member("a", 16, 137))


def test_workers_that_were_killed_for_their_silence_have_themselves_to_blame(watched: Watched) -> None:
    watched.check(member("a", 3, 137, silenced=True))
    with pytest.raises(SearchError, match="the last time with it said nothing"):
        watched.check(member("a", 4, 137, silenced=True, end="it said nothing"))


def test_workers_that_die_at_every_start_are_not_waited_for_beside_those_that_never_come(watched: Watched) -> None:
    never = member("b", state=MemberState.PENDING, waiting=True)
    dying, between = member("a", 9, 139), member("a", 9, 139, state=MemberState.PENDING, waiting=True)
    for seconds in range(0, 900, 30):
        watched.now = float(seconds)
        watched.check(dying if seconds % 60 else between, never)
    # Another one had a machine for a moment, and may do better.
    watched.check(dying, member("b"))
    watched.now = 1799.0
    watched.check(dying, never)
    watched.now = 2700.0
    with pytest.raises(SearchError, match="all workers but 1, which wait for machines, die as soon as"):
        watched.check(dying, never)


@pytest.mark.parametrize(("code", "starts"), [(139, 12), (137, 40)])
def test_a_chief_that_dies_again_and_again_ends_the_search(watched: Watched, code: int, starts: int) -> None:
    watched.check(chief=member("chief", starts - 1, code))
    with pytest.raises(SearchError, match=f"the chief died {starts} times and the search did not go on"):
        watched.check(chief=member("chief", starts, code))


def test_a_chief_that_ended_is_waited_for_only_shortly(watched: Watched) -> None:
    ended = member("chief", 0, 0, state=MemberState.SUCCEEDED)
    watched.check(chief=ended)
    watched.now = 16.0
    with pytest.raises(SearchError, match="the chief ended before the search did, with exit code 0"):
        watched.check(chief=ended)


def test_a_chief_that_waits_for_a_machine_is_not_silent(watched: Watched) -> None:
    watched.now = 1000.0
    watched.check(chief=member("chief", state=MemberState.PENDING, waiting=True))
    watched.dog.check_silence()
    watched.now = 1051.0
    with pytest.raises(SearchError, match="the chief was not heard of for 50 s"):
        watched.dog.check_silence()


@pytest.mark.parametrize("record", [None, STARTED])
def test_workers_that_give_up_on_a_chief_without_a_machine_are_not_at_fault(
    watched: Watched, record: SearchRecord | None
) -> None:
    waiting = member("chief", state=MemberState.PENDING, waiting=True)
    for restarts in range(1, 9):
        watched.check(member("a", restarts, 76), chief=waiting, record=record)
    watched.check(member("a", 11, 76), record=record)
    with pytest.raises(SearchError, match="exit code 76"):
        watched.check(member("a", 12, 76), record=record)


@pytest.mark.parametrize("earlier", [0, 2])
def test_a_chief_that_cannot_even_answer_once_for_want_of_memory_ends_the_search(
    watched: Watched, earlier: int
) -> None:
    watched.check(chief=member("chief", earlier, 137 if earlier else None, incurable=bool(earlier)), record=None)
    watched.check(chief=member("chief", earlier + 2, 137, incurable=True), record=None)
    watched.check(chief=member("chief", earlier + 3, 137), record=None)
    watched.check(chief=member("chief", earlier + 3, 137, incurable=True))
    words = "the chief cannot start: it ended 3 times before its first answer, the last time with exit code 137"
    with pytest.raises(SearchError, match=words) as ended:
        watched.check(chief=member("chief", earlier + 3, 137, incurable=True), record=None)
    assert "the last words of chief" in str(ended.value)


def test_a_silent_chief_is_told_with_what_the_cluster_knows_of_it(watched: Watched) -> None:
    watched.check(chief=member("chief", 2, 137, state=MemberState.PENDING), record=None)
    watched.now = 101.0
    words = (
        "the chief was not heard of for 100 s. It is pending, and has ended 2 times: exit code 137. Its log is "
        "its.log. Its last words:\nthe last words of chief"
    )
    with pytest.raises(SearchError, match=re.escape(words)):
        watched.check(chief=member("chief", 2, 137, state=MemberState.PENDING), record=None)


def named(watched: Watched, workers: list[Member], heard: set[str], seconds: int) -> list[str]:
    """Who is called silent while the chief, which answers every second, hears of these for so long."""
    found: list[str] = []
    for _ in range(seconds):
        watched.now += 1.0
        found += watched.dog.silent(workers, heard)
    return found


def test_a_silent_process_is_named_once(watched: Watched) -> None:
    workers = [member("a"), member("b")]
    assert watched.dog.silent(workers, {"a", "b"}) == []
    assert named(watched, workers, {"b"}, 45) == []
    assert named(watched, workers, {"b"}, 30) == ["a"]


def test_a_process_that_starts_has_its_time(watched: Watched) -> None:
    assert watched.dog.silent([member("a", process="1")], {"a"}) == []
    assert named(watched, [member("a", process="2")], set(), 105) == []
    assert named(watched, [member("a", process="2")], set(), 5) == ["a"]
    assert watched.dog.silent([member("a", process="2", waiting=True)], set()) == []


def test_a_process_is_not_blamed_for_the_silence_of_the_one_before_it(watched: Watched) -> None:
    assert watched.dog.silent([member("a", process="lost with its machine")], {"a"}) == []
    assert named(watched, [member("a", process="lost with its machine")], set(), 40) == []
    # It is no restart after a fault, and was there between two looks.
    assert named(watched, [member("a", process="its successor")], set(), 40) == []


def test_a_process_that_begins_anew_under_the_same_name_has_the_time_of_a_start(watched: Watched) -> None:
    workers = [member("a", process="pod")]
    assert watched.dog.silent(workers, {"a"}) == []
    for _ in range(105):
        watched.now += 1.0
        assert watched.dog.silent(workers, set(), ["a"]) == []
    for _ in range(5):
        watched.now += 1.0
        if watched.dog.silent(workers, set(), ["a"]) == ["a"]:
            break
    else:
        pytest.fail("it is silent for longer than a start may take")


def test_while_the_chief_is_away_nobody_is_silent(watched: Watched) -> None:
    workers = [member("a"), member("b"), member("new")]
    assert watched.dog.silent(workers, {"a", "b"}) == []
    assert named(watched, workers, {"b"}, 20) == []
    watched.now += 500.0
    # The chief that came back has heard of nobody yet.
    assert named(watched, workers, set(), 5) == []
    assert named(watched, workers, {"b", "new"}, 40) == ["a"]


def test_heartbeats_that_are_quicker_than_the_looks_hide_no_silence() -> None:
    watched = Watched(SearchOptions(heartbeat_seconds=0.2, lease_seconds=3.0, grace_seconds=1.0))
    workers = [member("a"), member("b")]
    assert watched.dog.silent(workers, {"a", "b"}) == []
    found: list[str] = []
    for _ in range(100):
        watched.now += 0.25
        found += watched.dog.silent(workers, {"b"})
    assert found == ["a"]
