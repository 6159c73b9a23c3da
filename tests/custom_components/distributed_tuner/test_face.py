"""The public face: all of it is there, and nothing heavy comes with what needs nothing heavy."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys

import pytest

from custom_components import distributed_tuner
from tests.repository import ROOT

HEAVY = ("apache_beam", "keras_tuner", "numpy", "tensorflow", "tfx")
LOADED = f"""
import json, sys
from custom_components.distributed_tuner import {{name}}
print(json.dumps([name for name in {HEAVY} if name in sys.modules]))
"""


@pytest.mark.parametrize("name", distributed_tuner.__all__)
def test_each_public_name_is_there(name: str) -> None:
    assert getattr(distributed_tuner, name).__doc__
    assert name in dir(distributed_tuner)


def test_another_name_is_told_as_missing() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'Tuner'"):
        _ = distributed_tuner.Tuner
    with pytest.raises(ImportError, match="Tuner"):
        importlib.import_module("custom_components.distributed_tuner.Tuner")


@pytest.mark.parametrize("name", ["SearchRecord, record_from_json, leaderboard", "KubernetesOptions", "SearchOptions"])
def test_what_reads_or_sets_a_search_loads_no_library_of_training(name: str) -> None:
    command = [sys.executable, "-c", LOADED.format(name=name)]
    loaded = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=100).stdout
    assert json.loads(loaded) == []


@pytest.mark.parametrize(
    "name", ["SearchError", "ClusterError", "OptionsError", "KubernetesOptionsError", "TooFewTrials"]
)
def test_one_class_catches_what_a_search_tells(name: str) -> None:
    assert issubclass(getattr(distributed_tuner, name), distributed_tuner.TunerError)


def test_to_look_at_a_search_loads_neither_a_library_of_training_nor_what_other_commands_need() -> None:
    others = (*HEAVY, "jinja2", "kubernetes", "psutil", "pydantic", "rich")
    program = (
        "import sys\nfrom custom_components.distributed_tuner import __main__ as program\n"
        "try: program.app(['status', '/nowhere'])\nexcept SystemExit: pass\n"
        f"print([name for name in {others} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=100)
    assert done.stdout.splitlines()[-1] == "[]", done.stderr
    assert "/nowhere holds no search" in done.stderr
