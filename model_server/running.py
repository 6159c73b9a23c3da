"""A running model server, as its client sees it: query it, watch it, stop it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx

# Longer than the server's own grace for requests in flight.
STOP_SECONDS = 10
REQUEST_SECONDS = 30.0


class RequestError(Exception):
    """The server answered with an error, or not at all; the message includes its answer."""


class RunningServer:
    """A server that serves a version. As a context manager it stops the server at the end of the block.

    Attributes:
        rest_url: http://HOST:PORT, without a slash at the end.
        grpc_address: HOST:PORT.
        model_name: the name of the model.
        log_file: the server's log.
    """

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        *,
        rest_url: str,
        grpc_address: str,
        model_name: str,
        log_file: Path,
        before_stop: Callable[[], None] = lambda: None,
    ) -> None:
        """Takes over a running `process`; `start` creates one."""
        self.rest_url = rest_url
        self.grpc_address = grpc_address
        self.model_name = model_name
        self.log_file = log_file
        self._process = process
        self._before_stop = before_stop
        self._client = httpx.Client(base_url=rest_url, timeout=REQUEST_SECONDS, trust_env=False)

    @property
    def model_url(self) -> str:
        """The model's URL; it returns the states of the versions."""
        return f"{self.rest_url}/v1/models/{self.model_name}"

    @property
    def pid(self) -> int:
        """The process id of the server or, with docker, of the docker client."""
        return self._process.pid

    def predict(self, instances: Sequence[Any], signature_name: str | None = None) -> list[Any]:
        """Asks for predictions.

        Args:
            instances: one item per instance: an object by input name or, for a model with one input, its value.
            signature_name: the signature; None takes the model's default.

        Returns:
            One item per instance: a value or, for a model with several outputs, an object by output name.

        Raises:
            RequestError: the server refused the request or could not be reached.
        """
        body: dict[str, Any] = {"instances": list(instances)}
        if signature_name is not None:
            body["signature_name"] = signature_name
        predictions: list[Any] = self._ask("POST", f"{self.model_url}:predict", body)["predictions"]
        return predictions

    def served_version(self) -> int | None:
        """The version that is served now, if any; raises RequestError if the server does not answer."""
        return available_version(self._ask("GET", self.model_url, None))

    def wait(self, timeout: float | None = None) -> int | None:
        """Waits for the server to end by itself: its exit status, or None once `timeout` seconds have passed."""
        try:
            return self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            return None

    def stop(self) -> None:
        """Stops the server, by force if it has not ended in 10 s; does nothing if it has ended."""
        self._client.close()
        if self._process.poll() is None:
            self._before_stop()
        end(self._process)

    def __enter__(self) -> RunningServer:
        """Returns itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stops the server."""
        self.stop()

    def _ask(self, method: str, url: str, body: Any) -> Any:
        try:
            # Not httpx's own encoder: it rejects NaN and Infinity, which TensorFlow Serving accepts as numbers.
            content = None if body is None else json.dumps(body)
            response = self._client.request(method, url, content=content)
            answer = response.json()
        except (httpx.HTTPError, ValueError) as error:
            raise RequestError(
                f"The model server at {self.rest_url} gave no answer ({error}). Its log: {self.log_file}"
            ) from error
        if response.status_code != httpx.codes.OK:
            raise RequestError(
                f"The model server refused {method} {url} (status {response.status_code}): "
                f"{answer.get('error', answer)}"
            )
        return answer


def end(process: subprocess.Popen[bytes]) -> None:
    """Ends a process, by force if it has not ended in 10 s; does nothing if it has ended."""
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdin is not None:
        process.stdin.close()


def available_version(status: Any) -> int | None:
    """The version that is served according to a status answer, if any."""
    versions = [int(entry["version"]) for entry in status["model_version_status"] if entry["state"] == "AVAILABLE"]
    return max(versions, default=None)
