"""The command line's output, and how it fails."""

from __future__ import annotations

import os
import sys
from typing import NoReturn

import typer


def say(text: str, *, newline: bool = True) -> None:
    """Writes to standard output.

    Raises:
      typer.Exit: writing failed; the reason has been printed, unless the reader closed the pipe.
    """
    try:
        typer.echo(text, nl=newline)
    except BrokenPipeError:
        # The reader has closed the pipe.
        raise
    except OSError as error:
        # What is left in the buffer would fail again at exit, with Python's own message.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        fail(f"standard output cannot be written: {error.strerror}")


def fail(message: str) -> NoReturn:
    """Ends the command with this message.

    Raises:
      typer.Exit: always.
    """
    typer.echo(f"error: {message}", err=True)
    raise typer.Exit(1) from None
