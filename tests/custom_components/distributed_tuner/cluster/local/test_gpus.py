"""GPUs dealt out to workers: none is left idle, none shared without need."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from custom_components.distributed_tuner.cluster.local import gpus


@pytest.mark.parametrize(
    ("listed", "expected"),
    [("0,2", ("0", "2")), (" GPU-ab , 1", ("GPU-ab", "1")), ("", ()), ("-1", ()), ("NaN,", ("NaN",))],
)
def test_the_environment_says_which_may_be_used(listed: str, expected: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "nvidia7").touch()
    assert gpus.visible({"CUDA_VISIBLE_DEVICES": listed}, tmp_path) == expected


def test_else_the_machines_devices_count_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    assert gpus.visible({}, tmp_path) == ()
    for name in ("nvidia10", "nvidia2", "nvidia0", "nvidiactl", "nvidia-uvm", "nvidia1x"):
        (tmp_path / name).touch()
    assert gpus.visible({}, tmp_path) == ("0", "2", "10")


def test_without_gpus_no_worker_is_told_anything() -> None:
    assert gpus.deal((), 3) == [{}, {}, {}]
    assert gpus.deal(("0",), 0) == []


@given(st.integers(1, 16), st.integers(1, 16))
def test_every_gpu_is_used_and_shared_evenly(count: int, workers: int) -> None:
    machine = tuple(str(number) for number in range(count))
    dealt = [environment["CUDA_VISIBLE_DEVICES"].split(",") for environment in gpus.deal(machine, workers)]
    assert len(dealt) == workers
    assert {gpu for own in dealt for gpu in own} == set(machine)
    holders = [sum(gpu in own for own in dealt) for gpu in machine]
    sizes = [len(own) for own in dealt]
    assert max(holders) - min(holders) <= 1 and max(sizes) - min(sizes) <= 1
    assert max(holders) == 1 or max(sizes) == 1


@given(st.integers(1, 8), st.integers(1, 16))
def test_workers_that_share_a_gpu_take_its_memory_as_needed(count: int, workers: int) -> None:
    machine = tuple(str(number) for number in range(count))
    shared = [environment.get("TF_FORCE_GPU_ALLOW_GROWTH") for environment in gpus.deal(machine, workers)]
    assert set(shared) == ({"true"} if workers > count else {None})
