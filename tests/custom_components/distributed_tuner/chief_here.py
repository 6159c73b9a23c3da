"""A chief in the test's own process, behind a real port, whose callers are counted."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from typing import Any
from unittest import mock

import keras_tuner as kt

from custom_components.distributed_tuner.chief import server as chief_server
from custom_components.distributed_tuner.chief.chief import Chief
from custom_components.distributed_tuner.chief.service import Handler
from custom_components.distributed_tuner.host import files
from custom_components.distributed_tuner.options import SearchOptions
from custom_components.distributed_tuner.oracle.suggester import OracleSuggester
from custom_components.distributed_tuner.rpc.client import ChiefClient
from custom_components.distributed_tuner.rpc.credentials import Access
from custom_components.distributed_tuner.storage.search_dir import SearchDir

_SECONDS = 120.0


@dataclasses.dataclass(frozen=True)
class Call:
    """One call; `when` is a monotonic time, seconds."""

    method: str
    worker: str
    when: float


def _counted(calls: list[Call], method: str, handler: Handler) -> Handler:
    async def handle(request: Mapping[str, Any]) -> dict[str, Any]:
        calls.append(Call(method, str(request.get("worker", "")), time.monotonic()))
        return await handler(request)

    return handle


@dataclasses.dataclass(frozen=True)
class ChiefHere:
    """A running chief: who called it so far, and a client of the test's own."""

    calls: list[Call]
    client: ChiefClient
    port: int

    def calls_of(self, worker: str, method: str = "") -> list[Call]:
        """The calls of one worker."""
        return [call for call in list(self.calls) if call.worker == worker and method in ("", call.method)]


@contextlib.contextmanager
def serving(directory: SearchDir, oracle: kt.Oracle, token: str, options: SearchOptions) -> Iterator[ChiefHere]:
    """A chief that serves within it, and whose address is in the search directory."""
    calls: list[Call] = []
    ready: Future[tuple[int, Callable[[], object]]] = Future()

    async def main() -> None:
        chief = Chief(
            name="here",
            suggester=OracleSuggester(oracle),
            options=options,
            directory=directory,
            project_dir="project",
            go_on=False,
        )
        handlers = {method: _counted(calls, method, handler) for method, handler in chief.service.methods().items()}
        with mock.patch.object(chief.service, "methods", return_value=handlers):
            server, port = await chief_server.serve(
                chief, token=token, host="127.0.0.1", port=0, stock_workers=options.allow_stock_workers
            )
        await chief.begin()
        stop, loop = asyncio.Event(), asyncio.get_running_loop()
        ready.set_result((port, lambda: loop.call_soon_threadsafe(stop.set)))
        await stop.wait()
        await server.stop(grace=0.5)
        await chief.close()

    thread = threading.Thread(target=lambda: asyncio.run(main()), name="chief", daemon=True)
    thread.start()
    port, end = ready.result(_SECONDS)
    address = f"127.0.0.1:{port}"
    files.write_atomically(directory.chief, json.dumps({"address": address}).encode())
    client = ChiefClient(lambda: address, Access(token), patience_seconds=10.0)
    try:
        yield ChiefHere(calls, client, port)
    finally:
        client.close()
        end()
        thread.join(_SECONDS)
        assert not thread.is_alive()


def ask(here: ChiefHere, worker: str, wait_seconds: float = 0.0) -> str | None:
    """Asks for a trial: its id, None if there is none now, or within `wait_seconds`."""
    answer = here.client.call("Suggest", {"worker": worker, "wait_seconds": wait_seconds})
    return str(answer["trial"]["trial_id"]) if answer["answer"] == "trial" else None


def finish(here: ChiefHere, worker: str, trial_id: str, **metrics: float) -> None:
    """Ends a trial with these metrics."""
    message = {"worker": worker, "trial_id": trial_id, "succeeded": True, "reports": [[0, metrics]]}
    here.client.call("Finish", message)


def wait_for(condition: Callable[[], Any], what: str, seconds: float = _SECONDS) -> Any:
    """What `condition` returns, once it is true."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        time.sleep(0.05)
    return value
