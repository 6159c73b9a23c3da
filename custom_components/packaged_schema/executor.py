"""What PackagedSchema does when it runs."""

from __future__ import annotations

import importlib.resources
from typing import Any

from tfx import types
from tfx.components.schema_gen.import_schema_gen import executor
from tfx.types import standard_component_specs as keys

from custom_components import package_file


class Executor(executor.Executor):
    """TFX's executor, on the file in the installed package."""

    def Do(  # noqa: N802  (the name is TFX's)
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Copies the schema.

        Raises:
          ModuleNotFoundError: the package is not installed.
          FileNotFoundError: the package has no such file.
        """
        with importlib.resources.as_file(package_file.find(exec_properties[keys.SCHEMA_FILE_KEY])) as path:
            super().Do(input_dict, output_dict, {**exec_properties, keys.SCHEMA_FILE_KEY: str(path)})
