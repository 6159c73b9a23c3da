"""The compiled workflow: what it may not name, and two of its steps where there is only what their image has."""

from __future__ import annotations

import dataclasses
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ml_metadata
import pytest
import tensorflow as tf
import yaml
from ml_metadata.proto import metadata_store_pb2

from models.bikes import offline
from tests import metadata_server, wheel
from tests.harness.gcs.fixtures import Gcs, gcs
from tests.tfx_pipeline.home import Finished
from tfx_pipeline import kubeflow, pipeline
from tfx_pipeline.data import sample_data
from tfx_pipeline.errors import ExitCode, SettingsError
from tfx_pipeline.run import engine
from tfx_pipeline.settings import PROJECT, load

__all__ = ["gcs"]

KUBEFLOW = {"ENGINE": "kubeflow", "PIPELINE_ROOT": "gs://bucket/pipeline", "DATA": "gs://bucket/data/trips.csv"}
VOLUMES = """
volumes:
  - {name: runs, mount_path: /runs, source: {persistentVolumeClaim: {claimName: runs}}}
  - {name: data, mount_path: /data, read_only: true, source: {persistentVolumeClaim: {claimName: data}}}
  - {name: scratch, mount_path: /scratch, source: {emptyDir: {}}}
"""


def with_volumes(folder: Path, volumes: str = VOLUMES, **more: str) -> dict[str, str]:
    file = folder / "search.yaml"
    file.write_text(volumes)
    return {"ENGINE": "kubeflow", "CLUSTER": "kubernetes", "CLUSTER_OPTIONS": str(file), **more}


@pytest.mark.parametrize(
    ("environment", "told"),
    [
        ({"DATA": ""}, [r"DATA is not set: the sample is made on this machine; give gs://"]),
        ({"DATA": "trips.csv"}, [r"DATA=/.*/trips\.csv: the steps do not see that file; give gs://"]),
        ({"PIPELINE_ROOT": ""}, [r"PIPELINE_ROOT is not set: its default is on this machine; give gs://"]),
        ({"PIPELINE_ROOT": "/runs", "DATA": "/data/t.csv"}, [r"PIPELINE_ROOT=/runs: .* do not share", r"DATA=/data/t"]),
    ],
)
def test_what_is_on_this_machine_alone_is_refused_when_it_is_compiled(
    environment: dict[str, str], told: list[str]
) -> None:
    settings = load({**KUBEFLOW, **environment})
    with pytest.raises(SettingsError) as raised:
        engine.dag_runner(settings)
    first, *lines = str(raised.value).splitlines()
    assert "other machines" in first
    assert len(lines) == len(told)
    assert all(re.search(words, line) for words, line in zip(told, lines, strict=True)), lines


def test_a_path_on_a_volume_that_the_steps_mount_will_do(tmp_path: Path) -> None:
    kubeflow.check(load(with_volumes(tmp_path, PIPELINE_ROOT="/runs/bikes", DATA="/data/trips.csv")))
    kubeflow.check(load(with_volumes(tmp_path, PIPELINE_ROOT="gs://bucket/root", DATA="/runs/trips.csv")))
    with pytest.raises(SettingsError, match=r"DATA=/scratch/trips\.csv: the steps do not see"):
        kubeflow.check(load(with_volumes(tmp_path, PIPELINE_ROOT="/runs/bikes", DATA="/scratch/trips.csv")))
    with pytest.raises(
        SettingsError, match=r"DATA=/data: is the volume; name the file in it, such as /data/trips\.csv"
    ):
        kubeflow.check(load(with_volumes(tmp_path, PIPELINE_ROOT="/runs/bikes", DATA="/data")))


def test_a_step_whose_description_is_too_long_for_an_argument_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    groups = f"{VOLUMES}groups: [{{name: a, env: {{TEXT: {'x' * 130_000}}}}}]\n"
    settings = load(with_volumes(tmp_path, groups, PIPELINE_ROOT="gs://bucket/root", DATA="gs://bucket/trips.csv"))
    with pytest.raises(SettingsError, match=r"the step distributedtuner is described by 1[34]\d,\d{3} bytes"):
        engine.dag_runner(settings).run(pipeline.create_pipeline(settings))


