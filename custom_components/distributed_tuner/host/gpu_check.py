"""Whether TensorFlow sees the GPU that a worker's pod was given: one that trains on the CPU is paid for in vain."""

from __future__ import annotations

from collections.abc import Mapping

from custom_components.distributed_tuner.errors import SearchError
from custom_components.distributed_tuner.host import variables

# For clusters whose GPUs are only claimed, such as those of tests: `off` leaves the check out.

_OFF = "off"


def check(gpus: int, group: str, environment: Mapping[str, str]) -> None:
    """Asks TensorFlow, once, which finds the GPUs and takes no memory of them.

    Args:
      gpus: how many the group asks for; nothing is asked where that is 0.
      group: of the worker.
      environment: may switch the check off.

    Raises:
      SearchError: it sees none; the message says whether image or driver is at fault.
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
