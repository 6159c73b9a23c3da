"""What a run did, read from ML Metadata: nodes with their times, artifacts, and what was pushed."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping
from pathlib import Path

import ml_metadata as mlmd
from ml_metadata.proto import metadata_store_pb2

from custom_components.distributed_tuner import cause_of_message

_RESULT = "__execution_result__"  # TFX's name for it.
FOUND_NOTHING = "found no artifact that an earlier node or run has made"
# TFX's message for a Resolver that has found nothing; the strategy's `repr` is Python's own.
_NOTHING = re.compile(r"<(?:[\w.]+\.)?(?P<strategy>\w+) object at 0x[0-9a-f]+> returned None\.?")
_DONE = (metadata_store_pb2.Execution.COMPLETE, metadata_store_pb2.Execution.CACHED)


@dataclasses.dataclass(frozen=True)
class ArtifactRecord:
    """An output artifact: its location and its custom properties."""

    uri: str
    properties: Mapping[str, int | float | str]


@dataclasses.dataclass(frozen=True)
class NodeRecord:
    """One node of a run: its duration in seconds, whether it finished, and its outputs by key."""

    node_id: str
    seconds: float
    finished: bool
    outputs: Mapping[str, ArtifactRecord]


@dataclasses.dataclass(frozen=True)
class RunRecord:
    """A run: its nodes by id, in the order in which they started."""

    run_id: str
    nodes: Mapping[str, NodeRecord]

    def output(self, node_id: str, key: str) -> ArtifactRecord | None:
        """The artifact that a finished node output under a key; None if there is none."""
        node = self.nodes.get(node_id)
        return node.outputs.get(key) if node and node.finished else None

    @property
    def seconds(self) -> float:
        """The sum of the nodes' durations."""
        return sum(node.seconds for node in self.nodes.values())


def _store(path: Path) -> mlmd.MetadataStore:
    config = metadata_store_pb2.ConnectionConfig()
    config.sqlite.filename_uri = str(path)
    # Reading must not create the file.
    config.sqlite.connection_mode = metadata_store_pb2.SqliteMetadataSourceConfig.READONLY
    return mlmd.MetadataStore(config)


def read_run(metadata_path: Path, run_id: str) -> RunRecord:
    """Reads one run; an unknown run has no nodes.

    Args:
      metadata_path: ML Metadata's SQLite file.
      run_id: of the run.
    """
    if not metadata_path.exists():
        return RunRecord(run_id, {})
    store = _store(metadata_path)
    context = store.get_context_by_type_and_name("pipeline_run", run_id)
    nodes: dict[str, NodeRecord] = {}
    executions = store.get_executions_by_context(context.id) if context else []
    for execution in sorted(executions, key=lambda execution: execution.id):
        node = _node(store, execution)
        nodes[node.node_id] = node
    return RunRecord(run_id, nodes)


def failures(metadata_path: Path, run_id: str) -> dict[str, str]:
    """Nodes of a run whose last execution is marked as failed, with the reason in one line, in the order of the run."""
    if not metadata_path.exists():
        return {}
    store = _store(metadata_path)
    context = store.get_context_by_type_and_name("pipeline_run", run_id)
    executions = store.get_executions_by_context(context.id) if context else []
    if not any(_failed(execution) for execution in executions):
        return {}
    # A node that failed before may have been retried.
    last = {_node_id(store, each): each for each in sorted(executions, key=lambda execution: execution.id)}
    return {node: reason(execution) for node, execution in last.items() if _failed(execution)}


def reason(execution: metadata_store_pb2.Execution) -> str:
    """Why an execution failed, in one line; empty if TFX has not recorded it."""
    stored = execution.custom_properties[_RESULT].string_value if _RESULT in execution.custom_properties else ""
    return _NOTHING.sub(_in_words, cause_of_message(json.loads(stored).get("resultMessage"))) if stored else ""


def _in_words(found: re.Match[str]) -> str:
    return f"{found['strategy']} {FOUND_NOTHING}"


def run_ids(metadata_path: Path) -> list[str]:
    """The ids of all runs, the latest first."""
    if not metadata_path.exists():
        return []
    runs = _store(metadata_path).get_contexts_by_type("pipeline_run")
    return [str(run.name) for run in sorted(runs, key=lambda run: run.create_time_since_epoch, reverse=True)]


def _failed(execution: metadata_store_pb2.Execution) -> bool:
    return bool(execution.last_known_state == metadata_store_pb2.Execution.FAILED)


def _node_id(store: mlmd.MetadataStore, execution: metadata_store_pb2.Execution) -> str:
    contexts = store.get_contexts_by_execution(execution.id)
    # TFX names the context of a node "<pipeline>.<node>".
    return next(str(context.name).split(".", 1)[1] for context in contexts if context.type == "node")


def _node(store: mlmd.MetadataStore, execution: metadata_store_pb2.Execution) -> NodeRecord:
    events = [
        event
        for event in store.get_events_by_execution_ids([execution.id])
        if event.type in (metadata_store_pb2.Event.OUTPUT, metadata_store_pb2.Event.INTERNAL_OUTPUT)
    ]
    artifacts = {artifact.id: artifact for artifact in store.get_artifacts_by_id([e.artifact_id for e in events])}
    outputs = {
        event.path.steps[0].key: ArtifactRecord(
            artifacts[event.artifact_id].uri,
            {name: _value(value) for name, value in artifacts[event.artifact_id].custom_properties.items()},
        )
        for event in events
    }
    milliseconds = execution.last_update_time_since_epoch - execution.create_time_since_epoch
    return NodeRecord(_node_id(store, execution), milliseconds / 1000, execution.last_known_state in _DONE, outputs)


def _value(value: metadata_store_pb2.Value) -> int | float | str:
    kind = value.WhichOneof("value")
    found = getattr(value, kind) if kind else ""
    return found if isinstance(found, (int, float, str)) else str(found)
