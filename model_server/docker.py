"""The command that runs tensorflow/serving itself in a container."""

from __future__ import annotations

from model_server.flags import DEFAULT_GRPC_PORT, Flags

# The release that matches TensorFlow 2.15, which writes the models.
IMAGE = "tensorflow/serving:2.15.1"
# Ports and path inside the container; nothing outside depends on them.
GRPC_PORT = DEFAULT_GRPC_PORT
REST_PORT = 8501
_MODELS = "/models"


def run_command(flags: Flags, container: str, *, executable: str = "docker") -> list[str]:
    """The `docker run` command, in the foreground, for the flags of the local server.

    The base path is mounted read-only and must exist. The ports are published on `flags.host` only; for port 0 docker
    picks one, which `port_command` prints. The server's own flags are passed in full, bypassing the image's entry
    point, which would add a second set.

    Args:
        flags: what to serve and where. `ready_file` and `stop_when_stdin_closes` have no meaning here.
        container: a name for the container, which is removed when it ends.
        executable: docker, or what stands in for it.

    Raises:
        ValueError: the base path or the name contains a character that docker's --mount does not accept.
    """
    base_path = flags.model_base_path.resolve()
    inside = f"{_MODELS}/{flags.model_name}"
    for text in (str(base_path), inside):
        if set(text) & set(',"\n'):
            raise ValueError(f"Docker cannot mount {text!r}: commas, quotes and line breaks are its own. Rename it")
    command = [
        executable,
        "run",
        "--rm",
        "--init",
        f"--name={container}",
        f"--publish={_publish(flags.host, flags.port, GRPC_PORT)}",
    ]
    if flags.rest_api_port is not None:
        command.append(f"--publish={_publish(flags.host, flags.rest_api_port, REST_PORT)}")
    command += [
        f"--mount=type=bind,source={base_path},target={inside},readonly",
        "--entrypoint=tensorflow_model_server",
        IMAGE,
        f"--port={GRPC_PORT}",
        f"--rest_api_port={REST_PORT if flags.rest_api_port is not None else 0}",
        f"--model_name={flags.model_name}",
        f"--model_base_path={inside}",
        f"--file_system_poll_wait_seconds={_whole_seconds(flags.file_system_poll_wait_seconds)}",
    ]
    return command


def port_command(container: str, port: int, *, executable: str = "docker") -> list[str]:
    """The command that prints, as HOST:PORT, where a container's port is published."""
    return [executable, "port", container, f"{port}/tcp"]


def stop_command(container: str, grace_seconds: int, *, executable: str = "docker") -> list[str]:
    """The command that stops the container, by force after `grace_seconds`.

    Args:
        container: the container's name.
        grace_seconds: how long it may take to end by itself.
        executable: docker, or what stands in for it.
    """
    return [executable, "stop", f"--time={grace_seconds}", container]


def _publish(host: str, outside: int, inside: int) -> str:
    address = f"[{host}]" if ":" in host else host
    return f"{address}:{outside or ''}:{inside}"


def _whole_seconds(seconds: float) -> int:
    # TensorFlow Serving takes whole seconds, and 0 would make it look only once.
    return 0 if seconds == 0 else max(1, round(seconds))
