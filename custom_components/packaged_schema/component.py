"""PackagedSchema: TFX's ImportSchemaGen for a schema in a Python package.

ImportSchemaGen takes a path, which the pipeline's machine and a step's image may not share: in an image the package
lies among all others. This node takes the file's name in the package, and the step looks where it has it.
"""

from __future__ import annotations

from tfx.components.schema_gen.import_schema_gen.component import ImportSchemaGen
from tfx.dsl.components.base import executor_spec

from custom_components.packaged_schema import executor


class PackagedSchema(ImportSchemaGen):
    """Output `schema`: a copy of the schema. `schema_file` is a name as `package_file.name_of` makes it."""

    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(executor.Executor)
