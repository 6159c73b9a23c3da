"""AnomalyGate: stops the run when the data does not fit the schema.

TFX's ExampleValidator only writes down what it found; the pipeline goes on. This node reads its finding and fails, so
that nothing is searched or trained on such data. It has no output: make what must not run an explicit successor, with
`successor.add_upstream_node(gate)`.

Statistics are of one column each. What is wrong between two of them, the gate itself can ask a function of yours about.
"""

from __future__ import annotations

from typing import ClassVar

from tfx import types
from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import component_spec, standard_artifacts

from custom_components.anomaly_gate import executor


class AnomalyGateSpec(component_spec.ComponentSpec):
    """Takes anomalies and perhaps examples, gives nothing."""

    PARAMETERS: ClassVar = {
        executor.HINT: component_spec.ExecutionParameter(type=str),
        executor.RELATIONS: component_spec.ExecutionParameter(type=str),
    }
    INPUTS: ClassVar = {
        executor.ANOMALIES: component_spec.ChannelParameter(type=standard_artifacts.ExampleAnomalies),
        executor.EXAMPLES: component_spec.ChannelParameter(type=standard_artifacts.Examples, optional=True),
    }
    OUTPUTS: ClassVar[dict[str, component_spec.ChannelParameter]] = {}


class AnomalyGate(base_component.BaseComponent):
    """Fails with an `AnomalyError` that names each anomalous feature, its split and the reason."""

    SPEC_CLASS = AnomalyGateSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(executor.Executor)

    def __init__(
        self,
        anomalies: types.BaseChannel,
        examples: types.BaseChannel | None = None,
        relations: str = "",
        hint: str = "",
    ) -> None:
        """Gates on `anomalies`, the output of an ExampleValidator.

        Args:
          anomalies: a channel of ExampleAnomalies.
          examples: what they were found in; needed by `relations`.
          relations: path of a function, such as `models.bikes.checks.relations`, that gets rows from all over each
            split (up to `executor.ROWS`), as values by column with None where one is missing, and returns what is wrong
            by column. Not asked if empty.
          hint: what the reader of the error can do about it; ends the message.

        Raises:
          ValueError: `relations` without `examples`.
        """
        if relations and examples is None:
            raise ValueError(f"AnomalyGate: {relations} needs examples")
        inputs = {executor.ANOMALIES: anomalies, **({} if examples is None else {executor.EXAMPLES: examples})}
        super().__init__(spec=AnomalyGateSpec(**inputs, **{executor.RELATIONS: relations, executor.HINT: hint}))
