"""What keras-tuner's own distributed mode does wrong (measured with 1.4.7), and ours does not: a test for each fault.

Some of them are other tests' business:

- Killed and restarted, stock's chief runs trials that were under way twice: `test_search`,
  `test_killed_chief_comes_back_and_nothing_is_lost_or_run_twice`.
- Stock pads the top N with failed trials and repeats configurations: `test_suggester`,
  `test_the_best_are_never_padded_with_others`; `test_top_n`; `test_search`,
  `test_each_algorithm_finds_distinct_configurations`.
- Stock's chief slows down as its state grows: `test_patches`, `test_a_save_costs_what_changed`; `benchmarks.oracle`
  measures both.
- Started again, stock's finished search runs its last trial again: `test_search`,
  `test_a_finished_search_runs_nothing_again`. And every trial begins at its first epoch: `resume`.
- Two failures in a round of stock's Hyperband cost trials of later rounds: `test_hyperband`.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import keras_tuner as kt
import pytest

from custom_components.distributed_tuner.errors import ExitCode
from custom_components.distributed_tuner.options import SearchOptions
from custom_components.distributed_tuner.oracle import user_tuner
from custom_components.distributed_tuner.record import top_n
from custom_components.distributed_tuner.record.record import Outcome, SearchRecord, TrialStatus
from custom_components.distributed_tuner.rpc import protocol
from tests.custom_components.distributed_tuner import chief_here
from tests.custom_components.distributed_tuner.guests import Guests


@pytest.mark.timeout(300)
def test_three_failing_builds_end_the_search_and_do_not_hang_the_chief(make_search: Callable[..., Any]) -> None:
    found = make_search("failing_build").run()
    assert found.record.stop_reason is not None and found.record.stop_reason.startswith("3 trials failed in a row")
    assert {trial.status for trial in found.record.trials} <= {TrialStatus.FAILED, TrialStatus.STOPPED}
    with pytest.raises(top_n.TooFewTrials, match=r"(?s)Traceback .* in build.*ValueError: cannot build with units="):
        top_n.choose(found.record, 1, found.error)


@pytest.mark.timeout(300)
def test_a_worker_killed_for_good_leaves_no_trial_running_and_nobody_waiting(
    make_search: Callable[..., Any], guests: Guests
) -> None:
    killed: list[str] = []

    def kill(running: Any, record: SearchRecord) -> None:
        if not killed and record.trials:
            killed.append("")
            guests.start("guest", running.directory, running.token)
        for trial in record.trials:
            if trial.status is TrialStatus.RUNNING and trial.stays[-1].worker == "guest" and killed == [""]:
                killed.append(trial.trial_id)
                guests.tell("guest", signal.SIGKILL)

    # Hyperband, whose workers wait for each other.
    found = make_search("halving", {"seconds": 0.5}).run(workers=1, watch=kill)
    assert guests.exit_code("guest") == 128 + signal.SIGKILL
    assert found.record.count(TrialStatus.COMPLETED) == len(found.record.trials) == 15
    (lost,) = [t for t in found.record.trials if any(stay.outcome is Outcome.LOST for stay in t.stays)]
    assert lost.trial_id == killed[1] and lost.stays[-1].worker == "worker-0"


@pytest.mark.timeout(300)
def test_an_idle_hyperband_worker_asks_less_than_once_a_second_and_starts_when_work_appears(
    make_search: Callable[..., Any], guests: Guests
) -> None:
    options = SearchOptions(lease_seconds=600.0)  # the trials that this test holds get no heartbeats
    made = make_search("halving", {"seconds": 0.0}, options)
    made.spec.write(made.directory.storage)
    tuner = user_tuner.build(made.spec, made.directory.root, process="chief", populate=True).tuner
    with chief_here.serving(made.directory, tuner.oracle, made.token, options) as here:
        held: dict[str, str] = {}
        while trial_id := chief_here.ask(here, worker := f"busy-{len(held)}"):
            held[worker] = trial_id
        guests.start("idle", made.directory, made.token)

        def asked() -> list[chief_here.Call]:
            return here.calls_of("idle", "Suggest")

        # Its question is held open until it is told to ask again: all that it sends in between is known then.
        chief_here.wait_for(lambda: len(asked()) >= 2, "the idle worker asks a second time")
        first, second = asked()[:2]
        sent = [call for call in here.calls_of("idle") if first.when <= call.when < second.when]
        assert {call.method for call in sent} == {"Suggest", "Heartbeat"}
        assert len(sent) < second.when - first.when
        for worker, trial_id in held.items():
            chief_here.finish(here, worker, trial_id, val_loss=float(trial_id))
        chief_here.wait_for(lambda: here.calls_of("idle", "Finish"), "the idle worker runs a trial")
        # It had not to ask again: its open question was answered.
        done = here.calls_of("idle", "Finish")[0].when
        assert len([call for call in asked() if call.when < done]) <= 3


class SlowOracle(kt.oracles.RandomSearchOracle):
    """Suggests nothing before it is told to."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.thinks, self.may_answer = threading.Event(), threading.Event()

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        self.thinks.set()
        assert self.may_answer.wait(120)
        return super().populate_space(trial_id)


