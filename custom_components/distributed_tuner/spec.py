"""What the chief and the workers of a search are started with, as a file in the search directory."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

from custom_components.distributed_tuner import files
from custom_components.distributed_tuner.errors import SearchError
from custom_components.distributed_tuner.options import SearchOptions


@dataclasses.dataclass(frozen=True)
class SearchSpec:
    """A search to run. Holds no secret.

    Attributes:
      name: for people: the report's title.
      inputs: the component's input artifacts as `tfx.utils.json_utils` writes them; empty outside TFX.
      exec_properties: the component's, with the user's function under `tuner_fn`, `module_file` or `module_path`.
      options: leases, limits, deadlines.
    """

    name: str
    inputs: str
    exec_properties: dict[str, Any]
    options: SearchOptions

    def write(self, path: Path) -> None:
        """Stores the spec."""
        data = {
            "name": self.name,
            "inputs": self.inputs,
            "exec_properties": self.exec_properties,
            "options": self.options.to_json(),
        }
        files.write_atomically(path, json.dumps(data, indent=1, sort_keys=True).encode())

    @classmethod
    def read(cls, path: Path) -> SearchSpec:
        """Reads what `write` stored.

        Raises:
          SearchError: there is no spec, or it is unreadable.
        """
        data = files.read_json(path)
        if data is None:
            raise SearchError(f"{path}: no search was set up in this directory")
        try:
            return cls(
                name=data["name"],
                inputs=data["inputs"],
                exec_properties=data["exec_properties"],
                options=SearchOptions.from_json(data["options"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise SearchError(f"{path} is damaged: {type(error).__name__}: {error}") from error
