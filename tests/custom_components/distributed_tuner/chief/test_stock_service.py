"""A plain keras-tuner script joins a search where that was allowed, and what guards the search from it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import keras_tuner as kt
import pytest
from keras_tuner.src import protos
from keras_tuner.src.engine import trial as trial_module

from custom_components.distributed_tuner.errors import SearchError
from custom_components.distributed_tuner.options import SearchOptions
from custom_components.distributed_tuner.record.record import Outcome, SearchRecord, TrialRecord, TrialStatus
from custom_components.distributed_tuner.rpc import protocol
from custom_components.distributed_tuner.storage.search_dir import SearchDir
from tests.custom_components.distributed_tuner import chief_here

ALLOWED = SearchOptions(allow_stock_workers=True, max_trial_seconds=60.0)


class Scripts:
    """Plain scripts, told where the chief is by keras-tuner's own variables."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.started: list[subprocess.Popen[bytes]] = []

    def start(self, address: str, name: str, *, seconds: float = 0.0) -> None:
        """Starts one whose trials take so many seconds."""
        host, port = address.split(":")
        variables = {"KERASTUNER_ORACLE_IP": host, "KERASTUNER_ORACLE_PORT": port, "KERASTUNER_TUNER_ID": name}
        script = str(Path(__file__).parents[1] / "stock_script.py")
        command = [sys.executable, script, str(self._folder / name), str(seconds)]
        with self.log.open("ab") as log:
            self.started.append(subprocess.Popen(command, env={**os.environ, **variables}, stdout=log, stderr=log))

    @property
    def log(self) -> Path:
        """What they said."""
        return self._folder / "stock.log"


@pytest.fixture
def scripts(tmp_path: Path) -> Iterator[Scripts]:
    made = Scripts(tmp_path)
    yield made
    for each in made.started:
        if each.poll() is None:
            each.kill()
            each.wait()


def asked(address: str, service: str) -> grpc.StatusCode:
    """What a caller without a token gets of keras-tuner's service, or of the search's own."""
    with grpc.insecure_channel(address) as channel:
        try:
            if service == "stock":
                message = protos.get_service().GetSpaceRequest()
                protos.get_service_grpc().OracleStub(channel).GetSpace(message, timeout=60.0)
            else:
                ask = channel.unary_unary(
                    f"/{protocol.SERVICE}/Status",
                    request_serializer=protocol.encode,
                    response_deserializer=protocol.decode,
                )
                ask({}, timeout=60.0)
        except grpc.RpcError as error:
            code: grpc.StatusCode = error.code()
            return code
    return grpc.StatusCode.OK


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("options", "stock"), [(SearchOptions(), grpc.StatusCode.UNIMPLEMENTED), (ALLOWED, grpc.StatusCode.OK)]
)
def test_only_where_it_is_allowed_keras_tuners_service_is_there_and_asks_for_no_token(
    make_search: Callable[..., Any], options: SearchOptions, stock: grpc.StatusCode
) -> None:
    answers: dict[str, grpc.StatusCode] = {}

    def ask(running: Any, record: SearchRecord) -> None:
        address = running.directory.read_address()
        assert address.startswith("127.0.0.1:")
        for service in ("stock", "own"):
            answers[service] = asked(address, service)

    make_search("waiting", {"max_trials": 1}, options).run(workers=1, watch=ask)
    assert answers == {"stock": stock, "own": grpc.StatusCode.UNAUTHENTICATED}


def done_by_script(record: SearchRecord) -> list[TrialRecord]:
    """The trials that the script completed."""
    done = [each for each in record.trials if each.status is TrialStatus.COMPLETED]
    return [each for each in done if each.stays[-1].worker == "plain"]


@pytest.mark.timeout(300)
def test_a_plain_script_joins_as_a_worker(make_search: Callable[..., Any], scripts: Scripts) -> None:
    def join(running: Any, record: SearchRecord) -> None:
        if not scripts.started:
            scripts.start(running.directory.read_address(), "plain")
        if record.stop_reason is None and len(done_by_script(record)) > 1:
            running.stop()

    found = make_search("waiting", {"max_trials": 1000, "seconds": 1.0}, ALLOWED).run(workers=1, watch=join)
    assert scripts.started[0].wait(120) == 0, scripts.log.read_text()
    assert found.record.count(TrialStatus.FAILED) == 0
    plain = done_by_script(found.record)
    assert plain, scripts.log.read_text()
    # What went through float32 and back is still the value that the oracle chose, and the score is the script's own.
    for trial in plain:
        assert trial.hyperparameters == found.trials[trial.trial_id]["hyperparameters"]["values"]
        assert trial.score == pytest.approx((float(trial.hyperparameters["x"]) - 1.0) ** 2, rel=1e-5, abs=1e-6)


@pytest.mark.timeout(300)
def test_a_plain_script_that_is_killed_keeps_its_trial_no_longer_than_a_trial_may_take(
    make_search: Callable[..., Any], scripts: Scripts
) -> None:
    killed: list[str] = []

    def kill(running: Any, record: SearchRecord) -> None:
        if not scripts.started:
            scripts.start(running.directory.read_address(), "plain", seconds=600.0)
        held = [t for t in record.trials if t.status is TrialStatus.RUNNING and t.stays[-1].worker == "plain"]
        if held and not killed:
            killed.append(held[0].trial_id)
            with contextlib.suppress(ProcessLookupError):
                scripts.started[0].send_signal(signal.SIGKILL)
        completed = {each.trial_id for each in record.trials if each.status is TrialStatus.COMPLETED}
        if record.stop_reason is None and set(killed) & completed:
            running.stop()

    options = SearchOptions(allow_stock_workers=True, max_trial_seconds=10.0)
    found = make_search("waiting", {"max_trials": 1000, "seconds": 1.0}, options).run(workers=1, watch=kill)
    assert killed, scripts.log.read_text()
    first, *others = next(t for t in found.record.trials if t.trial_id == killed[0]).stays
    assert (first.worker, first.outcome) == ("plain", Outcome.LOST)
    assert first.ended is not None and first.ended - first.started >= 10.0
    assert [(stay.worker, stay.outcome) for stay in others] == [("worker-0", Outcome.COMPLETED)]


