"""Real runs of the whole pipeline, small: on both engines, interrupted, refused, and on bad data."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from custom_components.distributed_tuner.keys import SEARCHES_DIR
from custom_components.distributed_tuner.storage.search_dir import SearchDir
from tests.tfx_pipeline.home import Finished, Home, wait_for
from tfx_pipeline import evaluation, nodes
from tfx_pipeline.errors import ExitCode
from tfx_pipeline.run import outcome, serving
from tfx_pipeline.run.outcome import RunRecord
from tfx_pipeline.run.summary import read_search

# A test may have to wait for others: hence the time.
pytestmark = [pytest.mark.usefixtures("alone"), pytest.mark.xdist_group("pipeline"), pytest.mark.timeout(900)]

NODES = [
    nodes.EXAMPLES, "StatisticsGen", "ImportSchemaGen", "ExampleValidator", "AnomalyGate", "Transform", nodes.SEARCH,
    "Trainer_1", "Trainer_2", nodes.SELECTOR, "LatestBlessedModel", nodes.GATE, nodes.PUSHER,
]  # fmt: skip


def record_of(home: Home, run_id: str) -> RunRecord:
    return outcome.read_run(home.settings().metadata_path, run_id)


def test_first_run_ends_in_a_prediction(home: Home, first_run: Finished) -> None:
    assert re.search(r"Predicted \d+ s; the trip took \d+ s\.", first_run.output)
    assert re.search(r"The gate let the model through: MAE [\d.]+ s, RMSE [\d.]+ s", first_run.output)
    assert len(serving.pushed_versions(home.settings())) >= 1
    for node in NODES:
        assert re.search(rf"^  {node} +[\d.]+ s$", first_run.output, re.MULTILINE), node
    (report,) = re.findall(r"^Report: +(\S+)", first_run.output, re.MULTILINE)
    assert Path(report).read_text(encoding="utf-8").lower().startswith("<!doctype html>")


def test_noise_is_in_the_log_and_not_on_the_console(home: Home, first_run: Finished) -> None:
    log = (home.settings().log_dir / "pipeline.log").read_text(encoding="utf-8", errors="replace")
    assert "absl: Component Pusher is finished." in log
    assert "temporary sdist package" not in log  # TFX would leave one in /tmp for each Beam node.
    for noise in ("absl", "WARNING", "FutureWarning", "tensorflow/"):
        assert noise not in first_run.output


def test_metadata_holds_each_node_and_its_time(home: Home, first_run: Finished) -> None:
    record = record_of(home, "first")
    assert set(record.nodes) == set(NODES)
    assert all(node.finished for node in record.nodes.values())
    assert record.nodes[nodes.SEARCH].seconds > 0
    assert outcome.run_ids(home.settings().metadata_path)[-1] == "first"
    timing = json.loads((home.settings().log_dir / "timing.json").read_text(encoding="utf-8"))
    assert timing["seconds"] >= sum(timing["nodes"].values()) * 0.99


def test_the_selected_model_is_the_one_with_the_smallest_error_on_eval(home: Home, first_run: Finished) -> None:
    model = record_of(home, "first").output(nodes.SELECTOR, "model")
    assert model is not None
    scores = json.loads(str(model.properties["scores"]))
    assert set(scores) == {"1", "2"}
    assert str(model.properties["candidate"]) == min(scores, key=lambda rank: (scores[rank], rank))


def test_a_first_model_has_no_baseline_and_the_blessing_is_of_the_selected_model(
    home: Home, first_run: Finished
) -> None:
    record = record_of(home, "first")
    found = record.output(nodes.GATE, "evaluation")
    blessing = record.output(nodes.GATE, "blessing")
    model = record.output(nodes.SELECTOR, "model")
    assert found is not None
    assert blessing is not None
    assert model is not None
    verdict = evaluation.read_verdict(found.uri, 5000, 5000)
    assert verdict.passed
    assert verdict.baseline_mae is None
    assert 0 < verdict.mae <= verdict.rmse
    assert blessing.properties["current_model"] == model.uri


def through_tfx(home: Home, engine: str, **more: Any) -> None:
    """Creates the pipeline, runs it and deletes it, all by TFX's command line."""
    more["ENGINE"] = engine
    created = home.tfx("pipeline", "create", "--engine", engine, "--pipeline_path", "runner.py", **more)
    assert 'Pipeline "bikes" created successfully' in created.output, created.output
    ran = home.tfx("run", "create", "--engine", engine, "--pipeline_name", "bikes", **more)
    assert ran.code == 0, ran.output
    deleted = home.tfx("pipeline", "delete", "--engine", engine, "--pipeline_name", "bikes")
    assert deleted.code == 0, deleted.output


