"""The input of a search's chief and workers, as a file in the search directory."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

from custom_components.distributed_tuner.errors import SearchError
from custom_components.distributed_tuner.options import SearchOptions
from custom_components.distributed_tuner.record import costs
from custom_components.distributed_tuner.record.costs import Price
from custom_components.distributed_tuner.storage.base import Storage
from custom_components.distributed_tuner.storage.search_dir import SPEC


@dataclasses.dataclass(frozen=True)
class SearchSpec:
    """A search to run. Holds no secret.

    Attributes:
      name: the report's title.
      inputs: the component's input artifacts as `tfx.utils.json_utils` writes them; empty outside TFX.
      exec_properties: the component's, with the user's function under `tuner_fn`, `module_file` or `module_path`.
      options: leases, limits, deadlines.
      prices: the prices of the worker groups, by name, if the user gave any; for reports of the cost.
    """

    name: str
    inputs: str
    exec_properties: dict[str, Any]
    options: SearchOptions
    prices: Mapping[str, Price] = dataclasses.field(default_factory=dict)

    def write(self, storage: Storage) -> None:
        """Stores the spec.

        Raises:
          OSError: the write failed.
        """
        data = {
            "name": self.name,
            "inputs": self.inputs,
            "exec_properties": self.exec_properties,
            "options": self.options.to_json(),
            "prices": costs.to_json(self.prices),
        }
        storage.write(SPEC, json.dumps(data, indent=1, sort_keys=True).encode())

    @classmethod
    def read(cls, storage: Storage) -> SearchSpec:
        """Reads what `write` stored.

        Raises:
          SearchError: there is no spec, or it is damaged.
          OSError: the read failed.
        """
        path, data = storage.where(SPEC), storage.read_json(SPEC)
        if data is None:
            raise SearchError(f"{path}: no search was set up in this directory")
        try:
            return cls(
                name=data["name"],
                inputs=data["inputs"],
                exec_properties=data["exec_properties"],
                options=SearchOptions.from_json(data["options"]),
                prices=costs.from_json(data.get("prices", {})),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise SearchError(f"{path} is damaged: {type(error).__name__}: {error}") from error
