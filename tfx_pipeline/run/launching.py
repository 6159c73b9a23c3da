"""Launches nodes as TFX does, but raises if TFX merely records a node as failed.

TFX's launcher raises what an executor raises. But if it cannot resolve a node's inputs (a Resolver that finds nothing,
a consumer outside of a condition that is false, a loop over several artifacts), it marks the execution as FAILED in the
metadata and returns, and the runners go on with the other nodes. A node that is skipped, because a condition is false,
is not reported at all.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from absl import logging
from ml_metadata.proto import metadata_store_pb2
from tfx.orchestration.portable import launcher
from tfx.proto.orchestration import pipeline_pb2

from tfx_pipeline.errors import NodeFailed
from tfx_pipeline.run import outcome


class Launcher(launcher.Launcher):
    """Launches one node."""

    def launch(self) -> Any:
        """As TFX's launcher does.

        Raises:
          NodeFailed: the node has failed without TFX reporting it.
        """
        info = super().launch()
        node = self._pipeline_node
        if info is None or info.execution_id is None:
            # In the words with which the runners say that a node is running or finished.
            logging.info("node %s is skipped.", node.node_info.id)
        else:
            with self._mlmd_connection as metadata:
                (execution,) = metadata.store.get_executions_by_id([info.execution_id])
            if execution.last_known_state == metadata_store_pb2.Execution.FAILED:
                reason = outcome.reason(execution)
                if outcome.FOUND_NOTHING in reason:
                    reason = f"{reason}; it looks for {_wanted(node)}"
                raise NodeFailed(node.node_info.id, reason)
        return info


def _wanted(node: pipeline_pb2.PipelineNode) -> str:
    """The types of the artifacts that a node takes, in words."""
    channels = [channel for each in node.inputs.inputs.values() for channel in each.channels]
    return ", ".join(dict.fromkeys(str(channel.artifact_query.type.name) for channel in channels))


@contextlib.contextmanager
def checked() -> Iterator[None]:
    """In this context TFX's runners in this process launch their nodes through `Launcher`."""
    theirs = launcher.Launcher
    launcher.Launcher = Launcher
    try:
        yield
    finally:
        launcher.Launcher = theirs
