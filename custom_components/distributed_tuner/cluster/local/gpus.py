"""Assigns the GPUs of one machine to its workers."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from custom_components.distributed_tuner.host import variables


def visible(environment: Mapping[str, str] = os.environ, devices: Path = Path("/dev")) -> tuple[str, ...]:
    """The GPUs that this process may use, as CUDA names them: those listed in the environment, else all of them."""
    if variables.VISIBLE_GPUS in environment:
        return tuple(
            gpu.strip() for gpu in environment[variables.VISIBLE_GPUS].split(",") if gpu.strip() not in ("", "-1")
        )
    numbers = sorted(int(p.name[6:]) for p in devices.glob("nvidia[0-9]*") if p.name[6:].isdigit())
    return tuple(str(number) for number in numbers)


def deal(gpus: Sequence[str], workers: int) -> list[dict[str, str]]:
    """The environment variables of each worker.

    With more GPUs than workers, each worker gets several. With fewer, workers share, one GPU each, and TensorFlow
    allocates memory as needed so that they can. Without GPUs nothing is set.

    Args:
      gpus: see `visible`.
      workers: how many.
    """
    if not gpus or workers < 1:
        return [{} for _ in range(workers)]
    if len(gpus) >= workers:
        return [{variables.VISIBLE_GPUS: ",".join(gpus[index::workers])} for index in range(workers)]
    return [
        {variables.VISIBLE_GPUS: gpus[index % len(gpus)], "TF_FORCE_GPU_ALLOW_GROWTH": "true"}
        for index in range(workers)
    ]
