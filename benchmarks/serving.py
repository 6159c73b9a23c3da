"""What a prediction takes over REST and over gRPC, beside a bare call of the same model in this process.

`rest_over_bare_1` is the time that one client waits for an answer on a kept REST connection over that of a bare call:
the SavedModel is loaded here with `tf.saved_model.load` and its signature called, as one would without a server.
`grpc_over_bare_1` is the same for gRPC. Calls and requests take short turns; each ratio is that of two medians of one
turn, and the median of these ratios is the figure, so that a machine whose load changes gives the same. `…_rps_N` and
`…_p99_ms_N` are requests a second and the time in which 99 of 100 are answered, with N clients at once on as many
connections. Server and clients share the machine.

    python -m benchmarks.serving [--quick]
"""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tensorflow_serving.apis import predict_pb2

from benchmarks.run import ROOT
from benchmarks.subjects import serving_model
from model_server import RunningServer, start

MODEL = "layers"
PROTOCOLS = ("rest", "grpc")


@dataclass(frozen=True)
class Plan:
    """How many turns of so many seconds each; `many` clients ask at once in the second part."""

    turns: int
    seconds: float
    many: int


FULL = Plan(turns=15, seconds=0.5, many=64)
QUICK = Plan(turns=2, seconds=0.1, many=4)

# What requests or calls took in each turn, in milliseconds.
Turns = list[list[float]]


def rest_request(server: RunningServer) -> bytes:
    """The bytes of the HTTP request."""
    body = json.dumps({"instances": [serving_model.row()]}).encode()
    head = (
        f"POST /v1/models/{MODEL}:predict HTTP/1.1\r\nHost: {server.rest_url.removeprefix('http://')}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def grpc_request() -> bytes:
    """The bytes of the message, its numbers in the field for them, as TensorFlow Serving's own clients write them."""
    request = predict_pb2.PredictRequest()
    request.model_spec.name = MODEL
    tensor = request.inputs[serving_model.INPUT]
    tensor.dtype = 1
    for size in (1, serving_model.FEATURES):
        tensor.tensor_shape.dim.add().size = size
    tensor.float_val.extend(serving_model.row())
    data: bytes = request.SerializeToString()
    return data


@contextlib.contextmanager
def clients(protocol: str, server: RunningServer, request_file: Path, count: int) -> Iterator[Callable[[float], Any]]:
    """A process with so many clients; what it gives lets them ask for some seconds, and gives what each answer took.

    Raises:
        RuntimeError: they end before they have an answer; their own words are on standard error.
    """
    address = server.grpc_address if protocol == "grpc" else server.rest_url.removeprefix("http://")
    command = [
        sys.executable,
        "-m",
        "benchmarks.clients.serving_client",
        protocol,
        address,
        str(request_file),
        str(count),
    ]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        stdin, stdout = process.stdin, process.stdout

        def ask(seconds: float) -> list[float]:
            print(seconds, file=stdin, flush=True)
            line = stdout.readline()
            if not line:
                raise RuntimeError(f"the {protocol} clients ended with status {process.wait()}")
            times: list[float] = json.loads(line)
            return times

        yield ask
        stdin.close()


def call_bare(call: Callable[[], Any], seconds: float) -> list[float]:
    """What each call took, in milliseconds, for so many seconds."""
    times = []
    deadline = time.perf_counter() + seconds
    while (started := time.perf_counter()) < deadline:
        call()
        times.append((time.perf_counter() - started) * 1000.0)
    return times


def measure(folder: Path, plan: Plan) -> dict[str, float]:
    """Serves the model from `folder` and measures by the plan; gives the figures by name."""
    base_path = folder / MODEL
    serving_model.save(base_path / "1")
    call = serving_model.bare_call(base_path / "1")
    with start(base_path, MODEL, log_file=folder / "server.log") as server:
        files = {"rest": folder / "rest", "grpc": folder / "grpc"}
        files["rest"].write_bytes(rest_request(server))
        files["grpc"].write_bytes(grpc_request())
        one = {"bare": lambda seconds: call_bare(call, seconds)}
        with contextlib.ExitStack() as stack:
            for protocol in PROTOCOLS:
                one[protocol] = stack.enter_context(clients(protocol, server, files[protocol], 1))
            alone = take_turns(one, plan)
        crowds: dict[str, Turns] = {}
        for protocol in PROTOCOLS:
            with clients(protocol, server, files[protocol], plan.many) as ask:
                crowds |= take_turns({protocol: ask}, plan)
    return figures(alone, crowds, plan)


def take_turns(asks: dict[str, Callable[[float], list[float]]], plan: Plan) -> dict[str, Turns]:
    """Lets each ask in turn, and all once more before, which does not count."""
    turns: dict[str, Turns] = {name: [] for name in asks}
    for number in range(plan.turns + 1):
        for name, ask in asks.items():
            times = ask(plan.seconds)
            if number:
                turns[name].append(times)
    return turns


def figures(alone: dict[str, Turns], crowds: dict[str, Turns], plan: Plan) -> dict[str, float]:
    """The benchmark's figures by name, of the turns of bare calls and one client each, and of those of many clients."""
    named = {f"{protocol}_over_bare_1": round(over(alone[protocol], alone["bare"]), 2) for protocol in PROTOCOLS}
    named["bare_ms"] = round(statistics.median(middle for middle in map(statistics.median, alone["bare"])), 3)
    for count, measured in ((1, alone), (plan.many, crowds)):
        for protocol in PROTOCOLS:
            times = [took for turn in measured[protocol] for took in turn]
            named[f"{protocol}_rps_{count}"] = round(len(times) / (plan.turns * plan.seconds), 0)
            named[f"{protocol}_p99_ms_{count}"] = round(float(np.percentile(times, 99)), 2)
    return named


def over(turns: Turns, others: Turns) -> float:
    """The median of the ratios of the medians of each two turns."""
    pairs = zip(turns, others, strict=True)
    return statistics.median(statistics.median(one) / statistics.median(other) for one, other in pairs)


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints a table and the figures as the last line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving", description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a few requests, to see that all works")
    plan = QUICK if parser.parse_args(arguments).quick else FULL
    with tempfile.TemporaryDirectory(prefix="serving-") as folder:
        measured = measure(Path(folder), plan)
    for name, value in measured.items():
        print(f"{name:20} {value:10g}")
    print(f"\n{json.dumps(measured)}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
