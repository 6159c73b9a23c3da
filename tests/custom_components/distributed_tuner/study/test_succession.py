"""Which process stands for a worker, and that a chief which comes back knows it still."""

from __future__ import annotations

from custom_components.distributed_tuner.study.succession import Succession


def test_a_worker_is_the_process_that_asked_last_for_the_first_time() -> None:
    succession = Succession()
    assert not succession.replaced("a", "1")
    assert [succession.begin("a", process) for process in ("1", "1", "2", "1", "2")] == [True, True, True, False, True]
    assert succession.replaced("a", "1")
    assert not any(succession.replaced(*each) for each in (("a", "2"), ("a", "3"), ("b", "1")))


def test_who_names_no_process_takes_no_place_and_loses_none() -> None:
    succession = Succession()
    assert all(succession.begin("a", process) for process in ("", "1", ""))
    assert not succession.replaced("a", "1") and not succession.replaced("a", "")


def test_what_changed_is_stored_and_taken_up() -> None:
    succession = Succession()
    stored: dict[str, list[str]] = {}
    for worker, process in (("a", "1"), ("b", "1"), ("a", "2"), ("a", "1")):
        succession.begin(worker, process)
        stored.update(succession.take_unsaved())
        assert succession.take_unsaved() == {}
    back = Succession()
    back.put_back(stored)
    assert back.replaced("a", "1") and not back.replaced("a", "2") and back.begin("b", "1")
    assert back.take_unsaved() == {}


def test_a_worker_that_is_started_again_and_again_is_stored_at_a_bounded_length() -> None:
    succession = Succession()
    for number in range(500):
        assert succession.begin("a", str(number))
    assert len(succession.take_unsaved()["a"]) == 50
