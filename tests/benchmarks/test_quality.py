"""The quality benchmark's arithmetic; what it measures takes minutes and is left to `make bench`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks import quality
from models.bikes import features
from tfx_pipeline.data import sample_data


def test_a_split_is_a_partition_that_depends_on_the_seed_alone() -> None:
    parts = quality.split(2_298, seed=3)
    assert [len(part) for part in parts] == [1_838, 230, 230]
    assert sorted(np.concatenate(parts)) == list(range(2_298))
    assert all((a == b).all() for a, b in zip(parts, quality.split(2_298, seed=3), strict=True))
    assert (parts[2] != quality.split(2_298, seed=4)[2]).any()


def test_the_trees_see_every_input_of_the_network() -> None:
    table = sample_data.generate(200, seed=1)
    matrix = quality.numeric(table)
    # The cross becomes four numbers, every other input stays one.
    assert matrix.shape == (200, len(features.MODEL_INPUTS) - 1 + 4)
    assert np.isfinite(matrix).all()
    np.testing.assert_allclose(matrix[:, -2], table.end_longitude, atol=0.005 + 1e-9)


def test_the_ratio_is_paired() -> None:
    scores = [quality.Score(0, 100.0, 200.0, 300.0), quality.Score(1, 900.0, 600.0, 1_000.0)]
    figures = quality.summary(scores)
    assert figures["ratio"] == 1.0
    assert (figures["mae"], figures["mae_hgb"], figures["mae_median"]) == (500.0, 400.0, 650.0)
    assert figures["seeds"] == [0, 1]


def test_the_file_is_named_by_the_environment(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="BIKES_DATA names"):
        quality.data_path({"BIKES_DATA": str(tmp_path / "none.csv")})
    (tmp_path / "trips.csv").touch()
    assert quality.data_path({"BIKES_DATA": str(tmp_path / "trips.csv")}) == tmp_path / "trips.csv"


def test_without_the_file_it_says_so_and_fails(tmp_path: Path) -> None:
    environment = {**os.environ, "BIKES_DATA": str(tmp_path / "none.csv")}
    command = [sys.executable, "-m", "benchmarks.quality"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=100)
    assert done.returncode == 1
    assert "none.csv: no such file; BIKES_DATA names" in done.stderr
    assert "Traceback" not in done.stderr
