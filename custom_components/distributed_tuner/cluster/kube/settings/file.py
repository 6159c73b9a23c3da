"""Reads the settings of a search on Kubernetes from the file that a user wrote."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from custom_components.distributed_tuner.cluster.kube.settings.options import KIND


def read(file: Path) -> dict[str, Any]:
    """What a file of settings says; none of them is checked yet.

    Args:
      file: YAML or JSON; of JSON not all is YAML, tabs for example.

    Raises:
      ValueError: it cannot be read, is neither, holds no names and values, or is for a cluster of another kind. The
        text says so without the file's name.
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
