"""The public face: all of it is there, and asking for it loads no TensorFlow."""

from __future__ import annotations

import subprocess
import sys

import pytest

import model_server
from tests.repository import ROOT


@pytest.mark.parametrize("name", model_server.__all__)
def test_each_public_name_is_there(name: str) -> None:
    assert getattr(model_server, name).__doc__
    assert name in dir(model_server)


def test_another_name_is_told_as_missing() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'Server'"):
        _ = model_server.Server


def test_who_starts_a_server_loads_no_tensorflow() -> None:
    program = "import sys; from model_server import RunningServer, start; print('tensorflow' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=100)
    assert done.stdout == "False\n", done.stderr
