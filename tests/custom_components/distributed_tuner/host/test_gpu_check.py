"""A worker whose pod has GPUs trains on them, or not at all."""

from __future__ import annotations

import pytest
import tensorflow as tf

from custom_components.distributed_tuner.errors import SearchError
from custom_components.distributed_tuner.host import gpu_check, variables


def sees(monkeypatch: pytest.MonkeyPatch, devices: list[str], *, cuda: bool = True) -> list[str]:
    """What TensorFlow is made to say; returns what it was asked for."""
    asked: list[str] = []

    def listed(kind: str) -> list[str]:
        asked.append(kind)
        return devices

    monkeypatch.setattr(tf.config, "list_physical_devices", listed)
    monkeypatch.setattr(tf.test, "is_built_with_cuda", lambda: cuda)
    return asked


def test_tensorflow_is_asked_once_and_only_where_there_should_be_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = sees(monkeypatch, ["GPU:0"])
    gpu_check.check(0, "spot", {})
    gpu_check.check(1, "spot", {variables.GPU_CHECK: "off"})
    assert asked == []
    gpu_check.check(2, "spot", {})
    assert asked == ["GPU"]


def test_the_image_is_told_from_the_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    sees(monkeypatch, [], cuda=False)
    with pytest.raises(SearchError, match=r"group spot asks for GPUs .* sees none: .* without CUDA.*make image GPU=1"):
        gpu_check.check(1, "spot", {})
    sees(monkeypatch, [])
    with pytest.raises(SearchError, match=r"the node's driver missing \(LD_LIBRARY_PATH: /nvidia\)"):
        gpu_check.check(1, "spot", {"LD_LIBRARY_PATH": "/nvidia"})
