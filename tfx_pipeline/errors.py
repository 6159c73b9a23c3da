"""The errors that end a command of the pipeline, and their exit codes."""

from __future__ import annotations

import contextlib
import enum
import sys
from collections.abc import Iterator


class ExitCode(enum.IntEnum):
    """Exit codes of `python -m tfx_pipeline`."""

    OK = 0
    FAILED = 1  # a node of the pipeline, or the command itself, failed
    USAGE = 2  # a setting or the input data is wrong; nothing was run
    REFUSED = 3  # the run went through, but the gate refused the model: nothing was pushed
    BUSY = 4  # another run is going on in the same directory
    INTERRUPTED = 130  # ctrl-C, or SIGTERM


class PipelineError(Exception):
    """An error that a person can understand and fix: its text is all that is shown.

    `exit_code` is the process's exit code.
    """

    exit_code = ExitCode.FAILED


class SettingsError(PipelineError):
    """A setting has a value outside its range, or two settings contradict each other."""

    exit_code = ExitCode.USAGE


class DataError(PipelineError):
    """The input data cannot be read, or does not fit the schema."""

    exit_code = ExitCode.USAGE


class BusyError(PipelineError):
    """Another run is going on in the same directory."""

    exit_code = ExitCode.BUSY


class StorageError(PipelineError):
    """The directory of the runs cannot be written: read-only, full, or not a directory."""


class NothingServedError(PipelineError):
    """No model has passed the gate yet, so there is nothing to serve."""


class NodeFailed(PipelineError):
    """A node of the pipeline has failed without TFX's runner reporting it.

    Attributes:
      node: its id.
    """

    def __init__(self, node: str, reason: str) -> None:
        """`reason` comes from the metadata."""
        super().__init__(f"{node} failed: {reason or 'the metadata do not say why'}")
        self.node = node


@contextlib.contextmanager
def told() -> Iterator[None]:
    """Turns a PipelineError into its text on standard error, and exits with its code.

    Raises:
      SystemExit: in place of a PipelineError.
    """
    try:
        yield
    except PipelineError as error:
        print(f"\n{error}", file=sys.stderr)
        raise SystemExit(int(error.exit_code)) from None
