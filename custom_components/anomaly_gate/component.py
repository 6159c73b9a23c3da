"""AnomalyGate: stops the run when the data does not fit the schema.

TFX's ExampleValidator only writes down what it found; the pipeline goes on. This node reads its finding and fails, so
that nothing is searched or trained on such data. It has no output: make what must not run an explicit successor, with
`successor.add_upstream_node(gate)`.
"""

from __future__ import annotations

from typing import ClassVar

from tfx import types
from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import component_spec, standard_artifacts

from custom_components.anomaly_gate import executor


class AnomalyGateSpec(component_spec.ComponentSpec):
    """Takes anomalies, gives nothing."""

    PARAMETERS: ClassVar = {executor.HINT: component_spec.ExecutionParameter(type=str)}
    INPUTS: ClassVar = {executor.ANOMALIES: component_spec.ChannelParameter(type=standard_artifacts.ExampleAnomalies)}
    OUTPUTS: ClassVar[dict[str, component_spec.ChannelParameter]] = {}


class AnomalyGate(base_component.BaseComponent):
    """Fails with an `AnomalyError` that names each anomalous feature, its split and the reason."""

    SPEC_CLASS = AnomalyGateSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(executor.Executor)

    def __init__(self, anomalies: types.BaseChannel, hint: str = "") -> None:
        """Gates on `anomalies`, the output of an ExampleValidator.

        Args:
          anomalies: a channel of ExampleAnomalies.
          hint: what the reader of the error can do about it; ends the message.
        """
        super().__init__(spec=AnomalyGateSpec(**{executor.ANOMALIES: anomalies, executor.HINT: hint}))
