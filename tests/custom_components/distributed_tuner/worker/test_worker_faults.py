"""What goes wrong outside of a trial, in workers and in the oracle: the search goes on, or ends and says why."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any

import pytest

from custom_components.distributed_tuner.cluster.local.cluster import LocalCluster
from custom_components.distributed_tuner.errors import MAX_CHARACTERS, SearchError
from custom_components.distributed_tuner.host import log_bounds
from custom_components.distributed_tuner.options import SearchOptions
from custom_components.distributed_tuner.record.record import Outcome, SearchRecord, TrialStatus
from custom_components.distributed_tuner.report import html


def quick(**limits: Any) -> SearchOptions:
    return SearchOptions(heartbeat_seconds=0.5, lease_seconds=3.0, grace_seconds=2.0, **limits)


@pytest.mark.timeout(180)
@pytest.mark.parametrize(
    "fault", ["tuner_fn raises", "search returns", "on_trial_begin raises", "on_trial_end raises", "exits"]
)
def test_one_workers_fault_costs_no_trial(make_search: Callable[..., Any], fault: str) -> None:
    found = make_search("faulty", {"fault": fault}).run(workers=2)
    failed = 1 if fault in ("on_trial_begin raises", "exits") else 0
    assert (found.record.count(TrialStatus.COMPLETED), found.record.count(TrialStatus.FAILED)) == (4 - failed, failed)
    assert (found.error, found.record.stop_reason) == (None, None)


@pytest.mark.timeout(180)
@pytest.mark.parametrize(
    ("fault", "message", "trace"),
    [
        ("tuner_fn raises", "user_tuners.faulty raised OSError: the file server is away", "user_tuners.py"),
        ("tuner_fn exits", "user_tuners.faulty called sys.exit (SystemExit: no licence)", "user_tuners.py"),
        ("tuner_fn is interrupted", "user_tuners.faulty raised KeyboardInterrupt", "user_tuners.py"),
        ("search returns", "_Faulty.search returned although the search is not over", ""),
        ("on_trial_begin raises", "ValueError: no place to log to", ""),
        ("exits", "SystemExit: 0", ""),
    ],
)
def test_a_fault_of_every_worker_ends_the_search_with_the_first_one(
    make_search: Callable[..., Any], fault: str, message: str, trace: str
) -> None:
    found = make_search("faulty", {"fault": fault, "times": 100}).run(workers=2)
    assert found.record.stop_reason is not None and message in found.record.stop_reason
    assert "3 times in a row" in found.record.stop_reason or "3 trials failed in a row" in found.record.stop_reason
    if trace:
        assert found.error is not None and trace in found.error[2]
        assert found.error[1] == found.record.stop_reason


@pytest.mark.timeout(180)
def test_a_worker_whose_tuner_fn_hangs_is_started_anew(make_search: Callable[..., Any]) -> None:
    options = quick(start_seconds=8.0)
    found = make_search("faulty", {"fault": "tuner_fn hangs"}, options).run(workers=1)
    assert found.record.count(TrialStatus.COMPLETED) == 4


@pytest.mark.timeout(240)
def test_a_worker_that_hangs_between_two_trials_is_started_anew(make_search: Callable[..., Any]) -> None:
    options = quick(max_epoch_seconds=4.0)
    found = make_search("faulty", {"fault": "on_trial_end hangs"}, options).run(workers=1)
    # The one that it was given before it hung.
    assert [trial.cause for trial in found.record.failed()] == ["stuck: no epoch finished within max_epoch_seconds=4"]
    assert found.record.count(TrialStatus.COMPLETED) == 3


@pytest.mark.timeout(180)
def test_a_text_that_no_encoding_knows_is_a_message_like_others(make_search: Callable[..., Any]) -> None:
    made = make_search("misspelt")
    found = made.run(workers=1)
    assert [trial.cause for trial in found.record.failed()] == [r"ValueError: cannot read caf\udce9.csv"]
    assert [len(trial.stays) for trial in found.record.trials] == [1] * 4
    assert r"reading caf\udce9.csv" in made.directory.log("worker-0").read_text()
    assert "cannot read" in html.render_html(found.record, generated_at=0.0).encode().decode()


@pytest.mark.timeout(240)
def test_logs_and_messages_without_end_are_cut_in_the_middle(make_search: Callable[..., Any]) -> None:
    made = make_search("verbose")
    found = made.run(workers=1)
    (failed,) = found.record.failed()
    assert failed.cause.startswith("ValueError: the whole table: xxx")
    assert failed.message is not None and "characters are left out here]" in failed.message
    assert len(failed.message) <= MAX_CHARACTERS and failed.message.rstrip().endswith("xxx which ends here")
    assert (found.record.count(TrialStatus.COMPLETED), found.error) == (3, None)
    log = made.directory.log("worker-0")
    assert log.stat().st_size <= log_bounds.MOST_BYTES and "bytes are left out here]" in log.read_text()
    assert sum(path.stat().st_size for path in made.directory.root.rglob("*")) <= log_bounds.MOST_BYTES + 1_000_000


@pytest.mark.timeout(180)
@pytest.mark.parametrize("times", [1, 100])
def test_trials_that_the_tuner_does_not_end_fail_and_say_so(make_search: Callable[..., Any], times: int) -> None:
    made = make_search("faulty", {"fault": "on_trial_end forgets", "times": times})
    found = made.run(workers=1)
    failed = found.record.failed()
    assert len(failed) == (1 if times == 1 else 3)
    assert all("must call super().on_trial_end(trial)" in trial.cause for trial in failed)
    assert found.record.count(TrialStatus.COMPLETED) == (3 if times == 1 else 0)
    runs = made.directory.root.joinpath("ran.log").read_text().splitlines()
    assert len(runs) == len({run.split()[0] for run in runs}) > 0, "no trial runs twice"


@pytest.mark.timeout(180)
def test_a_hyperparameter_that_cannot_be_stored_fails_its_trial_by_name(make_search: Callable[..., Any]) -> None:
    found = make_search("unsendable", {"max_trials": 5}, quick(max_consecutive_failures=4)).run(workers=1)
    causes = [trial.cause for trial in found.record.failed()]
    assert len(causes) == 3
    assert "trial 0 cannot be stored: hyperparameter 'x' has the value <object object at" in causes[0]
    assert "trial 1 cannot be stored: hyperparameter 'layers' has the value [64, 32] of type list" in causes[1]
    assert "trial 2 cannot be stored: hyperparameter 'x' has the value None of type NoneType" in causes[2]
    assert [len(trial.stays) for trial in found.record.trials] == [1] * 5
    again = make_search("unsendable", {"max_trials": 6}).run(workers=1)
    assert [trial.cause for trial in again.record.failed()] == causes
    assert again.record.count(TrialStatus.COMPLETED) == 3


@pytest.mark.timeout(180)
def test_a_metric_that_is_no_number_fails_its_trial_by_name(make_search: Callable[..., Any]) -> None:
    found = make_search("mismeasured").run(workers=1)
    text, nothing = [trial.cause for trial in found.record.failed()]
    assert (
        "ValueError: the metric 'f1' was reported as 'n/a', which is no number: ValueError: could not convert" in text
    )
    assert "ValueError: the metric 'default_objective' was reported as None, which is no number: TypeError" in nothing
    assert found.record.count(TrialStatus.COMPLETED) == 2


@pytest.mark.timeout(180)
def test_workers_whose_tuner_fn_hangs_always_end_the_search_and_show_where(make_search: Callable[..., Any]) -> None:
    options = quick(start_seconds=6.0)
    found = make_search("faulty", {"fault": "tuner_fn hangs", "times": 100}, options).run(workers=1)
    assert found.error is not None
    assert "no trial was asked for within start_seconds=6" in found.error[1]
    assert "time.sleep(600)" in found.error[2]


@pytest.mark.timeout(180)
def test_workers_that_hang_in_native_code_at_each_start_end_the_search(make_search: Callable[..., Any]) -> None:
    options = quick(start_seconds=6.0)
    with pytest.raises(
        SearchError, match=r"worker-0 died 4 times before any trial began.*said nothing to the chief, and was killed"
    ):
        make_search("faulty", {"fault": "tuner_fn hangs in C", "times": 100}, options).run(workers=1)


@pytest.mark.timeout(180)
def test_workers_that_crash_at_every_start_after_the_first_trial_end_the_search(
    make_search: Callable[..., Any],
) -> None:
    with pytest.raises(SearchError, match=r"all workers die as soon as they are started.*exit code 139"):
        make_search("crashes_after_a_trial").run(workers=2)


@pytest.mark.timeout(180)
@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("state", "_Oracle.get_state raised TypeError"),
        ("state raises", "_Oracle.get_state raised ValueError: no state after the second trial"),
        ("best step", "_Oracle.score_trial set score="),
        ("hangs", "_Oracle did not answer within max_oracle_seconds=2"),
        ("list is used up", "_Oracle.create_trial raised StopIteration"),
        ("sys.exit", "_Oracle.create_trial raised SystemExit: 3"),
        ("cancels", "_Oracle.create_trial raised CancelledError"),
    ],
)
def test_a_faulty_oracle_ends_the_search_with_its_name(make_search: Callable[..., Any], fault: str, words: str) -> None:
    options = quick(max_oracle_seconds=2.0)
    found = make_search("own_oracle", {"fault": fault}, options).run(workers=2)
    assert found.record.stop_reason is not None and words in found.record.stop_reason
    assert found.record.ended is not None
    assert found.error is not None and found.error[0] == "chief"


@pytest.mark.timeout(240)
@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("exits at once", r"the chief ended before the search did, with exit code 0"),
        (
            "kills",
            r"(?s)the chief died \d+ times and the search did not go on meanwhile.*exit code 139.* in populate_space",
        ),
    ],
)
def test_an_oracle_that_ends_its_process_ends_the_search(
    make_search: Callable[..., Any], fault: str, words: str
) -> None:
    made = make_search("own_oracle", {"fault": fault})
    made.cluster = LocalCluster(made.directory, made.token, server=made.server, longest_pause_seconds=0.2)
    with pytest.raises(SearchError, match=words):
        made.run(workers=2)


@pytest.mark.timeout(180)
def test_a_trial_that_hangs_in_native_code_costs_its_workers_and_not_the_search(
    make_search: Callable[..., Any],
) -> None:
    options = SearchOptions(
        heartbeat_seconds=0.5, lease_seconds=2.0, grace_seconds=1.0, start_seconds=60.0, max_fruitless_losses=2
    )
    found = make_search("faulty", {"fault": "trial hangs in C", "times": 2}, options).run(workers=1)
    (failed,) = found.record.failed()
    assert failed.message is not None and "2 workers in a row died with it" in failed.message
    assert found.record.count(TrialStatus.COMPLETED) == 3


@pytest.mark.timeout(180)
@pytest.mark.parametrize("fault", ["trial sends SIGTERM", "trial sends SIGTERM after asyncio"])
def test_a_trial_that_ends_its_worker_as_a_preemption_does_fails_and_not_the_search(
    make_search: Callable[..., Any], fault: str
) -> None:
    options = quick(max_fruitless_releases=3)
    found = make_search("faulty", {"fault": fault, "times": 3}, options).run(workers=1)
    (failed,) = found.record.failed()
    assert failed.message is not None and "3 workers in a row were told to end (SIGTERM)" in failed.message
    assert [stay.outcome for stay in failed.stays] == [Outcome.RELEASED] * 3
    assert found.record.count(TrialStatus.COMPLETED) == 3


@pytest.mark.timeout(180)
def test_a_search_whose_files_are_done_away_with_ends(make_search: Callable[..., Any]) -> None:
    done: list[str] = []

    def remove(running: Any, record: SearchRecord) -> None:
        if record.completed() and not done:
            done.append("removed")
            running.directory.chief.unlink()

    found = make_search("waiting", {"seconds": 0.5}).run(workers=2, watch=remove)
    assert done and found.record.count(TrialStatus.COMPLETED) == 8


@pytest.mark.timeout(180)
def test_the_same_run_with_more_trials_goes_on(make_search: Callable[..., Any]) -> None:
    assert make_search("waiting", {"max_trials": 2}).run().record.count(TrialStatus.COMPLETED) == 2
    assert make_search("waiting", {"max_trials": 5}).run().record.count(TrialStatus.COMPLETED) == 5


@pytest.mark.timeout(180)
def test_trials_without_a_score_fail_and_say_so(make_search: Callable[..., Any]) -> None:
    found = make_search("own_oracle", {"fault": "no score"}).run(workers=1)
    assert {trial.message for trial in found.record.failed()} == {
        "_Oracle gave the trial the score nan: it counts as failed"
    }


@pytest.mark.timeout(180)
def test_a_search_whose_chief_dies_again_and_again_keeps_to_its_time(make_search: Callable[..., Any]) -> None:
    options = quick(max_search_seconds=8.0)
    kills: list[int] = []

    def kill(running: Any, record: SearchRecord) -> None:
        if len(record.trials) > 2 * len(kills) and len(kills) < 4:
            pid = running.cluster.pid("chief")
            if pid is not None:
                kills.append(len(record.trials))
                os.kill(pid, signal.SIGKILL)

    found = make_search("waiting", {"max_trials": 1000, "seconds": 0.5}, options).run(workers=2, watch=kill)
    assert len(kills) == 4
    assert found.record.stop_reason == "the search reached max_search_seconds=8"
    assert found.record.ended is not None and found.record.ended - found.record.started < 16.0
