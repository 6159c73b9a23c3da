"""How a node is launched: as TFX does it, and a node that TFX only writes down as failed ends the run.

TFX's launcher raises what an executor raises. Where it cannot resolve a node's inputs (a Resolver that finds nothing, a
consumer outside of a condition that is false, a loop over several artifacts) it marks the execution as FAILED in the
metadata and returns, and the runners go on with the other nodes.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from ml_metadata.proto import metadata_store_pb2
from tfx.orchestration.portable import launcher

from tfx_pipeline import outcome
from tfx_pipeline.errors import NodeFailed


class Launcher(launcher.Launcher):
    """Launches one node."""

    def launch(self) -> Any:
        """As TFX's.

        Raises:
          NodeFailed: the node has failed, and TFX does not say so.
        """
        info = super().launch()
        if info is not None and info.execution_id is not None:
            with self._mlmd_connection as metadata:
                (execution,) = metadata.store.get_executions_by_id([info.execution_id])
            if execution.last_known_state == metadata_store_pb2.Execution.FAILED:
                raise NodeFailed(self._pipeline_node.node_info.id, outcome.reason(execution))
        return info


@contextlib.contextmanager
def checked() -> Iterator[None]:
    """TFX's runners in this process launch their nodes by `Launcher` inside of the block."""
    theirs = launcher.Launcher
    launcher.Launcher = Launcher
    try:
        yield
    finally:
        launcher.Launcher = theirs
