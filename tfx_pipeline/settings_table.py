"""The settings as documentation: docs/settings.md is what `markdown` returns."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import Any

from tfx_pipeline.settings import PROJECT, Settings, allowed

DOCUMENT = PROJECT / "docs" / "settings.md"
_HEAD = """# Settings

Each setting is an environment variable, or a variable of make: `make run TRIALS=20`. A variable that is set but empty
counts as not set. A wrong value ends the command at once with exit code 2 and a message that says what is allowed.

| Variable | Default | Allowed | What it is |
| --- | --- | --- | --- |
"""
_FOOT = """
Written by `python -m tfx_pipeline settings --write` from `tfx_pipeline/settings.py`; a test compares the two.
"""


def markdown() -> str:
    """The whole document, ending in a newline."""
    rows = []
    for name, field in Settings.__fields__.items():
        default = "" if field.default_factory else _shown(field.default)
        permitted = allowed(field).replace("|", "\\|")
        rows.append(f"| `{name.upper()}` | {default} | {permitted} | {field.field_info.description} |")
    return _HEAD + "\n".join(rows) + "\n" + _FOOT


def _shown(value: Any) -> str:
    if value in (None, ""):
        return ""
    if isinstance(value, enum.Enum):
        value = value.value
    if isinstance(value, Path):
        value = value.relative_to(PROJECT)
    return f"`{value}`"
