"""A node that stops the pipeline where ExampleValidator found anomalies."""

from __future__ import annotations

from custom_components.anomaly_gate.component import AnomalyGate
from custom_components.anomaly_gate.executor import AnomalyError
from custom_components.anomaly_gate.validator import ExampleValidator

__all__ = ["AnomalyError", "AnomalyGate", "ExampleValidator"]
