"""Keeping noise off the terminal."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tfx_pipeline.settings import PROJECT

SCRIPT = """
import logging, os, subprocess, sys
from pathlib import Path
from custom_components import console
from tfx_pipeline.run import quiet
with quiet.output_to(Path(sys.argv[1])):
    print("python")
    os.write(2, b"c++\\n")
    subprocess.run(["echo", "child"])
    logging.getLogger("tfx").info("record")
    print("for people", file=console.stream(), flush=True)
print("afterwards")
"""


def test_noise_of_every_kind_goes_to_the_file_and_the_console_to_the_terminal(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "pipeline.log"
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(log)], cwd=PROJECT, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "for people\nafterwards\n"
    assert done.stderr == ""
    lines = log.read_text(encoding="utf-8").splitlines()
    assert {"python", "c++", "child"} <= set(lines)
    assert any(line.endswith("INFO tfx: record") for line in lines)