class Script:
    """A plain script, as the chief sees it: a connection of its own, and keras-tuner's calls over it."""

    def __init__(self, address: str, name: str) -> None:
        self.channel = grpc.insecure_channel(address, options=protocol.CHANNEL_OPTIONS)
        self._stub = protos.get_service_grpc().OracleStub(self.channel)
        self._name = name

    def create(self) -> Any:
        """Asks for a trial."""
        request = protos.get_service().CreateTrialRequest(tuner_id=self._name)
        return self._stub.CreateTrial(request, timeout=60.0).trial

    def update(self, trial_id: str, loss: float) -> None:
        """Reports a metric."""
        request = protos.get_service().UpdateTrialRequest(trial_id=trial_id, metrics={"loss": loss}, step=0)
        self._stub.UpdateTrial(request, timeout=60.0)

    def end(self, trial_id: str, status: str, **values: Any) -> None:
        """Ends a trial, with these values as keras-tuner's messages hold them."""
        ended = trial_module.Trial(kt.HyperParameters(), trial_id=trial_id, status=status).to_proto()
        for name, value in values.items():
            ended.hyperparameters.values.values[name].CopyFrom(value)
        self._stub.EndTrial(protos.get_service().EndTrialRequest(trial=ended), timeout=60.0)


@pytest.fixture
def here(tmp_path: Path) -> Iterator[chief_here.ChiefHere]:
    """A chief in this process that serves plain scripts."""
    directory = SearchDir(tmp_path)
    directory.create()
    space = kt.HyperParameters()
    space.Float("x", 0.0, 1.0)
    oracle = kt.oracles.RandomSearchOracle(kt.Objective("loss", "min"), max_trials=9, seed=1, hyperparameters=space)
    options = SearchOptions(allow_stock_workers=True, max_trial_seconds=600.0)
    with chief_here.serving(directory, oracle, "token", options) as serving:
        yield serving


def status_of(here: chief_here.ChiefHere, trial_id: str) -> tuple[str, Any]:
    """A trial's status and score."""
    trials = here.client.call("Status", {})["record"]["trials"]
    return next((trial["status"], trial["score"]) for trial in trials if trial["trial_id"] == trial_id)


@pytest.mark.parametrize("successor", ["plain", "another"])
def test_a_script_whose_trial_was_handed_on_changes_nothing_for_the_next_one(
    here: chief_here.ChiefHere, tmp_path: Path, successor: str
) -> None:
    address = SearchDir(tmp_path).read_address()
    assert address is not None
    first, second = Script(address, "plain"), Script(address, successor)
    with first.channel, second.channel:
        trial_id = first.create().trial_id
        here.client.call("Gone", {"worker": "plain", "reason": "its time is over"})
        assert second.create().trial_id == trial_id
        for status in ("COMPLETED", "INVALID", "FAILED"):
            # The first one, without a metric, gives the trial back.
            first.end(trial_id, status)
            assert status_of(here, trial_id)[0] == "RUNNING", status
        first.update(trial_id, 7.0)
        second.update(trial_id, 2.0)
        second.end(trial_id, "COMPLETED")
        assert status_of(here, trial_id) == ("COMPLETED", 2.0)
        # The id is the second one's by now, if they share it.
        over = protos.get_proto().TrialStatus.STOPPED
        assert (first.create().status == over) is (successor == "plain")


def test_a_script_does_not_end_the_trial_of_one_of_the_searchs_own_workers(
    here: chief_here.ChiefHere, tmp_path: Path
) -> None:
    address = SearchDir(tmp_path).read_address()
    assert address is not None
    script = Script(address, "plain")
    with script.channel:
        trial_id = chief_here.ask(here, "own")
        assert trial_id is not None
        with pytest.raises(grpc.RpcError) as refused:
            script.end(trial_id, "FAILED")
        assert refused.value.code() is grpc.StatusCode.NOT_FOUND
        assert status_of(here, trial_id)[0] == "RUNNING"


def test_what_keras_tuner_would_not_send_is_refused_and_changes_nothing(
    here: chief_here.ChiefHere, tmp_path: Path
) -> None:
    address = SearchDir(tmp_path).read_address()
    assert address is not None
    script = Script(address, "plain")
    with script.channel:
        trial_id = script.create().trial_id
        script.update(trial_id, 2.0)
        for value in (protos.get_proto().Value(), protos.get_proto().Value(string_value="much")):
            with pytest.raises(grpc.RpcError) as refused:
                script.end(trial_id, "COMPLETED", x=value)
            assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
            assert status_of(here, trial_id)[0] == "RUNNING"
        script.end(trial_id, "COMPLETED", x=protos.get_proto().Value(float_value=0.5))
        assert status_of(here, trial_id) == ("COMPLETED", 2.0)
    nameless = Script(address, "")
    with nameless.channel, pytest.raises(grpc.RpcError) as refused:
        nameless.create()
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.timeout(300)
def test_hyperband_whose_trials_need_the_weights_of_others_is_refused(make_search: Callable[..., Any]) -> None:
    with pytest.raises(
        SearchError, match=r"allow_stock_workers: HyperbandOracle has later rounds go on from"
    ) as caught:
        make_search("halving", {"seconds": 0.0}, ALLOWED).run(workers=1)
    assert "Traceback" not in str(caught.value)
