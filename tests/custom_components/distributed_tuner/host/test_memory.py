"""How much memory this process has and may have: for real, and under control groups as systems lay them out."""

from __future__ import annotations

import gc
from pathlib import Path

import numpy as np
import psutil

from custom_components.distributed_tuner.host import memory

MB = 10**6


def allowed(tmp_path: Path, membership: str, limits: dict[str, str]) -> int:
    """What a process of these groups may have, where the files have these limits."""
    for name, text in limits.items():
        file = tmp_path / "cgroup" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    (tmp_path / "membership").write_text(membership)
    return memory.allowance(tmp_path / "cgroup", tmp_path / "membership")


MACHINE = psutil.virtual_memory().total


def test_a_process_without_a_group_may_have_the_machine(tmp_path: Path) -> None:
    assert memory.allowance(tmp_path / "no groups", tmp_path / "no membership") == MACHINE
    assert allowed(tmp_path, "0::/user.slice\n", {"user.slice/memory.max": "max\n"}) == MACHINE


def test_the_least_of_all_groups_above_counts(tmp_path: Path) -> None:
    limits = {"a/memory.max": f"{50 * MB}\n", "a/b/memory.max": f"{80 * MB}\n", "other/memory.max": f"{MB}\n"}
    assert allowed(tmp_path, "0::/a/b\n", limits) == 50 * MB


def test_a_containers_own_group_is_its_root(tmp_path: Path) -> None:
    assert allowed(tmp_path, "0::/../../kubepods/pod1\n", {"memory.max": f"{70 * MB}\n"}) == 70 * MB
    assert allowed(tmp_path, "0::/\n", {"memory.max": f"{60 * MB}\n"}) == 60 * MB


def test_the_first_version_of_groups_has_one_for_memory(tmp_path: Path) -> None:
    limits = {
        "memory/job/memory.limit_in_bytes": f"{90 * MB}\n",
        "memory/memory.limit_in_bytes": "9223372036854771712\n",
        "job/memory.max": f"{MB}\n",
    }
    membership = "12:cpu,cpuacct:/job\n11:memory:/job\n1:name=systemd:/job\n"
    assert allowed(tmp_path, membership, limits) == 90 * MB


def test_garbage_goes_back_to_the_machine() -> None:
    gc.collect()
    before = memory.resident()
    gc.disable()
    try:
        ring: list[object] = [np.ones(25 * MB)]
        ring.append(ring)
        del ring
        assert memory.resident() > before + 150 * MB
        memory.tidy()
        assert memory.resident() < before + 100 * MB
    finally:
        gc.enable()
