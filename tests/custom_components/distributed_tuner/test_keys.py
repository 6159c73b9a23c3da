"""Folders of searches."""

from __future__ import annotations

import re

import pytest

from custom_components.distributed_tuner import keys


@pytest.mark.parametrize("run_id", ["2026-11-29T12.00.00", "manual_1", "..a", "-"])
def test_a_plain_run_id_is_the_folder_of_its_search(run_id: str) -> None:
    assert keys.search_folder(run_id) == run_id


def test_no_two_run_ids_share_a_folder_and_none_leaves_the_place() -> None:
    odd = ["実験一", "実験二", "exp 1", "exp/1", "exp-1", "exp\n1", "..", ".", "...", "../x", "", "\udce9"]
    folders = [keys.search_folder(run_id) for run_id in odd]
    assert len(set(folders)) == len(odd)
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+", folder) and folder.strip(".") for folder in folders)
