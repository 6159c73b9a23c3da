"""PackagedSchema: TFX's ImportSchemaGen for a schema in a Python package.

ImportSchemaGen takes a path, which may differ between the pipeline's machine and a step's image: in an image the
package is installed among the others. This node takes the file's name in the package, and the step finds it there.
"""

from __future__ import annotations

from tfx.components.schema_gen.import_schema_gen.component import ImportSchemaGen
from tfx.dsl.components.base import executor_spec

from custom_components.packaged_schema import executor


class PackagedSchema(ImportSchemaGen):
    """Output `schema`: a copy of the schema. `schema_file` is a name as made by `package_file.name_of`."""

    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(executor.Executor)
