"""What a finished run shows: the gate's verdict, a prediction, the leaderboard, and where to find everything."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TextIO

from rich.console import Console

from custom_components.distributed_tuner import SearchRecord, keys, leaderboard, record_from_json
from custom_components.model_selector import executor as selector
from tfx_pipeline import evaluation, nodes, pipeline
from tfx_pipeline.errors import PipelineError
from tfx_pipeline.run import request, serving
from tfx_pipeline.run.outcome import ArtifactRecord, RunRecord
from tfx_pipeline.run.workspace import shown
from tfx_pipeline.settings import Settings

_LEADERS = 5
_PLAIN_WIDTH = 120  # Of tables if the output is not a terminal.


def show(settings: Settings, record: RunRecord, log_file: Path, stream: TextIO) -> bool:
    """Prints the results of a finished run; returns whether the gate passed its model.

    Args:
      settings: of the run.
      record: the run, as read from ML Metadata.
      log_file: the log, named in the output.
      stream: where to print.

    Raises:
      PipelineError: the run has no results, or the model server does not answer.
    """
    verdict = evaluation.read_verdict(
        _output(record, nodes.GATE, "evaluation").uri, settings.max_mae_seconds, settings.max_worsening_seconds
    )
    print(f"\n{_selection(record)}\n{verdict.line()}.", file=stream)
    if not verdict.passed:
        versions = serving.pushed_versions(settings)
        kept = f"version {versions[-1]} keeps serving" if versions else "no model is served yet"
        print(f"Nothing was pushed; {kept}.", file=stream)
    stream.flush()
    if verdict.rows and serving.pushed_versions(settings):
        _predict(settings, record, stream)
    _show_search(record, stream)
    _show_places(settings, record, log_file, stream)
    return verdict.passed


def search_report(record: RunRecord) -> Path:
    """The folder of the search's report.

    Raises:
      PipelineError: the search of this run has not finished.
    """
    return Path(_output(record, nodes.SEARCH, keys.SEARCH_REPORT).uri)


def read_search(record: RunRecord) -> SearchRecord:
    """The search of a run, as data."""
    path = search_report(record) / keys.RECORD_FILE
    return record_from_json(json.loads(path.read_text(encoding="utf-8")))


def _output(record: RunRecord, node_id: str, key: str) -> ArtifactRecord:
    artifact = record.output(node_id, key)
    if artifact is None:
        raise PipelineError(f"Run {record.run_id} has no finished {node_id}")
    return artifact


def _selection(record: RunRecord) -> str:
    properties = _output(record, nodes.SELECTOR, "model").properties
    scores = json.loads(str(properties[selector.PROPERTY_SCORES]))
    listed = ", ".join(
        f"{nodes.TRAINER}{rank} {evaluation.seconds(score) if math.isfinite(score) else 'predicts NaN or infinity'}"
        for rank, score in scores.items()
    )
    return f"Selected {nodes.TRAINER}{properties[selector.PROPERTY_CANDIDATE]} by MAE on the eval split: {listed}."


def _predict(settings: Settings, record: RunRecord, stream: TextIO) -> None:
    split = Path(_output(record, nodes.EXAMPLES, "examples").uri) / f"Split-{evaluation.SPLIT}"
    answer = request.ask(settings, split, pipeline.label_key(settings))
    print(
        f"\nAsked the model server (version {answer.version}) at {answer.url}:\n"
        f"  {json.dumps(answer.request.instance)}\n"
        f"Predicted {answer.predicted:.0f} s; the trip took {answer.request.actual:.0f} s.",
        file=stream,
        flush=True,
    )


def _show_search(record: RunRecord, stream: TextIO) -> None:
    width = None if stream.isatty() else _PLAIN_WIDTH
    console = Console(file=stream, width=width)
    console.print()
    console.print(leaderboard(read_search(record), _LEADERS))


def _show_places(settings: Settings, record: RunRecord, log_file: Path, stream: TextIO) -> None:
    versions = serving.pushed_versions(settings)
    model = shown(Path(settings.serving_dir) / str(versions[-1])) if versions else "none yet"
    places = {
        "Report": f"{shown(search_report(record) / keys.REPORT_FILE)}  (make report)",
        "TensorBoard": f"{shown(Path(settings.root))}  (make tensorboard)",
        "Model": f"{model}  (make serve)",
        "Log": shown(log_file),
    }
    print("\n" + "\n".join(f"{name + ':':<13}{place}" for name, place in places.items()), file=stream, flush=True)
