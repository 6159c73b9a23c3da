"""Models saved once and one server for every test that only asks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from model_server.launch import RunningServer, start
from tests.model_server.helpers import MODEL_NAME, START_SECONDS, publish, save_model


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """Directories of saved models by their factor, which is what tells their answers apart."""
    folder = tmp_path_factory.mktemp("models")
    directories = {factor: folder / f"factor-{factor}" for factor in (2, 3)}
    for factor, directory in directories.items():
        save_model(directory, factor)
    return directories


@pytest.fixture(scope="session")
def served(models: dict[int, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server of version 7, whose factor is 2; no test may change its base path."""
    folder = tmp_path_factory.mktemp("served")
    publish(models[2], folder / "base", 7)
    with start(folder / "base", MODEL_NAME, log_file=folder / "server.log", deadline_seconds=START_SECONDS) as server:
        yield server


@pytest.fixture(scope="session")
def channel(served: RunningServer) -> Iterator[grpc.Channel]:
    """A gRPC channel to `served`."""
    with grpc.insecure_channel(served.grpc_address) as opened:
        yield opened
