"""Failed nodes in words."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from custom_components.anomaly_gate.executor import AnomalyError
from custom_components.distributed_tuner.errors import SearchError
from custom_components.distributed_tuner.record.top_n import TooFewTrials
from tfx_pipeline.errors import DataError, PipelineError, StorageError
from tfx_pipeline.run import failure

LOG = Path("/runs/logs/r/pipeline.log")


def explain(error: BaseException, node: str | None = "Transform") -> PipelineError:
    return failure.explain(error, node, Path("/runs"), LOG, "r")


def test_unknown_error_names_node_kind_log_and_how_to_go_on() -> None:
    text = str(explain(KeyError("temp")))
    assert "Transform failed with KeyError: 'temp'" in text
    assert str(LOG) in text
    assert "make run RUN_ID=r" in text


def test_a_heading_and_a_stack_are_passed_over() -> None:
    stack = "".join(f'  File "training.py", line {line}, in fit\n\n' for line in range(20))
    text = f"Graph execution error:\n\nDetected at node x defined at (most recent call last):\n{stack}no such label\n"
    told = str(explain(RuntimeError(text), "Trainer")).splitlines()
    assert told[:2] == ["Trainer failed with RuntimeError: no such label", "… (the rest is in the log)"]
    assert len(told) == 4
    assert str(explain(RuntimeError("two\nlines"))).startswith("Transform failed with RuntimeError: two\nlines\n")


def test_texts_for_people_stand_as_they_are() -> None:
    assert str(explain(SearchError("every trial failed"), "DistributedTuner")).startswith(
        "DistributedTuner: every trial failed\n"
    )


def test_a_search_whose_trials_failed_is_not_worth_going_on_with() -> None:
    text = str(explain(TooFewTrials("found 1, 2 needed"), "DistributedTuner"))
    assert "found 1, 2 needed" in text
    assert "start a new one" in text
    assert "RUN_ID=r" not in text


def test_bad_data_is_not_worth_going_on_with() -> None:
    text = str(explain(AnomalyError("feature 'temp'"), "AnomalyGate"))
    assert "feature 'temp'" in text
    assert "RUN_ID" not in text


def test_an_error_for_people_stays_itself() -> None:
    error = DataError("no such file")
    assert explain(error, None) is error


def wrapped(cause: BaseException) -> BaseException:
    try:
        raise RuntimeError("Beam failed") from cause
    except RuntimeError as error:
        return error


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device", "/runs/x"),
        wrapped(OSError(errno.EROFS, "Read-only file system", "/runs/x")),
        RuntimeError("ResourceExhaustedError: /runs/x; No space left on device [while running 'Write']"),
        RuntimeError("INTERNAL: database or disk is full"),
    ],
)
def test_a_full_or_read_only_disk_is_told_as_such(error: BaseException) -> None:
    told = explain(error)
    assert isinstance(told, StorageError)
    assert "could not write below /runs" in str(told)
    assert "RUNS_DIR" in str(told)


def test_long_texts_are_cut() -> None:
    text = str(explain(ValueError("\n".join(map(str, range(500))))))
    assert len(text.splitlines()) < 20
    assert "the rest is in the log" in text
