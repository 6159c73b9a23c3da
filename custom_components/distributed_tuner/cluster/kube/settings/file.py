"""Reads the settings of a search on Kubernetes from the user's file."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from custom_components.distributed_tuner.cluster.kube.settings.options import KIND


def read(file: Path) -> dict[str, Any]:
    """Parses a settings file; does not validate the settings yet.

    Args:
      file: YAML or JSON; not all JSON is YAML: tabs, for example.

    Raises:
      ValueError: the file cannot be read, is neither, is not a mapping, or is for a cluster of another kind. The
        message leaves out the file's name.
    """
    try:
        text = file.read_text("utf-8")
    except OSError as error:
        raise ValueError(f"cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ValueError(f"is not UTF-8 text: {error.reason}") from None
    values = _parsed(text)
    if values is None:
        return {}
    if not isinstance(values, Mapping):
        raise ValueError(f"must hold names and values, such as `image: …`, got {type(values).__name__}")
    if values.get("kind", KIND) != KIND:
        raise ValueError(f"kind: {values['kind']!r} is another cluster's; these settings are for {KIND!r}")
    return {str(name): value for name, value in values.items()}


def _parsed(text: str) -> Any:
    with contextlib.suppress(ValueError, RecursionError):
        return json.loads(text)
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError) as error:
        raise ValueError(f"is neither YAML nor JSON: {' '.join(str(error).split())}") from None
