"""The table of transitions: a test for each row that reads as its documentation, and the rest of the contract."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from custom_components.distributed_tuner.options import SearchOptions
from custom_components.distributed_tuner.record.record import Direction, Outcome, SearchRecord, TrialRecord, TrialStatus
from custom_components.distributed_tuner.study.answers import (
    Aside,
    Ask,
    Directive,
    Grant,
    NoSuggestion,
    Result,
    StudyError,
    Suggested,
    Verdict,
)
from custom_components.distributed_tuner.study.limits import stock_process
from custom_components.distributed_tuner.study.study import MAX_BARREN_IDLES, Study

COMPLETED = Result(Verdict.COMPLETED, score=0.5, best_step=3)
FAILED = Result(Verdict.FAILED, message="boom")
RETRY = Result(Verdict.RETRY, message="boom")


def record(study: Study) -> SearchRecord:
    return study.record(name="s", objective="loss", direction=Direction.MIN, max_trials=9)


def trial(study: Study, trial_id: str = "0") -> TrialRecord:
    return next(each for each in record(study).trials if each.trial_id == trial_id)


def outcomes(study: Study, trial_id: str = "0") -> list[tuple[str, Outcome]]:
    return [(stay.worker, stay.outcome) for stay in trial(study, trial_id).stays]


def held_by(study: Study, trial_id: str = "0") -> str | None:
    """The worker that holds a trial."""
    holder = study.holder(trial_id)
    return None if holder is None else holder.worker


def make(**options: Any) -> Study:
    return Study(SearchOptions(lease_seconds=10, **options), max_consecutive_failures=None, now=0.0)


def start(study: Study, worker: str, trial_id: str, now: float = 0.0, process: str = "") -> None:
    """The oracle suggests a trial for a worker that asks."""
    assert study.ask(worker, now, process) is Ask.SUGGEST
    assert study.suggested(worker, Suggested(trial_id, {"x": 1}), now, process) == Grant(trial_id, 0)


def finish(
    study: Study, worker: str, trial_id: str, result: Result, now: float = 0.0, cut: str | None = None, **end: Any
) -> bool:
    accepted = study.begin_finish(worker, trial_id, now=now, **end)
    if accepted:
        study.finished(trial_id, result, now, cut)
    return accepted


def restarted(study: Study, now: float, *, go_on: bool = False, **options: Any) -> Study:
    """The study of a chief that comes back with what is on the disk."""
    state = json.loads(json.dumps(study.changes()))
    back = make(**options)
    back.restore(state, now, go_on=go_on)
    return back


@pytest.fixture
def study() -> Study:
    """A search whose worker `a` runs trial 0."""
    study = make()
    start(study, "a", "0")
    return study


# The rows of the table, in its order.


def test_suggested_new_to_running(study: Study) -> None:
    assert trial(study).status is TrialStatus.RUNNING
    assert held_by(study) == "a"
    assert outcomes(study) == [("a", Outcome.RUNNING)]


def test_suggested_for_a_worker_that_cannot_take_it_new_to_waiting(study: Study) -> None:
    assert study.suggested("a", Suggested("1", {}), 1.0) == Grant("0", 0)
    assert trial(study, "1").status is TrialStatus.WAITING
    assert study.ask("b", 2.0) == Grant("1", 0)


def test_granted_again_waiting_to_running(study: Study) -> None:
    study.release("a", "0", 1.0)
    assert study.ask("b", 2.0) == Grant("0", 0)
    assert trial(study).status is TrialStatus.RUNNING
    assert held_by(study) == "b"


def test_lease_expired_running_to_waiting_and_counts_as_lost(study: Study) -> None:
    assert study.tick(9.9) == []
    assert trial(study).status is TrialStatus.RUNNING
    study.tick(10.0)
    assert trial(study).status is TrialStatus.WAITING
    assert outcomes(study) == [("a", Outcome.LOST)]
    assert trial(study).message == "worker a was lost: not heard of for 10 s"


def test_worker_gone_running_to_waiting_and_counts_as_lost(study: Study) -> None:
    assert study.gone("a", "exit code 137", 1.0) == "0"
    assert trial(study).status is TrialStatus.WAITING
    assert outcomes(study) == [("a", Outcome.LOST)]
    assert study.gone("a", "exit code 137", 2.0) is None


def test_given_back_running_to_waiting_and_counts_for_nothing() -> None:
    study = make(max_fruitless_losses=1, max_lost_workers=1)
    start(study, "a", "0")
    for turn in range(5):
        study.release("a", "0", turn)
        assert trial(study).status is TrialStatus.WAITING
        assert study.tick(turn) == []
        assert study.ask("a", turn) == Grant("0", 0)
    assert {outcome for _, outcome in outcomes(study)[:-1]} == {Outcome.RELEASED}
    assert study.stop_reason is None


@pytest.mark.parametrize(
    ("result", "status"),
    [(COMPLETED, TrialStatus.COMPLETED), (FAILED, TrialStatus.FAILED), (RETRY, TrialStatus.WAITING)],
)
@pytest.mark.parametrize("late", [False, True])
def test_finished_running_or_waiting_to_the_oracles_verdict(
    study: Study, result: Result, status: TrialStatus, late: bool
) -> None:
    if late:
        study.gone("a", "silence", 1.0)
    assert finish(study, "a", "0", result, 2.0)
    ended = trial(study)
    assert (ended.status, ended.score, ended.best_step, ended.message) == (
        status,
        result.score,
        result.best_step,
        result.message,
    )
    assert held_by(study) is None
    assert ended.stays[-1].outcome is (
        Outcome.LOST if late else Outcome.COMPLETED if result is COMPLETED else Outcome.FAILED
    )


def test_a_retry_voids_earlier_epochs_and_comes_back_as_a_suggestion(study: Study) -> None:
    study.heartbeat("a", "0", 5, 1.0)
    finish(study, "a", "0", RETRY, 2.0)
    assert trial(study).epochs == 0
    assert study.ask("b", 3.0) is Ask.SUGGEST
    assert study.suggested("b", Suggested("0", {"x": 1}), 3.0) == Grant("0", 1)


def test_the_search_was_stopped_waiting_to_stopped(study: Study) -> None:
    study.release("a", "0", 1.0)
    study.stop("enough", 2.0)
    assert trial(study).status is TrialStatus.STOPPED
    assert (record(study).ended, record(study).stop_reason) == (2.0, "enough")


def test_the_search_goes_on_stopped_to_waiting(study: Study) -> None:
    study.release("a", "0", 1.0)
    study.stop("enough", 2.0)
    back = restarted(study, 3.0, go_on=True)
    assert trial(back).status is TrialStatus.WAITING
    assert back.ask("b", 3.0) == Grant("0", 0)


def test_a_stopped_search_stays_stopped_when_its_chief_comes_back(study: Study) -> None:
    study.release("a", "0", 1.0)
    study.stop("enough", 2.0)
    back = restarted(study, 3.0)
    assert back.over and record(back) == record(study)


@pytest.mark.parametrize("result", [COMPLETED, FAILED])
def test_completed_and_failed_are_final(study: Study, result: Result) -> None:
    finish(study, "a", "0", result, 1.0)
    before = trial(study)
    for late in (COMPLETED, FAILED, RETRY):
        assert not finish(study, "a", "0", late, 2.0)
    study.release("a", "0", 3.0)
    study.gone("a", "silence", 3.0)
    study.stop("enough", 4.0)
    study.tick(5.0)
    assert trial(study) == before
    with pytest.raises(StudyError, match=f"suggested trial 0 again, which is {before.status.value}"):
        study.suggested("b", Suggested("0", {}), 6.0)


# Who holds a trial.


def test_a_worker_that_asks_again_gets_its_own_trial_again(study: Study) -> None:
    assert study.ask("a", 9.0) == Grant("0", 0)
    study.tick(15.0)  # its lease is as fresh as its question
    assert held_by(study) == "a"


def test_a_lost_worker_that_comes_back_gets_its_own_trial_before_others(study: Study) -> None:
    start(study, "b", "1")
    study.gone("b", "exit", 1.0)
    study.gone("a", "exit", 2.0)
    assert study.ask("a", 3.0) == Grant("0", 0)


def test_the_last_process_of_a_worker_to_ask_holds_its_trial() -> None:
    study = make()
    start(study, "a", "0", process="old")
    assert study.ask("a", 1.0, "new") == Grant("0", 0)
    assert study.heartbeat("a", "0", 1, 2.0, "old") == (Directive.ABANDON, "trial 0 is no longer held by a")
    assert study.heartbeat("a", "0", 1, 2.0, "new")[0] is Directive.CONTINUE
    assert study.gone("a", "exit", 3.0, "old") is None
    assert held_by(study) == "a"


def heard_and_renewing(study: Study, now: float) -> tuple[tuple[str, ...], tuple[str, ...]]:
    return study.workers(now), study.renewing


def test_a_worker_that_begins_anew_is_silent_until_it_is_heard_again() -> None:
    study = make()
    start(study, "a", "0", process="1")
    finish(study, "a", "0", COMPLETED, 1.0, process="1")
    assert heard_and_renewing(study, 1.0) == (("a",), ())
    study.renews("a", "1")
    assert heard_and_renewing(study, 1.0) == ((), ("a",))
    start(study, "a", "1", 2.0, "1")
    assert heard_and_renewing(study, 2.0) == (("a",), ())
    assert outcomes(study) == [("a", Outcome.COMPLETED)] and outcomes(study, "1") == [("a", Outcome.RUNNING)]
    # One that another has taken the place of says nothing that counts.
    study.ask("a", 3.0, "2")
    study.renews("a", "1")
    assert heard_and_renewing(study, 3.0) == (("a",), ())


def test_a_process_that_comes_back_after_its_successor_changes_nothing() -> None:
    study = make()
    start(study, "w", "0", process="old")
    study.tick(11.0)
    now = 12.0
    assert study.ask("w", now, "new") == Grant("0", 0)
    before, version = record(study), study.version
    study.release("w", "0", now, "old")
    assert study.ask("w", now, "old") is Ask.REPLACED
    assert study.suggested("w", NoSuggestion.IDLE, now, "old") is Ask.WAIT
    assert study.heartbeat("w", "0", 3, now, "old")[0] is Directive.ABANDON
    assert not study.begin_finish("w", "0", 3, 0, now=now, succeeded=False, process="old")
    assert (record(study), study.version) == (before, version)
    assert study.heartbeat("w", "0", 1, now, "new")[0] is Directive.CONTINUE
    study.release("w", "0", now, "new")
    assert held_by(study) is None


def test_what_the_oracle_found_for_a_process_that_was_replaced_meanwhile_goes_to_its_successor() -> None:
    study = make()
    assert study.ask("w", 0.0, "old") is Ask.SUGGEST
    assert study.ask("w", 1.0, "new") is Ask.SUGGEST
    assert study.suggested("w", Suggested("0", {"x": 1}), 2.0, "old") is Ask.REPLACED
    assert study.ask("w", 3.0, "new") == Grant("0", 0)


def test_a_chief_that_comes_back_knows_who_was_replaced_and_a_new_attempt_does_not() -> None:
    study = make()
    start(study, "w", "0", process="old")
    finish(study, "w", "0", COMPLETED, 1.0, process="old")
    assert study.ask("w", 2.0, "new") is Ask.SUGGEST  # it holds no trial
    study.suggested("w", NoSuggestion.IDLE, 2.0, "new")
    state = json.loads(json.dumps(study.changes()))
    for go_on, answer in ((False, Ask.REPLACED), (True, Ask.SUGGEST)):
        back = make()
        back.restore(state, 3.0, go_on=go_on)
        assert back.ask("w", 4.0, "old") is answer, "of a new attempt it may be the number of another process"


def test_that_a_replaced_process_has_ended_is_no_news_of_its_successor() -> None:
    study = make()
    assert study.ask("w", 0.0, "old") is study.ask("w", 1.0, "new") is Ask.SUGGEST
    study.gone("w", "exit code 143", 2.0, "old")
    assert study.workers(2.0) == ("w",)


def test_a_chief_that_comes_back_knows_who_holds_a_trial() -> None:
    study = make()
    start(study, "w", "0", process="old")
    study.gone("w", "silence", 1.0)
    assert study.ask("w", 2.0, "new") == Grant("0", 0)
    back = restarted(study, 3.0)
    back.release("w", "0", 4.0, "old")
    assert held_by(back) == "w"
    assert back.heartbeat("w", "0", 1, 4.0, "new")[0] is Directive.CONTINUE


def test_whoever_holds_a_trial_that_another_finished_is_told_to_abandon_it(study: Study) -> None:
    study.gone("a", "silence", 1.0)
    assert study.ask("b", 2.0) == Grant("0", 0)
    assert finish(study, "a", "0", COMPLETED, 3.0)
    assert study.heartbeat("b", "0", 1, 4.0)[0] is Directive.ABANDON
    assert not finish(study, "b", "0", COMPLETED, 5.0)


def test_only_the_holder_keeps_a_lease_alive(study: Study) -> None:
    assert study.heartbeat("b", "0", 1, 5.0)[0] is Directive.ABANDON
    study.tick(10.0)
    assert held_by(study) is None


def test_a_failure_told_twice_uses_up_one_retry(study: Study) -> None:
    assert finish(study, "a", "0", RETRY, 1.0, attempt=0)
    assert not finish(study, "a", "0", FAILED, 1.5, attempt=0)
    assert study.suggested("b", Suggested("0", {}), 2.0) == Grant("0", 1)
    assert not finish(study, "a", "0", FAILED, 2.5, attempt=0)
    assert finish(study, "b", "0", COMPLETED, 3.0, attempt=1)


def test_while_the_oracle_judges_a_trial_nobody_gets_or_loses_it(study: Study) -> None:
    assert study.begin_finish("a", "0", now=1.0)
    assert not study.begin_finish("a", "0", now=1.0)
    assert study.ask("a", 1.0) is Ask.WAIT
    assert study.gone("a", "exit", 2.0) is None
    study.release("a", "0", 3.0)
    study.tick(100.0)
    assert trial(study).status is TrialStatus.RUNNING
    study.unfinished("0")
    assert study.ask("a", 101.0) == Grant("0", 0)


def test_a_result_from_one_who_never_held_the_trial_is_refused(study: Study) -> None:
    for worker, trial_id in (("b", "0"), ("a", "7")):
        with pytest.raises(StudyError, match=f"{worker} sent a result of trial {trial_id}, which it never held"):
            study.begin_finish(worker, trial_id, now=0.0)
    with pytest.raises(StudyError, match="trial 0 was not being finished"):
        study.finished("0", COMPLETED, 1.0)


# Limits.


def test_a_trial_that_kills_its_workers_fails_unless_it_gets_on() -> None:
    study = make(max_fruitless_losses=2)
    start(study, "a", "0")
    study.gone("a", "exit code 137", 1.0)
    study.ask("b", 2.0)
    study.heartbeat("b", "0", 1, 3.0)
    study.gone("b", "exit code 137", 4.0)
    assert study.tick(5.0) == []
    for now in (6.0, 8.0):
        study.ask("c", now)
        study.gone("c", "exit code 137", now + 1)
    ((trial_id, reason),) = study.tick(10.0)
    assert trial_id == "0" and reason.startswith("2 workers in a row died with it and got no further, the last: worker")
    assert study.ask("d", 11.0) is Ask.SUGGEST  # it is not handed on any more
    study.finished("0", Result(Verdict.FAILED, message=reason), 12.0)
    assert trial(study).status is TrialStatus.FAILED


def test_a_trial_that_is_given_back_again_and_again_fails_unless_it_gets_on() -> None:
    study = make(max_fruitless_releases=3)
    start(study, "a", "0")
    for turn in range(2):
        study.release("a", "0", turn)
        study.ask("a", turn)
    study = restarted(study, 2.0, max_fruitless_releases=3)
    study.heartbeat("a", "0", 1, 3.0)
    study.release("a", "0", 4.0)
    for turn in range(5, 8):
        assert study.tick(turn) == []
        assert study.ask("a", turn) == Grant("0", 0)
        study.heartbeat("a", "0", 1, turn)
        study.release("a", "0", turn)
    assert study.ask("b", 8.0) is Ask.SUGGEST
    ((trial_id, reason),) = study.tick(8.0)
    assert trial_id == "0" and reason.startswith("3 workers in a row were told to end (SIGTERM) before it finished")


def test_a_new_attempt_at_the_search_counts_what_is_given_back_afresh() -> None:
    study = make(max_fruitless_releases=1)
    start(study, "a", "0")
    study.release("a", "0", 1.0)
    stored = study.changes()
    for go_on, doomed in ((True, []), (False, ["0"])):
        back = make(max_fruitless_releases=1)
        back.restore(json.loads(json.dumps(stored)), 2.0, go_on=go_on)
        assert [trial_id for trial_id, _ in back.tick(2.0)] == doomed


@pytest.mark.parametrize("exhausted", [False, True])
def test_a_trial_that_has_to_fail_is_not_handed_to_a_worker_that_asks_before_the_tick(exhausted: bool) -> None:
    study = make(max_fruitless_losses=1)
    start(study, "a", "0")
    if exhausted:
        study.suggested("b", NoSuggestion.EXHAUSTED, 0.5)
    study.gone("a", "exit code 137", 1.0)
    assert study.ask("b", 1.0) is (Ask.WAIT if exhausted else Ask.SUGGEST)
    assert not study.over
    assert [trial_id for trial_id, _ in study.tick(1.25)] == ["0"]
    study.finished("0", FAILED, 1.5)
    assert study.over is exhausted


def test_a_worker_that_restarts_before_its_end_is_seen_cannot_run_a_deadly_trial_for_ever() -> None:
    study = make(max_fruitless_losses=3)
    start(study, "a", "0", process="1")
    assert [study.ask("a", float(turn), str(turn)) for turn in (2, 3)] == [Grant("0", 0)] * 2
    assert study.ask("a", 4.0, "4") is Ask.WAIT
    ((trial_id, reason),) = study.tick(4.25)
    assert trial_id == "0" and "worker a was lost: another process of this worker" in reason
    assert study.gone("a", "exit code 137", 5.0, "3") is None


@pytest.mark.parametrize("taken", [False, True])
def test_the_failure_of_a_worker_that_lost_its_trial_does_not_fail_the_trial(taken: bool) -> None:
    study = make()
    start(study, "a", "0", process="1")
    study.gone("a", "silence", 1.0, "1")
    if taken:
        study.ask("b", 2.0, "2")
    assert not study.begin_finish("a", "0", 1, 0, now=1.0, succeeded=False, process="1")
    assert study.ask("b", 3.0, "2") == Grant("0", 0)
    assert not study.begin_finish("b", "0", 1, 0, now=1.0, succeeded=False, process="an earlier one")
    assert study.begin_finish("b", "0", 1, 0, now=1.0, succeeded=False, process="2")
    study.finished("0", FAILED, 4.0)
    assert trial(study).status is TrialStatus.FAILED


def test_machines_that_are_taken_away_are_not_held_against_a_trial() -> None:
    study = make(max_fruitless_losses=2)
    start(study, "a", "0", process="1")
    for turn in range(2, 6):
        assert study.gone("a", "its node is gone", float(turn), str(turn - 1), fault=False) == "0"
        assert study.tick(float(turn)) == []
        assert study.ask("a", float(turn), str(turn)) == Grant("0", 0)
    assert [outcome for _, outcome in outcomes(study)] == [*[Outcome.LOST] * 4, Outcome.RUNNING]


def test_a_silence_is_forgiven_when_the_cluster_says_that_the_machine_is_gone() -> None:
    study = make(max_fruitless_losses=2)
    start(study, "w1", "0", process="1")
    for turn in range(1, 5):
        now = 10.0 * turn
        assert study.tick(now) == []  # the lease ends long before anybody knows why
        assert study.ask(f"w{turn + 1}", now, "1") == Grant("0", 0)
        assert study.gone(f"w{turn}", "its node is gone", now, "1", fault=False) is None
    for worker in ("w5", "w6"):
        assert study.ask(worker, 41.0, "1") == Grant("0", 0)
        assert study.gone(worker, "exit code 137", 41.0, "1") == "0"
    assert [trial_id for trial_id, _ in study.tick(42.0)] == ["0"]


def test_only_a_loss_that_still_counts_is_forgiven() -> None:
    study = make(max_fruitless_losses=2)
    start(study, "a", "0", process="1")
    study.tick(10.0)
    study.ask("b", 10.0, "1")
    study.heartbeat("b", "0", 1, 11.0, "1")  # the epoch clears what was counted
    study.tick(21.0)
    study.ask("c", 21.0, "1")
    study.tick(31.0)
    study.gone("a", "its node is gone", 32.0, "1", fault=False)
    study.ask("d", 32.0, "1")
    study.gone("d", "exit code 137", 33.0, "1")
    assert [trial_id for trial_id, _ in study.tick(33.0)] == ["0"]


def test_a_late_heartbeat_does_not_take_back_the_epochs_that_came_with_the_end() -> None:
    study = make()
    start(study, "a", "0")
    assert study.begin_finish("a", "0", 4, now=1.0)
    study.heartbeat("a", "0", 3, 1.0)
    study.finished("0", COMPLETED, 2.0)
    assert trial(study).epochs == 4


def test_a_trial_is_doomed_once_however_long_the_oracle_takes_over_it() -> None:
    study = make(max_fruitless_losses=1)
    start(study, "a", "0")
    assert [trial_id for trial_id, _ in study.tick(10.0)] == ["0"]
    assert study.tick(10.25) == []
    study.finished("0", FAILED, 11.0)
    assert study.tick(11.25) == []


def test_a_trial_without_progress_is_stuck() -> None:
    study = make(max_epoch_seconds=30)
    start(study, "a", "0")
    for now in range(0, 61, 5):
        study.heartbeat("a", "0", now // 25, float(now))
        assert study.tick(float(now)) == []
    for now in range(61, 100, 5):
        study.heartbeat("a", "0", 2, float(now))
        doomed = study.tick(float(now))
        if doomed:
            break
    assert doomed == [("0", "stuck: no epoch finished within max_epoch_seconds=30")]
    assert now > 80


def test_a_trial_that_takes_too_long_is_asked_to_end_with_its_best_epoch() -> None:
    study = make(max_trial_seconds=20)
    start(study, "a", "0")
    assert study.heartbeat("a", "0", 1, 20.0)[0] is Directive.CONTINUE
    reason = "it ran longer than max_trial_seconds=20"
    assert study.heartbeat("a", "0", 1, 21.0) == (Directive.FINISH, reason)
    finish(study, "a", "0", COMPLETED, 22.0, cut=reason)
    assert trial(study).message == "cut short: it ran longer than max_trial_seconds=20"
    assert record(study).cut_short() == (trial(study),)


@pytest.mark.parametrize(("result", "cut", "message"), [(COMPLETED, None, None), (FAILED, "a limit", "boom")])
def test_a_trial_that_ran_in_full_or_failed_was_not_cut_short(
    result: Result, cut: str | None, message: str | None
) -> None:
    study = make(max_trial_seconds=20)
    start(study, "a", "0")
    assert study.heartbeat("a", "0", 1, 21.0)[0] is Directive.FINISH
    finish(study, "a", "0", result, 22.0, cut=cut)
    assert trial(study).message == message
    assert record(study).cut_short() == ()


def test_a_trial_that_is_asked_to_end_and_comes_to_no_epoch_fails() -> None:
    study = make(max_trial_seconds=30, grace_seconds=5)
    start(study, "a", "0")
    for now in range(5, 61, 5):
        study.heartbeat("a", "0", None, float(now))
        assert study.tick(float(now)) == []
    ((trial_id, reason),) = study.tick(61.0)
    assert trial_id == "0" and reason == (
        "it ran longer than max_trial_seconds=30, and did not end within 61 s: it comes to no end of an epoch"
    )


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"max_consecutive_failures": 2}, "2 trials failed in a row; the first: trial 0: boom"),
        ({"max_consecutive_failures": 1}, "1 trial failed: trial 0: boom"),
        ({"max_failed_trials": 1}, "1 trial failed in all (max_failed_trials=1): trial 0: boom"),
        ({"max_failed_trials": 2}, "2 trials failed in all (max_failed_trials=2); the first: trial 0: boom"),
    ],
)
def test_failures_end_the_search(options: dict[str, int], reason: str) -> None:
    study = make(**options)
    for number in range(max(options.values())):
        assert study.stop_reason is None
        start(study, "a", str(number))
        finish(study, "a", str(number), FAILED)
    assert study.stop_reason == reason
    assert study.over and study.ask("a", 1.0) is Ask.OVER


def test_a_success_between_them_breaks_a_row_of_failures() -> None:
    study = make(max_consecutive_failures=2)
    for number, result in enumerate((FAILED, COMPLETED, RETRY, FAILED)):
        start(study, "a", str(number), float(number))
        finish(study, "a", str(number), result, float(number))
    assert study.stop_reason is None
    start(study, "a", "4", 4.0)
    finish(study, "a", "4", FAILED, 4.0)
    assert study.stop_reason == "2 trials failed in a row; the first: trial 3: boom"


def test_trials_that_their_tuner_drops_end_no_search() -> None:
    study = make(max_consecutive_failures=2)
    dropped = Result(Verdict.DROPPED, message="pruned")
    for number, result in enumerate((dropped, dropped, FAILED, dropped, FAILED)):
        start(study, "a", str(number), float(number))
        finish(study, "a", str(number), result, float(number))
        assert record(study).trials[-1].status is TrialStatus.FAILED
    assert study.stop_reason is None


def test_one_lost_worker_may_end_the_search() -> None:
    study = make(max_lost_workers=1)
    start(study, "a", "0")
    study.gone("a", "exit", 1.0)
    assert study.stop_reason == "max_lost_workers=1: worker a was lost: exit"


def test_one_fault_may_end_the_search() -> None:
    assert make(max_worker_faults=1).fault("a", "boom") == "a worker failed outside of a trial: a: boom"


def test_a_trial_may_fail_of_one_lost_worker() -> None:
    study = make(max_fruitless_losses=1)
    start(study, "a", "0")
    study.gone("a", "exit", 1.0)
    ((trial_id, reason),) = study.tick(2.0)
    assert (trial_id, reason.partition(".")[0]) == (
        "0",
        "1 worker died with it and got no further: worker a was lost: exit",
    )


def test_lost_workers_end_the_search() -> None:
    study = make(max_lost_workers=2)
    start(study, "a", "0")
    study.gone("a", "exit", 1.0)
    study.ask("a", 2.0)
    study.gone("a", "exit", 3.0)
    assert study.stop_reason == ("2 workers were lost (max_lost_workers=2); the last: worker a was lost: exit")


def test_time_ends_the_search() -> None:
    study = make(max_search_seconds=50)
    start(study, "a", "0", 45.0)
    study.tick(51.0)
    assert study.heartbeat("a", "0", 1, 52.0) == (Directive.FINISH, "the search reached max_search_seconds=50")
    assert record(study).ended is None
    finish(study, "a", "0", COMPLETED, 53.0)
    assert study.over and record(study).ended == 53.0


def test_trials_left_running_by_a_stop_are_stopped_after_its_grace(study: Study) -> None:
    study.stop("enough", 1.0)
    assert record(study).ended is None
    study.abandon_running(2.0)
    assert study.over
    assert trial(study).status is TrialStatus.STOPPED
    assert (outcomes(study), record(study).ended) == ([("a", Outcome.STOPPED)], 2.0)


def test_a_stopped_search_waits_for_a_result_that_the_oracle_has_not_judged(study: Study) -> None:
    study.gone("a", "silence", 1.0)
    assert study.begin_finish("a", "0", now=1.0)
    study.stop("enough", 2.0)
    assert record(study).ended is None and study.ask("b", 2.0) is Ask.OVER
    study.finished("0", COMPLETED, 3.0)
    assert study.over and trial(study).status is TrialStatus.COMPLETED


def test_a_search_that_is_over_takes_no_late_result(study: Study) -> None:
    study.stop("enough", 1.0)
    study.abandon_running(2.0)
    before = record(study)
    assert not finish(study, "a", "0", COMPLETED, 3.0)
    assert study.over and record(study) == before


def test_an_oracle_that_waits_for_nothing_ends_the_search() -> None:
    study = make()
    for _ in range(MAX_BARREN_IDLES - 1):
        assert study.ask("a", 0.0) is Ask.SUGGEST
        assert study.suggested("a", NoSuggestion.IDLE, 0.0) is Ask.WAIT
    assert study.suggested("a", NoSuggestion.IDLE, 0.0) is Ask.OVER
    assert study.stop_reason == "the oracle waits for a trial although none is running"


def test_an_idle_oracle_is_asked_again_only_when_something_changed(study: Study) -> None:
    assert study.ask("b", 1.0) is Ask.SUGGEST
    assert study.suggested("b", NoSuggestion.IDLE, 1.0) is Ask.WAIT
    assert study.ask("b", 2.0) is study.ask("c", 2.0) is Ask.WAIT
    finish(study, "a", "0", COMPLETED, 3.0)
    assert study.ask("b", 4.0) is Ask.SUGGEST


def test_an_exhausted_oracle_ends_the_search_with_its_last_trial(study: Study) -> None:
    assert study.suggested("b", NoSuggestion.EXHAUSTED, 1.0) is Ask.WAIT
    assert study.ask("b", 2.0) is Ask.WAIT and record(study).ended is None
    finish(study, "a", "0", COMPLETED, 3.0)
    assert study.ask("b", 4.0) is Ask.OVER
    assert study.over and record(study).ended == 3.0


def test_an_oracle_that_knows_nothing_new_is_asked_again_when_a_trial_has_ended(study: Study) -> None:
    assert study.suggested("b", NoSuggestion.NOTHING_NEW, 1.0) is Ask.WAIT
    assert study.ask("b", 2.0) is Ask.WAIT
    finish(study, "a", "0", COMPLETED, 3.0)
    assert study.ask("b", 4.0) is study.ask("a", 4.0) is Ask.SUGGEST
    start(study, "b", "1", 5.0)
    assert study.suggested("a", NoSuggestion.NOTHING_NEW, 5.0) is Ask.WAIT
    finish(study, "b", "1", COMPLETED, 6.0)
    assert study.suggested("a", NoSuggestion.NOTHING_NEW, 7.0) is Ask.OVER
    assert study.over and study.stop_reason is None and study.ask("b", 8.0) is Ask.OVER


def test_an_exhausted_oracle_is_asked_again_for_a_retry(study: Study) -> None:
    study.suggested("b", NoSuggestion.EXHAUSTED, 1.0)
    finish(study, "a", "0", RETRY, 2.0)
    assert not study.over
    assert study.ask("b", 3.0) is Ask.SUGGEST


def test_the_end_for_want_of_trials_has_the_oracles_reason_until_there_are_some_again(study: Study) -> None:
    why = Aside(ran_out="there are only two")
    study.suggested("b", NoSuggestion.NOTHING_NEW, 1.0, aside=why)
    assert record(study).ran_out is None
    finish(study, "a", "0", COMPLETED, 2.0)
    assert (
        study.ask("a", 3.0) is Ask.SUGGEST and study.suggested("a", NoSuggestion.NOTHING_NEW, 3.0, "", why) is Ask.OVER
    )
    assert record(study).ran_out == "there are only two"
    state = json.loads(json.dumps(study.changes()))
    for more, expected in ((False, "there are only two"), (True, None)):
        back = make()
        back.restore(state, 4.0, go_on=True, more=more)
        assert record(back).ran_out == expected


def test_a_retry_takes_the_reason_back(study: Study) -> None:
    study.suggested("b", NoSuggestion.EXHAUSTED, 1.0, aside=Aside(ran_out="no more"))
    finish(study, "a", "0", RETRY, 2.0)
    assert record(study).ran_out is None


def test_that_the_oracle_repeats_itself_is_kept_and_nobody_asks_it_again_for_that(study: Study) -> None:
    assert study.suggested("b", NoSuggestion.NOTHING_NEW, 1.0, aside=Aside(repeated=True)) is Ask.WAIT
    assert study.repeated and study.ask("b", 2.0) is Ask.WAIT
    assert restarted(study, 3.0).repeated and restarted(make(), 3.0).repeated is False


def test_nobody_is_blamed_for_the_chiefs_own_absence(study: Study) -> None:
    study.extend_leases(100.0)
    study.tick(105.0)
    assert held_by(study) == "a"


# A chief that comes back.


def test_workers_that_held_a_trial_hold_it_still_with_a_whole_lease(study: Study) -> None:
    back = restarted(study, 1000.0)
    assert held_by(back) == "a"
    back.tick(1009.0)
    assert back.heartbeat("a", "0", 3, 1009.0)[0] is Directive.CONTINUE
    assert finish(back, "a", "0", COMPLETED, 1010.0)


def test_a_trial_in_the_oracles_own_queue_is_not_handed_out_from_here(study: Study) -> None:
    finish(study, "a", "0", RETRY, 1.0)
    back = restarted(study, 2.0)
    back.requeued(frozenset({"0"}))
    assert back.ask("b", 3.0) is Ask.SUGGEST
    assert back.suggested("b", Suggested("0", {}), 3.0) == Grant("0", 1)


def test_counts_and_a_stop_survive_the_chief_and_not_a_new_attempt() -> None:
    study = make(max_consecutive_failures=2)
    start(study, "a", "0")
    finish(study, "a", "0", FAILED)
    back = restarted(study, 1.0, max_consecutive_failures=2)
    start(back, "a", "1")
    finish(back, "a", "1", FAILED)
    assert back.stop_reason == "2 trials failed in a row; the first: trial 0: boom"
    state = {**study.changes(), **back.changes()}
    assert restarted_from(state, go_on=False).stop_reason == "2 trials failed in a row; the first: trial 0: boom"
    assert restarted_from(state, go_on=True).stop_reason is None


def restarted_from(state: dict[str, Any], *, go_on: bool) -> Study:
    back = make()
    back.restore(state, 2.0, go_on=go_on)
    return back


def test_only_what_changed_is_stored(study: Study) -> None:
    study.changes()
    assert study.changes() == {}
    start(study, "b", "1")
    assert set(study.changes()["trials"]) == {"1"}
    study.heartbeat("a", "0", 4, 1.0)
    assert study.changes()["trials"]["0"]["epochs"] == 4


def test_faults_outside_of_trials_end_the_search_with_the_first_of_a_row() -> None:
    study = make(max_worker_faults=3)
    assert study.fault("a", "an old story") is None
    start(study, "a", "0")
    finish(study, "a", "0", FAILED, 1.0)
    assert [study.fault("b", "no file server"), study.fault("a", "boom")] == [None, None]
    back = restarted(study, 4.0, max_worker_faults=3)
    reason = "workers failed outside of a trial 3 times in a row; the first time: b: no file server"
    assert back.fault("a", "boom") == reason
    back.stop(reason, 5.0)
    assert back.fault("a", "boom") is None


def test_a_chief_that_comes_back_counts_on_and_a_new_attempt_afresh() -> None:
    limits = {"max_search_seconds": 50.0, "max_lost_workers": 2}
    study = make(**limits)
    start(study, "a", "0")
    study.gone("a", "exit", 1.0)
    state = json.loads(json.dumps(study.changes()))
    for go_on in (False, True):
        back = make(**limits)
        back.restore(state, 40.0, go_on=go_on)
        assert back.ask("a", 41.0) == Grant("0", 0)
        back.tick(50.5)
        assert (back.stop_reason is None) is go_on
        again = make(**limits)
        again.restore(state, 40.0, go_on=go_on)
        again.ask("a", 41.0)
        again.gone("a", "exit", 42.0)
        assert (again.stop_reason is None) is go_on


def _asked_by_another(study: Study) -> None:
    assert study.ask("a", 101.0, "new") == Grant("0", 0)
    study.gone("a", "exit", 102.0, "old")


def _expired(study: Study) -> None:
    study.tick(111.0)


def _told_by_the_cluster(study: Study) -> None:
    assert study.gone("a", "exit", 101.0, "old") == "0"


def _chief_died_and_expired(study: Study) -> None:
    back = restarted(study, 101.0, max_lost_workers=1, max_fruitless_losses=1)
    back.tick(112.0)
    assert (back.stop_reason, back.tick(112.0)) == (None, [])
    assert outcomes(back)[0] == ("a", Outcome.LOST)


LOST_WITH_THEIR_ATTEMPT = [_asked_by_another, _expired, _told_by_the_cluster, _chief_died_and_expired]


@pytest.mark.parametrize("lost", LOST_WITH_THEIR_ATTEMPT)
def test_workers_that_ended_with_an_earlier_attempt_count_for_nothing(lost: Callable[[Study], None]) -> None:
    study = make()
    start(study, "a", "0", process="old")
    back = restarted(study, 100.0, go_on=True, max_lost_workers=1, max_fruitless_losses=1)
    lost(back)
    assert (back.stop_reason, back.tick(111.0)) == (None, [])
    if lost is not _chief_died_and_expired:
        assert outcomes(back)[0] == ("a", Outcome.LOST)


def test_a_worker_that_outlives_its_attempt_counts_again_once_it_was_heard_of() -> None:
    for heard in (False, True):
        study = make()
        start(study, "a", "0", process="old")
        back = restarted(study, 100.0, go_on=True, max_lost_workers=1)
        if heard:
            back.heartbeat("a", "0", None, 101.0, "old")
        back.tick(112.0)
        assert (back.stop_reason is not None) is heard


def test_a_trials_time_goes_on_with_a_chief_that_comes_back() -> None:
    study = make(max_trial_seconds=30, grace_seconds=5)
    start(study, "a", "0")
    back = restarted(study, 25.0, max_trial_seconds=30, grace_seconds=5)
    assert back.heartbeat("a", "0", 1, 29.0)[0] is Directive.CONTINUE
    assert back.heartbeat("a", "0", 1, 31.0)[0] is Directive.FINISH


def test_a_stuck_trials_time_goes_on_with_a_chief_that_comes_back_and_has_heard_of_it() -> None:
    study = make(max_epoch_seconds=30)
    for worker, trial_id in (("a", "0"), ("b", "1")):
        start(study, worker, trial_id)
        study.heartbeat(worker, trial_id, 1, 5.0)
    back = restarted(study, 34.0, max_epoch_seconds=30)
    back.heartbeat("b", "1", 2, 35.0)
    assert back.tick(36.0) == []
    back.heartbeat("a", "0", 1, 37.0)
    assert back.tick(38.0) == [("0", "stuck: no epoch finished within max_epoch_seconds=30")]


def test_an_epoch_within_its_limit_is_not_stuck_while_its_end_waits_for_the_next_heartbeat() -> None:
    study = make(max_epoch_seconds=3.0, heartbeat_seconds=2.0)
    start(study, "a", "0")
    for beat in range(1, 9):
        # Epochs of 2.9 s; the worker speaks every 2 s.
        now = 2.0 * beat
        assert study.tick(now - 0.1) == []
        study.heartbeat("a", "0", int(now / 2.9), now)
    assert study.tick(20.5) == []
    assert study.tick(21.5) == [("0", "stuck: no epoch finished within max_epoch_seconds=3")]


def test_what_a_lost_oracle_never_judges_is_stopped_and_judged_when_the_search_goes_on(study: Study) -> None:
    assert study.begin_finish("a", "0", now=1.0)
    study.stop("the oracle is lost", 1.0)
    study.abandon_running(2.0)
    assert record(study).ended is None
    study.abandon_running(3.0, unjudged=True)
    assert (record(study).ended, trial(study).status) == (3.0, TrialStatus.STOPPED)
    back = make()
    unjudged = back.restore(json.loads(json.dumps(study.changes())), 4.0, go_on=True, results={"0": 0})
    assert unjudged == {"0"}
    back.finished("0", COMPLETED, 5.0)
    assert trial(back).status is TrialStatus.COMPLETED


def test_a_stop_before_the_first_trial_outlives_the_chief() -> None:
    study = make()
    study.stop("enough", 1.0)
    assert restarted(study, 2.0).over


@pytest.mark.parametrize("silent", [True, False])
def test_a_machine_that_was_taken_away_with_a_trial_does_not_end_the_search(silent: bool) -> None:
    study = make(max_lost_workers=2)
    for turn in range(5):
        process = str(turn)
        if turn:
            assert study.ask("a", 100.0 * turn, process) == Grant("0", 0)
        else:
            start(study, "a", "0", process=process)
        if silent:
            study.tick(100.0 * turn + 50.0)
        study.gone("a", "its pod vanished", 100.0 * turn + 60.0, process, fault=False)
        assert study.stop_reason is None
        assert outcomes(study)[-1] == ("a", Outcome.LOST)
    for turn, process in enumerate(("x", "y")):
        assert study.stop_reason is None
        assert study.ask("a", 900.0 + turn, process) == Grant("0", 0)
        study.gone("a", "exit code 137", 900.5 + turn, process)
    assert study.stop_reason is not None and "2 workers were lost" in study.stop_reason


def test_a_worker_that_is_lost_without_a_trial_counts_once() -> None:
    study = make(max_lost_workers=3)
    start(study, "a", "0", process="1")
    study.tick(10.0)
    study.gone("a", "exit code 75", 11.0, "1")
    study.gone("b", "exit code 137", 12.0, "1")
    assert study.stop_reason is None
    study.gone("b", "its machine was taken away", 13.0, "2", fault=False)
    assert study.stop_reason is None
    study.gone("b", "exit code 137", 14.0, "3")
    assert study.stop_reason == "3 workers were lost (max_lost_workers=3); the last: worker b was lost: exit code 137"


def test_epochs_that_are_trained_again_are_no_progress() -> None:
    study = make(max_fruitless_losses=2)
    start(study, "a", "0", process="1")
    study.heartbeat("a", "0", 9, 1.0, "1")
    for process in ("2", "3"):
        study.gone("a", "boom", 2.0, str(int(process) - 1))
        assert study.ask("a", 3.0, process) == Grant("0", 0)
        for epochs in (8, 9):
            study.heartbeat("a", "0", epochs, 4.0, process)
    study.gone("a", "boom", 5.0, "3")
    assert [trial_id for trial_id, _ in study.tick(6.0)] == ["0"]


def test_a_new_attempt_counts_its_own_failures_only() -> None:
    study = make(max_failed_trials=2)
    for number in range(2):
        start(study, "a", str(number), 1.0)
        finish(study, "a", str(number), FAILED, 2.0)
    assert study.stop_reason is not None
    back = restarted(study, 10.0, go_on=True, max_failed_trials=2)
    start(back, "a", "2", 11.0)
    finish(back, "a", "2", FAILED, 12.0)
    assert back.stop_reason is None


@pytest.mark.parametrize("more", [True, False])
def test_an_exhausted_search_goes_on_if_there_may_be_more(more: bool) -> None:
    study = make()
    start(study, "a", "0")
    finish(study, "a", "0", COMPLETED)
    study.ask("a", 1.0)
    study.suggested("a", NoSuggestion.EXHAUSTED, 1.0)
    back = make()
    back.restore(json.loads(json.dumps(study.changes())), 2.0, go_on=True, more=more)
    assert back.over is not more


def test_a_suggestion_after_the_end_is_stopped_too() -> None:
    study = make()
    assert study.ask("a", 0.0) is Ask.SUGGEST
    study.stop("enough", 1.0)
    assert study.suggested("a", Suggested("0", {"x": 1}), 2.0) is Ask.OVER
    assert trial(study).status is TrialStatus.STOPPED


def test_a_lost_stay_ends_at_the_last_sign_of_life_of_its_worker() -> None:
    study = make()
    start(study, "a", "0", process="1")
    study.heartbeat("a", "0", 1, 5.0, "1")
    study.tick(60.0)
    (stay,) = trial(study).stays
    assert (stay.ended, stay.outcome) == (5.0, Outcome.LOST)


@pytest.mark.parametrize("go_on", [False, True])
def test_a_night_without_a_chief_is_nobodys_work(go_on: bool) -> None:
    study = make()
    start(study, "a", "0", process="1")
    start(study, "b", "1", process="1")
    start(study, "c", "2", process="1")
    state = json.loads(json.dumps(study.changes()))
    back = make()
    # The last that the chief stored in the evening was at 30 s; 1 had ended by then, and was not judged.
    assert back.restore(state, 40_000.0, go_on=go_on, results={"1": 0}, told=30.0) == frozenset({"1"})
    back.finished("1", COMPLETED, 40_001.0)
    assert back.heartbeat("c", "2", 3, 40_002.0, "1")[0] is Directive.CONTINUE, "it has lived on"
    back.tick(40_011.0)
    assert back.ask("a", 40_011.0, "2") == Grant("0", 0)
    assert finish(back, "a", "0", COMPLETED, 40_020.0, process="2")
    assert [(stay.started, stay.ended) for stay in trial(back, "0").stays] == [(0.0, 30.0), (40_011.0, 40_020.0)]
    assert [(stay.started, stay.ended) for stay in trial(back, "1").stays] == [(0.0, 30.0)]
    assert finish(back, "c", "2", COMPLETED, 40_030.0, process="1")
    assert [(stay.started, stay.ended) for stay in trial(back, "2").stays] == [(0.0, 40_030.0)]


def test_a_worker_that_sends_no_heartbeat_is_taken_to_live_for_its_lease() -> None:
    study = make(allow_stock_workers=True, max_trial_seconds=50.0)
    start(study, "a", "0", process=stock_process("here"))
    stored = json.loads(json.dumps(study.changes()))
    study.tick(51.0)
    (stay,) = trial(study).stays
    assert (stay.ended, stay.outcome) == (51.0, Outcome.LOST)
    back = make(allow_stock_workers=True, max_trial_seconds=50.0)
    back.restore(stored, 40_000.0, go_on=True, told=30.0)
    back.tick(40_051.0)
    (stay,) = trial(back).stays
    assert (stay.ended, stay.outcome) == (30.0, Outcome.LOST), "but not for a night without a chief"
