"""The docker command, as far as it can be checked without docker."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from model_server import docker
from model_server.flags import Flags

FLAGS = Flags(Path("/data/serving model"), "bikes", port=0, rest_api_port=9501, file_system_poll_wait_seconds=0.2)


def test_the_command_serves_the_base_path_read_only_on_this_machine_alone() -> None:
    assert docker.run_command(FLAGS, "one") == [
        "docker",
        "run",
        "--rm",
        "--init",
        "--name=one",
        "--publish=127.0.0.1::8500",
        "--publish=127.0.0.1:9501:8501",
        "--mount=type=bind,source=/data/serving model,target=/models/bikes,readonly",
        "--entrypoint=tensorflow_model_server",
        "tensorflow/serving:2.15.1",
        "--port=8500",
        "--rest_api_port=8501",
        "--model_name=bikes",
        "--model_base_path=/models/bikes",
        "--file_system_poll_wait_seconds=1",
    ]


def test_without_a_rest_port_none_is_published() -> None:
    command = docker.run_command(replace(FLAGS, rest_api_port=None), "one")
    assert [part for part in command if part.startswith("--publish")] == ["--publish=127.0.0.1::8500"]
    assert "--rest_api_port=0" in command


def test_a_path_that_docker_would_misread_is_refused() -> None:
    with pytest.raises(ValueError, match="Docker cannot mount '/data/a,readonly=false'"):
        docker.run_command(replace(FLAGS, model_base_path=Path("/data/a,readonly=false")), "one")
