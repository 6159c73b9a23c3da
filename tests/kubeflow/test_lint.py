"""Argo's own linter on the compiled workflow, in each variant that the settings can make of it.

Neither TFX's compiler nor a Kubeflow server's upload tells all of this: an API server takes a workflow with an unknown
field or a reference to nothing, and the controller ends the run with it later.
"""

from __future__ import annotations

import copy
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tfx_pipeline import pipeline
from tfx_pipeline.run import engine
from tfx_pipeline.settings import load

BUCKET = {"ENGINE": "kubeflow", "PIPELINE_ROOT": "gs://bucket/pipeline", "DATA": "gs://bucket/data/trips.csv"}
KUBERNETES = {"CLUSTER": "kubernetes", "CLUSTER_OPTIONS": "{jobs}"}
JOBS = """
volumes:
  - {name: runs, mount_path: /runs, source: {persistentVolumeClaim: {claimName: runs}}}
groups:
  - {name: spot, spot: true, gpu: {type: nvidia-tesla-t4, count: 1}}
  - {name: base, count: 1}
"""

Lint = Callable[[dict[str, Any]], str]


@pytest.fixture
def lint(argolint: Path, tmp_path: Path) -> Lint:
    """What the linter says of a workflow; nothing if nothing is wrong."""

    def look(workflow: dict[str, Any]) -> str:
        file = tmp_path / "workflow.yaml"
        file.write_text(yaml.safe_dump(workflow), encoding="utf-8")
        ended = subprocess.run([argolint, file], capture_output=True, text=True, timeout=60, check=False)
        assert ended.returncode in (0, 1) and bool(ended.stdout) == bool(ended.returncode), ended.stderr
        return ended.stdout

    return look


def compiled(folder: Path, monkeypatch: pytest.MonkeyPatch, **environment: str) -> dict[str, Any]:
    """The workflow that the settings make."""
    monkeypatch.chdir(folder)
    settings = load({**BUCKET, **environment})
    engine.dag_runner(settings).run(pipeline.create_pipeline(settings))
    workflow: dict[str, Any] = yaml.safe_load((folder / f"{settings.pipeline_name}.yaml").read_text(encoding="utf-8"))
    return workflow


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"TOP_N": "5", "TRIALS": "9"},
        {"SOURCE": "bigquery", "BIGQUERY_PROJECT": "project", "BIGQUERY_TEMP": "gs://bucket/temp", "DATA": ""},
        {"CLUSTER": "kubernetes", "CLUSTER_OPTIONS": "{jobs}"},
        {
            "CLUSTER": "kubernetes",
            "CLUSTER_OPTIONS": "{jobs}",
            "PIPELINE_ROOT": "/runs/bikes",
            "DATA": "/runs/trips.csv",
        },
    ],
    ids=["bucket", "five best", "BigQuery", "Jobs", "Jobs and a volume"],
)
def test_argo_finds_nothing_wrong_with_what_is_compiled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lint: Lint, environment: dict[str, str]
) -> None:
    (tmp_path / "jobs.yaml").write_text(JOBS, encoding="utf-8")
    given = {name: value.format(jobs=tmp_path / "jobs.yaml") for name, value in environment.items()}
    assert lint(compiled(tmp_path, monkeypatch, **given)) == ""


def _dag(workflow: dict[str, Any]) -> list[dict[str, Any]]:
    (tasks,) = [one["dag"]["tasks"] for one in workflow["spec"]["templates"] if "dag" in one]
    return list(tasks)


def _step(workflow: dict[str, Any]) -> dict[str, Any]:
    return next(one for one in workflow["spec"]["templates"] if "container" in one)


def _unknown_field(workflow: dict[str, Any]) -> None:
    _step(workflow)["activeDeadlineSecond"] = 60


def _missing_dependency(workflow: dict[str, Any]) -> None:
    _dag(workflow)[0]["dependencies"] = ["nobody"]


def _circle(workflow: dict[str, Any]) -> None:
    first, second = _dag(workflow)[:2]
    first["dependencies"], second["dependencies"] = [second["name"]], [first["name"]]


def _unknown_template(workflow: dict[str, Any]) -> None:
    _dag(workflow)[0]["template"] = "nobody"


def _unresolved_parameter(workflow: dict[str, Any]) -> None:
    _step(workflow)["container"]["args"].append("{{inputs.parameters.nobody}}")


def _no_entry(workflow: dict[str, Any]) -> None:
    workflow["spec"]["entrypoint"] = "nobody"


def _wrong_type(workflow: dict[str, Any]) -> None:
    _step(workflow)["retryStrategy"] = {"limit": "two", "backoff": "fast"}


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (_unknown_field, 'unknown field "spec.templates[0].activeDeadlineSecond"'),
        (_missing_dependency, "invalid dependency nobody"),
        (_circle, "cycle"),
        (_unknown_template, "template name 'nobody' undefined"),
        (_unresolved_parameter, "failed to resolve {{inputs.parameters.nobody}}"),
        (_no_entry, "nobody"),
        (_wrong_type, "backoff"),
    ],
    ids=lambda given: given.__name__.removeprefix("_") if callable(given) else "",
)
def test_each_class_of_fault_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lint: Lint, spoil: Callable[[dict[str, Any]], None], words: str
) -> None:
    workflow = copy.deepcopy(compiled(tmp_path, monkeypatch))
    spoil(workflow)
    assert words in lint(workflow)
