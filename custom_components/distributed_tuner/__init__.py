"""A TFX Tuner that searches with many workers, and loses nothing when some of them die.

Names imported from here are public, and remain valid when the modules below move. Each name is loaded on first use:
reading the record of a search requires neither TFX nor TensorFlow.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from custom_components.distributed_tuner.artifacts import SearchReport
    from custom_components.distributed_tuner.cluster.base import ClusterError
    from custom_components.distributed_tuner.cluster.choice import UnknownCluster
    from custom_components.distributed_tuner.cluster.kube.settings.file import read as read_kubernetes_settings
    from custom_components.distributed_tuner.cluster.kube.settings.groups import (
        Gpu,
        PodSettings,
        Toleration,
        WorkerGroup,
    )
    from custom_components.distributed_tuner.cluster.kube.settings.options import (
        KubernetesOptions,
        KubernetesOptionsError,
    )
    from custom_components.distributed_tuner.cluster.kube.settings.volumes import Volume
    from custom_components.distributed_tuner.cluster.local.prewarm import prewarmed
    from custom_components.distributed_tuner.component import DistributedTuner
    from custom_components.distributed_tuner.errors import SearchError, TunerError
    from custom_components.distributed_tuner.keys import hyperparameters_key
    from custom_components.distributed_tuner.options import OptionsError, SearchOptions
    from custom_components.distributed_tuner.record.cause import of_error as cause_of_error
    from custom_components.distributed_tuner.record.cause import of_message as cause_of_message
    from custom_components.distributed_tuner.record.record import SearchRecord, TrialRecord, TrialStatus
    from custom_components.distributed_tuner.record.record_json import record_from_json
    from custom_components.distributed_tuner.record.top_n import TooFewTrials
    from custom_components.distributed_tuner.report.text import leaderboard

__version__ = "0.1.0"

# The module of each public name, with its name there if that differs.
_HOMES = {
    "ClusterError": "cluster.base",
    "DistributedTuner": "component",
    "Gpu": "cluster.kube.settings.groups",
    "KubernetesOptions": "cluster.kube.settings.options",
    "KubernetesOptionsError": "cluster.kube.settings.options",
    "OptionsError": "options",
    "PodSettings": "cluster.kube.settings.groups",
    "SearchError": "errors",
    "SearchOptions": "options",
    "SearchRecord": "record.record",
    "SearchReport": "artifacts",
    "Toleration": "cluster.kube.settings.groups",
    "TooFewTrials": "record.top_n",
    "TrialRecord": "record.record",
    "TrialStatus": "record.record",
    "TunerError": "errors",
    "UnknownCluster": "cluster.choice",
    "Volume": "cluster.kube.settings.volumes",
    "WorkerGroup": "cluster.kube.settings.groups",
    "cause_of_error": "record.cause:of_error",
    "cause_of_message": "record.cause:of_message",
    "hyperparameters_key": "keys",
    "leaderboard": "report.text",
    "prewarmed": "cluster.local.prewarm",
    "read_kubernetes_settings": "cluster.kube.settings.file:read",
    "record_from_json": "record.record_json",
}

__all__ = [
    "ClusterError",
    "DistributedTuner",
    "Gpu",
    "KubernetesOptions",
    "KubernetesOptionsError",
    "OptionsError",
    "PodSettings",
    "SearchError",
    "SearchOptions",
    "SearchRecord",
    "SearchReport",
    "Toleration",
    "TooFewTrials",
    "TrialRecord",
    "TrialStatus",
    "TunerError",
    "UnknownCluster",
    "Volume",
    "WorkerGroup",
    "cause_of_error",
    "cause_of_message",
    "hyperparameters_key",
    "leaderboard",
    "prewarmed",
    "read_kubernetes_settings",
    "record_from_json",
]


def __getattr__(name: str) -> Any:
    """Loads a public name from its module."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, _, there = _HOMES[name].partition(":")
    return getattr(importlib.import_module(f"{__name__}.{module}"), there or name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
