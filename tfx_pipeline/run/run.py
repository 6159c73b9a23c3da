"""`python -m tfx_pipeline run`: the pipeline from start to prediction, reported in a few lines."""

from __future__ import annotations

import contextlib
import json
import logging
import signal
import sys
import time
from pathlib import Path
from types import FrameType
from typing import TextIO

from custom_components.distributed_tuner import prewarmed
from tfx_pipeline.data import inputs
from tfx_pipeline.data.csv_check import Contents
from tfx_pipeline.errors import ExitCode, SettingsError
from tfx_pipeline.run import processes, progress, quiet, workspace
from tfx_pipeline.settings import Cluster, Engine, Settings


def run(settings: Settings) -> ExitCode:
    """Runs the pipeline and shows its results; no process that it started is left at its end.

    Raises:
      PipelineError: a wrong setting or input, a busy or unusable directory, or a node that failed.
    """
    if settings.engine is Engine.KUBEFLOW:
        raise SettingsError(
            "ENGINE=kubeflow is compiled here, not run: "
            "ENGINE=kubeflow tfx pipeline compile --engine kubeflow --pipeline_path runner.py"
        )
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    try:
        with workspace.locked(settings):
            contents = inputs.prepare(settings)
            workspace.remember(settings)
            return _run_quietly(settings, contents)
    except KeyboardInterrupt:
        return _stopped(settings, sys.stdout)
    except OSError as error:
        if error.errno in workspace.STORAGE_ERRNOS:
            raise workspace.storage_error(error, settings.runs_dir) from error
        raise
    finally:
        processes.end_children()


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _stopped(settings: Settings, stream: TextIO) -> ExitCode:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # A second ctrl-C would leave processes behind.
    print("\nStopping …", file=stream, flush=True)
    processes.end_children()
    print(f"Stopped. To go on: make run RUN_ID={settings.run_id}", file=stream, flush=True)
    return ExitCode.INTERRUPTED


def _run_quietly(settings: Settings, contents: Contents | None) -> ExitCode:
    log_file = settings.log_dir / "pipeline.log"
    with quiet.output_to(log_file) as stream:
        try:
            _greet(settings, contents, log_file, stream)
            # Importing what the search's processes need takes as long as the nodes before it, on another core.
            with _prewarmed(settings):
                return _run_and_show(settings, log_file, stream)
        except KeyboardInterrupt:
            return _stopped(settings, stream)


def _greet(settings: Settings, contents: Contents | None, log_file: Path, stream: TextIO) -> None:
    trips = "trips from BigQuery"
    if contents is not None:
        trips = f"{contents.rows:,} trips from {workspace.shown(settings.csv)}"
    size = f"{settings.trials} trials by {settings.workers} workers, the best {settings.top_n} trained in full"
    print(f"Run {settings.run_id}: {trips}; {size}.", file=stream)
    if settings.data is not None and contents is not None and contents.unread:
        names = ", ".join(f"'{name}'" for name in contents.unread)
        print(f"Columns that are not in the schema, and that nothing reads: {names}.", file=stream)
    print(f"Log: {workspace.shown(log_file)}\n", file=stream, flush=True)


def _prewarmed(settings: Settings) -> contextlib.AbstractContextManager[None]:
    if settings.cluster is not Cluster.LOCAL:
        return contextlib.nullcontext()
    return prewarmed(settings.log_dir / "fork-server.log")


def _run_and_show(settings: Settings, log_file: Path, stream: TextIO) -> ExitCode:
    started = time.monotonic()
    # TFX takes seconds to load, so nothing above imports it: a wrong setting or file is reported at once.
    from tfx_pipeline import pipeline
    from tfx_pipeline.run import engine, failure, outcome, summary

    seconds = {"loading TFX": time.monotonic() - started}
    nodes = progress.NodeProgress(stream)
    nodes.show("loading TFX", seconds["loading TFX"])
    with nodes.attached():
        try:
            engine.dag_runner(settings).run(pipeline.create_pipeline(settings))
        except Exception as error:
            nodes.fail()
            logging.getLogger(__name__).exception("The run failed")
            raise failure.explain(error, nodes.current, settings.runs_dir, log_file, settings.run_id) from error
    record = outcome.read_run(settings.metadata_path, settings.run_id)
    before = time.monotonic()
    passed = summary.show(settings, record, log_file, stream)
    seconds |= {**nodes.seconds, "prediction": time.monotonic() - before}
    total = time.monotonic() - started
    print(f"\n{total:.0f} s: {progress.shares(seconds)}.", file=stream, flush=True)
    timing = {"seconds": total, "nodes": seconds}
    (settings.log_dir / "timing.json").write_text(json.dumps(timing, indent=2), encoding="utf-8")
    return ExitCode.OK if passed else ExitCode.REFUSED
