"""AnomalyGate: stops the run when the data does not fit the schema.

TFX's ExampleValidator only records what it found; the pipeline goes on. This node reads that result and fails, so that
nothing is searched or trained on such data. It has no output: a node that must not run on anomalous data has to be made
an explicit successor, with `successor.add_upstream_node(gate)`.

Statistics describe one column each. For relations between columns, the gate can call a function of yours.
"""

from __future__ import annotations

from typing import ClassVar

from tfx import types
from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import component_spec, standard_artifacts

from custom_components.anomaly_gate import executor


class AnomalyGateSpec(component_spec.ComponentSpec):
    """Takes anomalies, and optionally examples; has no output."""

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
          examples: the examples that the anomalies were found in; needed by `relations`.
          relations: path of a function, such as `models.bikes.checks.relations`. It gets rows sampled evenly from each
            split (up to `executor.ROWS`), as values by column with None where one is missing, and returns what is
            wrong, by column. Not called if empty.
          hint: what the reader of the error can do about it; ends the message.

        Raises:
          ValueError: `relations` without `examples`.
        """
        if relations and examples is None:
            raise ValueError(f"AnomalyGate: {relations} needs examples")
        inputs = {executor.ANOMALIES: anomalies, **({} if examples is None else {executor.EXAMPLES: examples})}
        super().__init__(spec=AnomalyGateSpec(**inputs, **{executor.RELATIONS: relations, executor.HINT: hint}))
