"""The settings as documentation: `markdown` generates docs/settings.md, and `readme` a part of the README."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import Any

from tfx_pipeline.settings import PROJECT, Settings, allowed

DOCUMENT = PROJECT / "docs" / "settings.md"
README = PROJECT / "README.md"
FIRST = (
    "data",
    "workers",
    "trials",
    "epochs",
    "algorithm",
    "top_n",
    "max_search_seconds",
    "train_epochs",
    "max_mae_seconds",
    "engine",
    "run_id",
)
_BEGIN, _END = "<!-- settings -->", "<!-- /settings -->"
_COLUMNS = "| Variable | Default | Allowed | What it is |\n| --- | --- | --- | --- |"
_HEAD = """# Settings

Each setting is an environment variable, or a variable of make: `make run TRIALS=20`. A variable that is set but empty
counts as not set. A wrong value ends the command at once with exit code 2 and a message that says what is allowed.

"""
_FOOT = """
Written by `python -m tfx_pipeline settings --write` from `tfx_pipeline/settings.py`; a test compares the two.
"""


def markdown() -> str:
    """The whole document, ending in a newline."""
    return f"{_HEAD}{_COLUMNS}\n" + "\n".join(_row(name) for name in Settings.__fields__) + "\n" + _FOOT


def readme(text: str) -> str:
    """Replaces, in the README's `text`, the table of the settings that a newcomer meets first."""
    before, rest = text.split(_BEGIN)
    _, after = rest.split(_END)
    table = "\n".join([_COLUMNS, *(_row(name) for name in FIRST)])
    return f"{before}{_BEGIN}\n{table}\n{_END}{after}"


def _row(name: str) -> str:
    field = Settings.__fields__[name]
    default = "" if field.default_factory else _shown(field.default)
    permitted = allowed(field).replace("|", "\\|")
    return f"| `{name.upper()}` | {default} | {permitted} | {field.field_info.description} |"


def _shown(value: Any) -> str:
    if value in (None, ""):
        return ""
    if isinstance(value, enum.Enum):
        value = value.value
    if isinstance(value, Path):
        value = value.relative_to(PROJECT)
    return f"`{value}`"
