"""A search that would end too early is slowed down, and no further than it needs."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.harness.chaos import drag


@pytest.mark.parametrize(
    ("to_come", "left", "factor"), [(0.0, 100, 1.0), (10.0, 100, 1.0), (60.0, 80, 3.0), (500.0, 80, 4.0), (9.0, 0, 1.0)]
)
def test_epochs_last_until_all_that_is_to_come_has_come(to_come: float, left: int, factor: float) -> None:
    assert drag.needed(to_come, left, epoch_seconds=2.0, workers=8) == factor


def test_what_is_written_is_read_and_nothing_slows_down_nothing(tmp_path: Path) -> None:
    assert drag.read(tmp_path) == 1.0
    for factor in (3.5, 1.0):
        drag.write(tmp_path, factor)
        assert drag.read(tmp_path) == factor
