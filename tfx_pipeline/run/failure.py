"""What a failed node means for the person at the terminal: one message in place of a traceback."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from custom_components.anomaly_gate import AnomalyError
from custom_components.distributed_tuner import TooFewTrials, TunerError, cause_of_error
from custom_components.model_selector import SelectionError
from tfx_pipeline.errors import NodeFailed, PipelineError, StorageError
from tfx_pipeline.run.workspace import STORAGE_ERRNOS

_TOLD = (AnomalyError, SelectionError, TunerError)  # Their texts are written for people.
# TensorFlow, SQLite and Beam report it in text only.
_STORAGE_WORDS = ("no space left on device", "disk quota exceeded", "read-only file system", "database or disk is full")
_MAX_LINES = 12
_REST = "… (the rest is in the log)"


def explain(error: BaseException, node: str | None, runs_dir: Path, log_file: Path, run_id: str) -> PipelineError:
    """Turns whatever ended a run into an error with one clear text.

    Args:
      error: what the runner raised; its causes are examined too.
      node: the node that was running, if any.
      runs_dir: the run's directory, named if writing to it failed.
      log_file: has all details; named in the text.
      run_id: the id with which the run can be resumed.
    """
    where = node or "The run"
    goes_on = f"Log: {log_file}\nOnce mended, make run RUN_ID={run_id} goes on after the nodes that have finished"
    if storage := next((text for text in map(_storage_text, _chain(error)) if text), None):
        return StorageError(
            f"{where} could not write below {runs_dir}: {storage}; make room or mend that. RUNS_DIR=… chooses "
            f"another place.\n{goes_on}"
        )
    if isinstance(error, NodeFailed):
        return PipelineError(f"{error}\n{goes_on}")
    if isinstance(error, PipelineError):
        return error
    if isinstance(error, AnomalyError):  # A resumed run would use the same data.
        return PipelineError(f"{where}: {error}\nLog: {log_file}")
    if isinstance(error, TooFewTrials):  # A resumed run would count the same failures without retrying them.
        return PipelineError(
            f"{where}: {error}\nLog: {log_file}\nEnded trials stay with their run: once mended, start a new one "
            "(make run without RUN_ID)"
        )
    if isinstance(error, _TOLD):
        return PipelineError(f"{where}: {error}\n{goes_on}")
    return PipelineError(f"{where} failed with {_told(error)}\n{goes_on}")


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def _storage_text(error: BaseException) -> str | None:
    if isinstance(error, OSError) and error.errno in STORAGE_ERRNOS:
        return f"{error.strerror} ({error.filename})" if error.filename else str(error.strerror)
    return next((word for word in _STORAGE_WORDS if word in str(error).lower()), None)


def _told(error: BaseException) -> str:
    """The error's own message; in one line if its text begins with a heading and a stack."""
    told, text = cause_of_error(error), str(error).strip()
    lines = text.splitlines() or [""]
    if lines[0].strip() not in told:
        return f"{told}\n{_REST}"
    return f"{type(error).__name__}: {_shortened(lines)}" if text else told


def _shortened(lines: list[str]) -> str:
    return "\n".join(lines if len(lines) <= _MAX_LINES else [*lines[: _MAX_LINES - 1], _REST])