def test_tfx_run_create_on_the_local_engine_goes_on_with_a_run(home: Home, first_run: Finished) -> None:
    before = record_of(home, "first")
    through_tfx(home, "local")
    after = record_of(home, "first")
    assert set(after.nodes) == set(NODES)
    # What has finished is not run again: the same executions with the same outputs.
    for node in set(NODES) - {"LatestBlessedModel"}:
        assert after.nodes[node] == before.nodes[node]


def test_tfx_run_create_on_the_beam_engine_compares_with_the_first_model(home: Home, first_run: Finished) -> None:
    through_tfx(home, "beam", RUN_ID="second")
    record = record_of(home, "second")
    assert set(record.nodes) == set(NODES)
    assert all(node.finished for node in record.nodes.values())
    first = record_of(home, "first").output(nodes.GATE, "evaluation")
    second = record.output(nodes.GATE, "evaluation")
    assert first is not None
    assert second is not None
    baseline = evaluation.read_verdict(second.uri, 5000, 5000).baseline_mae
    assert baseline == pytest.approx(evaluation.read_verdict(first.uri, 5000, 5000).mae)


def test_an_interrupted_run_goes_on_and_a_refused_model_is_not_pushed(home: Home, first_run: Finished) -> None:
    served = serving.pushed_versions(home.settings())
    # Trials long enough to be met between the first one's end and the last one's.
    more: dict[str, Any] = {"RUN_ID": "third", "TRIALS": "3", "EPOCHS": "40", "WORKERS": "1", "MAX_MAE_SECONDS": "1"}
    process = home.start(ENGINE="beam", **more)  # Goes on with the other engine below.
    directory = SearchDir(Path(home.settings().root) / nodes.SEARCH / SEARCHES_DIR / "third")

    def a_trial_is_done() -> bool:
        record = directory.read_record()
        return record is not None and bool(record.completed())

    assert wait_for(a_trial_is_done, 150)
    interrupted = time.time()
    os.killpg(process.pid, signal.SIGINT)  # As ctrl-C does: to every process of the terminal.
    rest, _ = process.communicate(timeout=60)
    assert process.returncode == ExitCode.INTERRUPTED, rest
    assert "make run RUN_ID=third" in rest
    assert "Traceback" not in rest
    assert wait_for(lambda: not home.processes(), 10), home.processes()

    finished = home.call(**more)
    assert finished.code == ExitCode.REFUSED, finished.output
    (line,) = re.findall(r"^The gate refused the model: .*$", finished.output, re.MULTILINE)
    assert "above the limit of 1 s (MAX_MAE_SECONDS)" in line
    assert f"Nothing was pushed; version {served[-1]} keeps serving." in finished.output
    assert serving.pushed_versions(home.settings()) == served
    assert f"Asked the model server (version {served[-1]})" in finished.output
    search = read_search(record_of(home, "third"))
    ends = [trial.ended for trial in search.completed()]
    assert len(ends) == 3
    assert any(end is not None and end <= interrupted for end in ends), "no trial from before the interruption"


def test_anomalous_data_stops_the_run_before_the_search(home: Home, first_run: Finished, tmp_path: Path) -> None:
    header, *rows = Path(home.settings().csv).read_text(encoding="utf-8").splitlines()
    position = header.split(",").index("day_of_week")
    broken = []
    for row in rows:
        cells = row.split(",")
        cells[position] = "9"
        broken.append(",".join(cells))
    data = tmp_path / "trips.csv"
    data.write_text("\n".join([header, *broken]) + "\n", encoding="utf-8")
    finished = home.call(DATA=str(data), RUN_ID="anomalous")
    assert finished.code == ExitCode.FAILED
    assert re.search(r"^AnomalyGate: The data does not fit the schema:$", finished.output, re.MULTILINE)
    assert re.search(r"^  feature 'day_of_week': ", finished.output, re.MULTILINE)
    assert str(home.settings(RUN_ID="anomalous").log_dir / "pipeline.log") in finished.output
    assert "Traceback" not in finished.output
    assert not {"Transform", nodes.SEARCH} & set(record_of(home, "anomalous").nodes)
