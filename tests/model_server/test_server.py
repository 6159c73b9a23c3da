"""A server whose base path changes under it. Each test brings versions of its own, newer than any before."""

from __future__ import annotations

import itertools
import shutil
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import httpx
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

from model_server.launch import RunningServer, start
from tests.model_server.helpers import MODEL_NAME, START_SECONDS, eventually, publish

CLIENT = httpx.Client(timeout=30)


@dataclass
class Following:
    server: RunningServer
    base_path: Path
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(2))

    def log(self) -> str:
        return self.server.log_file.read_text()

    def serves(self, version: int) -> None:
        eventually(lambda: self.server.served_version() == version, f"version {version} is served\n{self.log()}")

    def state(self, version: int) -> str:
        answer = CLIENT.get(f"{self.server.model_url}/versions/{version}")
        return str(answer.json()["model_version_status"][0]["state"]) if answer.status_code == 200 else "unknown"


@pytest.fixture(scope="module")
def following(models: dict[int, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Following]:
    folder = tmp_path_factory.mktemp("following")
    publish(models[2], folder / "base", 1)
    with start(folder / "base", MODEL_NAME, log_file=folder / "server.log", deadline_seconds=START_SECONDS) as server:
        yield Following(server, folder / "base")


@pytest.mark.timeout(180)
def test_a_swap_under_load_fails_no_request(following: Following, models: dict[int, Path]) -> None:
    first = next(following.numbers)
    publish(models[2], following.base_path, first)
    following.serves(first)
    stop = threading.Event()
    answers: dict[str, list[float]] = {}
    failures: list[BaseException] = []

    def load(name: str, ask: Callable[[], float]) -> None:
        answers[name] = []
        try:
            while not stop.is_set():
                answers[name].append(ask())
        except Exception as error:  # reported by the test: a thread's own exception would pass unseen
            failures.append(error)

    client = httpx.Client(timeout=30)
    channel = grpc.insecure_channel(following.server.grpc_address)
    stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
    request = predict_pb2.PredictRequest()
    request.model_spec.name = MODEL_NAME
    request.model_spec.signature_name = "single"
    request.inputs["x"].CopyFrom(tf.make_tensor_proto(np.array([1], np.float32)))

    def ask_rest() -> float:
        answer = client.post(
            f"{following.server.model_url}:predict", json={"signature_name": "single", "instances": [1.0]}
        )
        assert answer.status_code == 200, answer.text
        return float(answer.json()["predictions"][0])

    def ask_grpc() -> float:
        return float(stub.Predict(request, timeout=30).outputs["y"].float_val[0])

    asks = {"rest 1": ask_rest, "rest 2": ask_rest, "rest 3": ask_rest, "grpc 1": ask_grpc, "grpc 2": ask_grpc}
    threads = [threading.Thread(target=load, args=item) for item in asks.items()]
    for thread in threads:
        thread.start()
    eventually(lambda: all(len(answers.get(name, [])) > 20 for name in asks), "every thread has answers")
    second = next(following.numbers)
    publish(models[3], following.base_path, second)
    eventually(lambda: failures or all(answers[name][-1] == 3 for name in asks), "every thread reaches the new version")
    third = next(following.numbers)
    publish(models[2], following.base_path, third)
    eventually(lambda: failures or all(answers[name][-1] == 2 for name in asks), "every thread reaches the newest")
    stop.set()
    for thread in threads:
        thread.join()
    channel.close()
    client.close()
    assert failures == []
    for name, values in answers.items():
        assert [key for key, _ in itertools.groupby(values)] == [2.0, 3.0, 2.0], name
    eventually(lambda: following.state(second) == "END", "the version in between is unloaded")


def test_a_half_copied_version_waits_for_its_other_half(following: Following, models: dict[int, Path]) -> None:
    old, new = next(following.numbers), next(following.numbers)
    publish(models[2], following.base_path, old)
    following.serves(old)
    target = following.base_path / str(new)
    (target / "variables").mkdir(parents=True)
    shutil.copy(models[3] / "saved_model.pb", target)
    for path in (models[3] / "variables").iterdir():
        (target / "variables" / path.name).write_bytes(path.read_bytes()[:10])
    eventually(lambda: following.state(new) == "END", "the half is tried")
    assert following.server.predict([1.0], "single") == [2.0]
    (status,) = CLIENT.get(f"{following.server.model_url}/versions/{new}").json()["model_version_status"]
    assert status["status"]["error_code"] == "FAILED_PRECONDITION"
    assert status["status"]["error_message"]
    shutil.copytree(models[3], target, dirs_exist_ok=True)
    following.serves(new)
    assert following.server.predict([1.0], "single") == [3.0]
    told = [line for line in following.log().splitlines() if f"Cannot load version {new} " in line]
    assert len(told) == 1
    assert f"Version {old} goes on serving" in told[0]


def test_a_directory_without_a_model_leaves_the_old_version(following: Following, models: dict[int, Path]) -> None:
    old, empty, garbage, newest = (next(following.numbers) for _ in range(4))
    publish(models[2], following.base_path, old)
    following.serves(old)
    (following.base_path / str(empty)).mkdir()
    eventually(lambda: "it has no saved_model.pb" in following.log(), "the empty directory is told")
    (following.base_path / str(garbage)).mkdir()
    (following.base_path / str(garbage) / "saved_model.pb").write_bytes(b"\x00not a model")
    eventually(lambda: following.state(garbage) == "END", "the garbage is tried")
    assert following.server.predict([1.0], "single") == [2.0]
    publish(models[3], following.base_path, newest)
    following.serves(newest)


def test_a_removed_version_makes_way_for_the_older_one(following: Following, models: dict[int, Path]) -> None:
    old, new = next(following.numbers), next(following.numbers)
    publish(models[2], following.base_path, old)
    publish(models[3], following.base_path, new)
    following.serves(new)
    shutil.rmtree(following.base_path / str(new))
    following.serves(old)
    assert following.server.predict([1.0], "single") == [2.0]


def test_a_directory_whose_name_is_beyond_any_version_is_passed_over(
    following: Following, models: dict[int, Path]
) -> None:
    publish(models[3], following.base_path, 10**19)
    served = next(following.numbers)
    publish(models[2], following.base_path, served)
    following.serves(served)
    assert following.server.predict([1.0], "single") == [2.0]
    assert CLIENT.get(following.server.model_url).status_code == 200
    assert CLIENT.get(f"{following.server.model_url}/metadata").json()["model_spec"]["version"] == str(served)