@dataclasses.dataclass(frozen=True)
class Image:
    """A folder that holds the project as an image has it, and a folder in which a step starts.

    Attributes:
      packages: what the wheel holds.
      home: has nothing in it.
      environment: of a step.
      store: the metadata of all steps.
    """

    packages: Path
    home: Path
    environment: dict[str, str]
    store: ml_metadata.MetadataStore

    def run(self, workflow: dict[str, Any], step: str) -> Finished:
        """Runs a step of the workflow with the parameters' defaults, as Argo fills them in."""
        (template,) = [one for one in workflow["spec"]["templates"] if one["name"] == step]
        values = {item["name"]: item["value"] for item in workflow["spec"]["arguments"]["parameters"]}
        command = [
            re.sub(r"\{\{inputs\.parameters\.([^}]+)\}\}", lambda found: str(values[found[1]]), text)
            for text in (*template["container"]["command"], *template["container"]["args"])
        ]
        assert command[0] == "python"
        command = [sys.executable, *command[1:]]
        # In a container, that is the image's root.
        command[command.index("--metadata_ui_path") + 1] = str(self.home / "ui.json")
        ended = subprocess.run(
            command,
            cwd=self.home,
            env={**self.environment, "PYTHONPATH": str(self.packages), "WORKFLOW_ID": "run"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=240,
            check=False,
        )
        return Finished(ended.returncode, ended.stdout)


@pytest.fixture
def image(tmp_path: Path, gcs: Gcs) -> Iterator[Image]:
    """The packages of the wheel, a bucket and a metadata store."""
    (tmp_path / "wheel").mkdir()
    with zipfile.ZipFile(wheel.build(wheel.tracked(), tmp_path / "wheel")) as packed:
        packed.extractall(tmp_path / "packages")
    (tmp_path / "home").mkdir()
    with metadata_server.serving() as (store, found):
        environment = {
            **gcs.environment,
            # The bucket is behind a proxy's name; the metadata are not.
            "no_grpc_proxy": "127.0.0.1,localhost",
            **found,
            "HOME": str(tmp_path / "home"),
        }
        yield Image(tmp_path / "packages", tmp_path / "home", environment, store)


@pytest.mark.timeout(600)
def test_steps_run_where_there_is_only_what_the_image_has(
    image: Image, gcs: Gcs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sample = tmp_path / "sample" / "trips.csv"
    sample.parent.mkdir()
    sample_data.write_csv(sample, 200)
    gcs.upload(sample.parent, "data")
    monkeypatch.chdir(tmp_path)
    # Beam writes to a bucket by batches of requests, which the bucket here does not know: so the root is on a volume.
    volume = tmp_path / "volume"
    more = {"PIPELINE_ROOT": f"{volume}/root", "DATA": KUBEFLOW["DATA"]}
    settings = load(with_volumes(tmp_path, VOLUMES.replace("/runs", str(volume)), **more))
    engine.dag_runner(settings).run(pipeline.create_pipeline(settings))
    text = (tmp_path / "bikes.yaml").read_text(encoding="utf-8")
    for machine in (PROJECT, Path.home(), settings.runs_dir):
        found = re.search(rf"(?<![\w/]){re.escape(str(machine))}\b.*", text)
        assert not found, f"a path of this machine means nothing in the image: {found[0]}"
    workflow = yaml.safe_load(text)

    for step in ("importschemagen", "examplegen"):
        ended = image.run(workflow, step)
        assert ended.code == 0, ended.output
    assert [execution.last_known_state for execution in image.store.get_executions()] == [
        metadata_store_pb2.Execution.COMPLETE,
        metadata_store_pb2.Execution.COMPLETE,
    ]
    artifacts = {artifact.type: Path(artifact.uri) for artifact in image.store.get_artifacts()}
    assert (artifacts["Schema"] / "schema.pbtxt").read_bytes() == offline.SCHEMA_PATH.read_bytes()
    written = [str(path) for path in artifacts["Examples"].rglob("*.gz")]
    assert sum(1 for _ in tf.data.TFRecordDataset(written, compression_type="GZIP")) == 200

    # TFX marks this one as failed and goes home: its input has not been made.
    ended = image.run(workflow, "examplevalidator")
    assert ended.code == ExitCode.FAILED
    assert re.search(r"^ExampleValidator failed: .*min_count = 1 but only got 0 artifacts", ended.output, re.MULTILINE)