@pytest.mark.timeout(300)
def test_nobody_who_has_a_trial_waits_while_the_oracle_computes_a_suggestion(make_search: Callable[..., Any]) -> None:
    made = make_search("waiting")
    space = kt.HyperParameters()
    space.Float("x", 0.0, 1.0)
    oracle = SlowOracle(kt.Objective("val_loss", "min"), max_trials=5, hyperparameters=space)
    oracle.may_answer.set()
    with (
        chief_here.serving(made.directory, oracle, made.token, SearchOptions()) as here,
        ThreadPoolExecutor() as threads,
    ):
        trial_id = chief_here.ask(here, "a", protocol.LONG_POLL_SECONDS)
        oracle.thinks.clear()
        oracle.may_answer.clear()
        suggestion = threads.submit(chief_here.ask, here, "b", protocol.LONG_POLL_SECONDS)
        try:
            assert oracle.thinks.wait(60)
            message = {"worker": "a", "trial_id": trial_id, "epochs": 1}
            assert here.client.call("Heartbeat", message)["directive"] == "continue"
            assert len(here.client.call("Status", {})["record"]["trials"]) == 1
            here.client.call("Release", {"worker": "a", "trial_id": trial_id})
            assert not suggestion.done()
        finally:
            oracle.may_answer.set()
        assert suggestion.result(60) is not None


@pytest.mark.timeout(300)
def test_a_worker_waits_for_an_absent_chief_as_long_as_it_is_told_and_no_longer(
    make_search: Callable[..., Any], guests: Guests
) -> None:
    made = make_search("waiting", None, SearchOptions(chief_timeout_seconds=3.0))
    made.spec.write(made.directory.storage)
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # bound, and not listened at
        address = f"127.0.0.1:{nobody.getsockname()[1]}"
        made.directory.chief.write_text(json.dumps({"address": address}))
        guests.start("guest", made.directory, made.token)
        assert guests.exit_code("guest") == ExitCode.CHIEF_LOST
    log = made.directory.log("guest").read_text()
    assert "no chief answered" in log and "(patience 3 s)" in log and address in log


@pytest.mark.timeout(300)
def test_the_state_on_the_disk_is_whole_at_every_moment(make_search: Callable[..., Any]) -> None:
    over = threading.Event()
    seen: dict[str, int] = {}

    def read(root: Path) -> None:
        """Reads, again and again, what keras-tuner's own tools would read; ValueError where it is no JSON."""
        while not over.is_set():
            for path in (*root.glob("*.json"), *root.glob("waiting/**/*.json")):
                json.loads(path.read_bytes())
                seen[path.name] = seen.get(path.name, 0) + 1

    kills: list[int] = []

    def kill(running: Any, record: SearchRecord) -> None:
        pid = running.cluster.pid("chief")
        if pid and pid not in kills and record.count(TrialStatus.COMPLETED) > 6 * len(kills) and len(kills) < 4:
            kills.append(pid)
            os.kill(pid, signal.SIGKILL)

    made = make_search("waiting", {"max_trials": 40, "seconds": 0.2})
    with ThreadPoolExecutor(1) as threads:
        reading = threads.submit(read, made.directory.root)
        try:
            made.run(watch=kill)
        finally:
            over.set()
        reading.result(60)
    assert len(kills) == 4
    assert {"oracle.json", "trial.json", "record.json", "chief.json"} <= set(seen)
