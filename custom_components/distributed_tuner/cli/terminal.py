"""What the command line says, and how it gives up."""

from __future__ import annotations

import os
import sys
from typing import NoReturn

import typer


def say(text: str, *, newline: bool = True) -> None:
    """Writes to standard output.

    Raises:
      typer.Exit: it cannot be written, and the reason was told.
    """
    try:
        typer.echo(text, nl=newline)
    except BrokenPipeError:
        # Whoever reads has seen enough.
        raise
    except OSError as error:
        # What is left in the buffer would fail once more at the process's end, with words of Python's own.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        fail(f"standard output cannot be written: {error.strerror}")


def fail(message: str) -> NoReturn:
    """Ends the command with its reason.

    Raises:
      typer.Exit: always.
    """
    typer.echo(f"error: {message}", err=True)
    raise typer.Exit(1) from None
