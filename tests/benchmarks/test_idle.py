"""The benchmark of waiting workers: what a log of trials says."""

from __future__ import annotations

from pathlib import Path

from benchmarks import idle


def test_only_who_had_waited_counts_from_the_last_end_of_any_trial(tmp_path: Path) -> None:
    log = tmp_path / "log"
    lines = [
        "10.0 1 begin",
        "12.0 1 end",
        "12.25 2 begin",  # had no trial before: may have been on its way still
        "14.0 2 end",
        "14.5 1 begin",  # had waited since 12
        "16.0 1 end",
        "16.25 1 begin",  # goes from one to the next
        "18.0 1 end",
        "18.125 2 begin",  # had waited since 14
    ]
    log.write_text("\n".join(lines))
    assert idle.waits(idle.read(log)) == [0.5, 0.125]
