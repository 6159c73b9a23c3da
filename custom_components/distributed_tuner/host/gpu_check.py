"""Checks that TensorFlow sees the GPU that a worker's pod was given: training on its CPU would waste the money."""

from __future__ import annotations

from collections.abc import Mapping

from custom_components.distributed_tuner.errors import SearchError
from custom_components.distributed_tuner.host import variables

# For clusters that only pretend to have GPUs, such as those of tests: `off` skips the check.

_OFF = "off"


def check(gpus: int, group: str, environment: Mapping[str, str]) -> None:
    """Asks TensorFlow once; that lists the GPUs and allocates none of their memory.

    Args:
      gpus: how many the group requests; 0 skips the check.
      group: the worker's group.
      environment: may disable the check.

    Raises:
      SearchError: TensorFlow sees none; the message says whether image or driver is at fault.
    """
    if not gpus or environment.get(variables.GPU_CHECK) == _OFF:
        return
    import tensorflow as tf

    if tf.config.list_physical_devices("GPU"):
        return
    if not tf.test.is_built_with_cuda():
        why = "the image's TensorFlow is built without CUDA: build the image with `make image GPU=1`"
    else:
        paths = environment.get("LD_LIBRARY_PATH") or "not set"
        why = (
            "the image's TensorFlow has CUDA, but finds a library or the node's driver missing (LD_LIBRARY_PATH: "
            f"{paths}): look at the warnings above, and set LD_LIBRARY_PATH in the group's env to where the driver is"
        )
    raise SearchError(f"group {group} asks for GPUs ({gpus} each), and TensorFlow sees none: {why}")
