"""Entries of a log have an end."""

from __future__ import annotations

import io
import logging

from custom_components.distributed_tuner.errors import MAX_CHARACTERS
from custom_components.distributed_tuner.host.bounded_formatter import BoundedFormatter


def test_a_long_entry_and_a_long_traceback_have_both_their_ends() -> None:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(BoundedFormatter("%(levelname)s %(message)s"))
    log = logging.Logger("bounded")
    log.addHandler(handler)
    log.error("begin %s end", "x" * 50_000_000)
    entry = stream.getvalue()
    assert entry.startswith("ERROR begin xxx") and entry.endswith("xxx end\n") and len(entry) <= MAX_CHARACTERS
    stream.seek(0)
    stream.truncate()
    try:
        raise ValueError("begin " + "x" * 50_000_000 + " end")
    except ValueError:
        log.exception("it failed")
    entry = stream.getvalue()
    assert "ERROR it failed\nTraceback" in entry and "ValueError: begin xxx" in entry and entry.endswith("xxx end\n")
    assert len(entry) <= MAX_CHARACTERS


def test_a_short_entry_is_as_it_was() -> None:
    record = logging.LogRecord("x", logging.INFO, "x.py", 1, "%s trials", (3,), None)
    assert BoundedFormatter("%(message)s").format(record) == "3 trials"
