"""The model server as the pipeline uses it: on the last pushed model."""

from __future__ import annotations

from pathlib import Path

import model_server
from model_server import RunningServer
from tfx_pipeline.errors import NothingServedError, PipelineError
from tfx_pipeline.settings import Server, Settings

_DEADLINE_SECONDS = {Server.LOCAL: 60.0, Server.DOCKER: 300.0}  # Docker may have to pull the image.


def pushed_versions(settings: Settings) -> list[int]:
    """Versions in the base path, oldest first; empty before the first push."""
    base = Path(settings.serving_dir)
    return sorted(int(path.name) for path in base.glob("[0-9]*") if path.name.isdigit()) if base.is_dir() else []


def start(settings: Settings, *, rest_port: int = 0, grpc_port: int = 0) -> RunningServer:
    """Starts the server that the settings choose; port 0 takes any free one. The caller stops it.

    Raises:
      NothingServedError: no model has been pushed yet.
      PipelineError: the server did not start; says why.
    """
    if not pushed_versions(settings):
        raise NothingServedError(f"No model has passed the gate yet ({settings.serving_dir} is empty): make run")
    try:
        return model_server.start(
            Path(settings.serving_dir),
            settings.model,
            server=settings.server.value,
            rest_port=rest_port,
            grpc_port=grpc_port,
            log_file=settings.runs_dir / "logs" / "server.log",
            deadline_seconds=_DEADLINE_SECONDS[settings.server],
        )
    except model_server.LaunchError as error:
        raise PipelineError(str(error)) from None
