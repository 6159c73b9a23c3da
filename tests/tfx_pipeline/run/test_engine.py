"""Runs that TFX's runners would call a success though a node has failed, on both engines and by TFX's command line."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import pytest
from tfx.orchestration.portable import launcher

from tests.tfx_pipeline import failing_pipelines
from tests.tfx_pipeline.home import Home
from tfx_pipeline.errors import NodeFailed
from tfx_pipeline.run import engine, failure, launching, outcome, progress

PATH = Path(failing_pipelines.__file__)
SMALL = {"SAMPLE_ROWS": "200"}


@pytest.mark.parametrize("engine_name", ["local", "beam"])
@pytest.mark.parametrize("kind", failing_pipelines.FAILURES)
def test_a_failed_node_ends_the_run_with_its_reason(own_home: Home, engine_name: str, kind: str) -> None:
    node, reason = failing_pipelines.FAILURES[kind]
    settings = own_home.settings(ENGINE=engine_name, **SMALL)
    stream = io.StringIO()
    nodes = progress.NodeProgress(stream)
    with nodes.attached(), pytest.raises(NodeFailed, match=rf"^{node} failed: .*{re.escape(reason)}") as raised:
        engine.dag_runner(settings).run(failing_pipelines.create(settings, kind))
    assert raised.value.node == nodes.current == node
    nodes.fail()
    *finished, last = stream.getvalue().splitlines()
    assert re.fullmatch(rf"  {node} .* s  failed", last)
    assert not any(node in line for line in finished)
    assert {line.split()[0] for line in finished if "skipped" in line} == ({"Inside"} if kind == "condition" else set())
    assert " object at 0x" not in str(raised.value)
    record = outcome.read_run(settings.metadata_path, settings.run_id)
    assert list(record.nodes)[-1] == node, "nothing runs after it"
    assert not record.nodes[node].finished
    told = str(failure.explain(raised.value, nodes.current, settings.runs_dir, Path("log"), settings.run_id))
    assert told.startswith(str(raised.value))
    assert f"RUN_ID={settings.run_id}" in told


def test_tfx_run_create_ends_with_the_error(own_home: Home) -> None:
    more: dict[str, Any] = {"ENGINE": "local", "FAILING": "condition", **SMALL}
    which = ("--engine", "local")
    created = own_home.tfx("pipeline", "create", *which, "--pipeline_path", str(PATH), **more)
    assert created.code == 0, created.output
    ran = own_home.tfx("run", "create", *which, "--pipeline_name", "bikes", **more)
    assert ran.code != 0
    assert re.search(r"^Outside failed: .*min_count = 1 but only got 0 artifacts", ran.output, re.MULTILINE)


def test_what_only_the_metadata_know_is_an_error_too(own_home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = own_home.settings(**SMALL)
    monkeypatch.setattr(launching.Launcher, "launch", launcher.Launcher.launch)
    with pytest.raises(NodeFailed, match=r"^Outside failed: .*min_count"):
        engine.dag_runner(settings).run(failing_pipelines.create(settings, "condition"))
    assert list(outcome.failures(settings.metadata_path, settings.run_id)) == ["Outside"]
    assert outcome.failures(settings.metadata_path, "another") == {}


def test_a_node_that_failed_before_and_is_well_now_is_no_failure(own_home: Home) -> None:
    settings = own_home.settings(**SMALL)
    with pytest.raises(NodeFailed):
        engine.dag_runner(settings).run(failing_pipelines.create(settings, "resolver"))
    engine.dag_runner(settings).run(failing_pipelines.create(settings, "well"))
    assert outcome.failures(settings.metadata_path, settings.run_id) == {}
