"""The settings that choose where the search runs, from the environment to the step of the compiled workflow."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from tfx.dsl.compiler.compiler import Compiler

from custom_components.distributed_tuner import keys
from custom_components.distributed_tuner.cluster.kube.settings.options import KubernetesOptions
from tests.tfx_pipeline.home import Home
from tfx_pipeline import nodes, pipeline
from tfx_pipeline.errors import SettingsError
from tfx_pipeline.settings import PROJECT, Settings, load

OPTIONS = """
namespace: ml
volumes:
  - {name: runs, mount_path: /runs, source: {persistentVolumeClaim: {claimName: runs}}}
  - {name: scratch, mount_path: /scratch, source: {emptyDir: {}}}
  - {name: data, mount_path: /data, source: {persistentVolumeClaim: {claimName: data}}, read_only: true}
groups:
  - {name: spot, count: 3, spot: true, gpu: {count: 1, type: nvidia-l4}, priority_class: low}
  - {name: on-demand, tolerations: [{key: pool, value: gpus}]}
"""


def environment(tmp_path: Path, text: str = OPTIONS, **more: str) -> dict[str, str]:
    file = tmp_path / "search.yaml"
    file.write_text(text)
    return {"CLUSTER": "kubernetes", "CLUSTER_OPTIONS": str(file), "PIPELINE_ROOT": "/runs/bikes", **more}


def argument_of(settings: Settings) -> Any:
    """What the compiled pipeline hands to the tuner's step."""
    for node in Compiler().compile(pipeline.create_pipeline(settings)).nodes:
        if node.pipeline_node.node_info.id == nodes.SEARCH:
            parameters = node.pipeline_node.parameters.parameters
            return json.loads(parameters[keys.CLUSTER].field_value.string_value)
    raise AssertionError("no search")


def test_without_the_setting_the_search_runs_where_the_step_does() -> None:
    assert argument_of(load({})) == {"kind": "local"}


def chosen(values: dict[str, str]) -> KubernetesOptions:
    """The component's argument."""
    argument = load(values).cluster_argument
    assert argument is not None
    return argument


def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "options.yaml")
    with pytest.raises(SettingsError, match=r"CLUSTER_OPTIONS=\S+: is no regular file.* write it to a file first"):
        load({**environment(tmp_path), "CLUSTER_OPTIONS": str(tmp_path / "options.yaml")})


def test_the_file_reaches_the_step_with_the_workflows_image_in_it(tmp_path: Path) -> None:
    argument = argument_of(load(environment(tmp_path, KUBEFLOW_IMAGE="registry.example/tuner:1")))
    assert argument.pop("kind") == "kubernetes"
    assert argument["image"] == "registry.example/tuner:1"
    expected = {"image": "registry.example/tuner:1", **yaml.safe_load(OPTIONS)}
    assert KubernetesOptions.from_mapping(argument) == KubernetesOptions.from_mapping(expected)


def test_an_image_in_the_file_wins_and_json_is_read_too(tmp_path: Path) -> None:
    text = json.dumps({**yaml.safe_load(OPTIONS), "kind": "kubernetes", "image": "other:2"})
    assert chosen(environment(tmp_path, text)).image == "other:2"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (OPTIONS.replace("count: 3", "cuont: 3"), r"groups\[0\]\.cuont: unknown setting"),
        (OPTIONS.replace("count: 3", "count: many"), r"groups\[0\]\.count: expected a whole number, got 'many'"),
        (OPTIONS.replace("count: 3", "cpu: 2"), r"groups\[0\]\.cpu: expected a text, got 2"),
        (OPTIONS.replace("/runs", "/elsewhere"), "chief: no volume .* below /runs/bikes .*PIPELINE_ROOT"),
        (OPTIONS.replace("persistentVolumeClaim: {claimName: runs}", "emptyDir: {}"), "chief: no volume .* and shares"),
        (OPTIONS.replace("claimName: runs}}", "claimName: runs}}, read_only: true"), "chief: no volume"),
        ("kind: slurm", "kind: 'slurm'"),
        ("- a\n- b", "must hold names and values"),
        ("", "chief: no volume"),
        ("a: [", "neither YAML nor JSON"),
        ("a: !!python/object/apply:os.getcwd []", "neither YAML nor JSON"),
        ("groups: [{count: 0}]", "groups: no group has a worker"),
        ("1: 2", "1: unknown setting"),
    ],
)
def test_what_is_wrong_in_the_file_is_named_with_the_setting(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(SettingsError, match=rf"CLUSTER_OPTIONS={re.escape(str(tmp_path))}/search.yaml: .*{words}"):
        load(environment(tmp_path, text))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"CLUSTER": "slurm"}, "CLUSTER='slurm': must be one of `local`, `kubernetes`"),
        ({"CLUSTER_OPTIONS": ""}, "CLUSTER=kubernetes needs CLUSTER_OPTIONS"),
        ({"CLUSTER_OPTIONS": "/no/such"}, "CLUSTER_OPTIONS=/no/such: cannot be read: No such file"),
        ({"CLUSTER": "local"}, "is for CLUSTER=kubernetes"),
        ({"PIPELINE_ROOT": "/elsewhere"}, "no volume .* below /elsewhere .*PIPELINE_ROOT"),
    ],
)
def test_settings_that_do_not_fit_are_named(tmp_path: Path, change: dict[str, str], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        load({**environment(tmp_path), **change})


def test_a_pipeline_root_in_a_bucket_needs_no_volume(tmp_path: Path) -> None:
    current = load(environment(tmp_path, "namespace: ml", PIPELINE_ROOT="gs://bucket/root"))
    assert current.cluster_argument == KubernetesOptions(namespace="ml", image=current.kubeflow_image)


def test_the_example_of_the_documentation_is_right(tmp_path: Path) -> None:
    document = (PROJECT / "docs" / "kubernetes.md").read_text("utf-8")
    (example,) = re.findall(r"```yaml\n(.*?)```", document, re.DOTALL)
    assert {group.name for group in chosen(environment(tmp_path, example)).groups} == {"spot", "on-demand"}


@pytest.mark.timeout(180)
def test_the_compiled_workflow_carries_it_and_mounts_the_volumes(own_home: Home, tmp_path: Path) -> None:
    more = environment(tmp_path, ENGINE="kubeflow", SOURCE="bigquery", BIGQUERY_PROJECT="p", BIGQUERY_TEMP="gs://b/t")
    arguments = ("pipeline", "compile", "--engine", "kubeflow", "--pipeline_path", str(PROJECT / "runner.py"))
    ended = own_home.tfx(*arguments, cwd=tmp_path, **more)
    assert ended.code == 0, ended.output
    workflow: dict[str, Any] = yaml.safe_load((tmp_path / "bikes.yaml").read_text(encoding="utf-8"))
    steps = {one["name"]: one for one in workflow["spec"]["templates"] if "container" in one}
    for step in steps.values():
        volumes = {volume["name"]: volume for volume in step["volumes"]}
        assert volumes["runs"]["persistentVolumeClaim"] == {"claimName": "runs"}
        assert "scratch" not in volumes
        mounts = {mount["name"]: mount for mount in step["container"]["volumeMounts"]}
        # TFX sets it. By its pod the search finds its owner; a host name is cut after 63 characters.
        named = [variable for variable in step["container"]["env"] if variable["name"] == "KFP_POD_NAME"]
        assert named == [{"name": "KFP_POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]
        assert mounts["runs"]["mountPath"] == "/runs" and mounts["data"]["readOnly"] is True
    carried = " ".join(steps[nodes.SEARCH.lower()]["container"]["args"])
    for words in ("nvidia-l4", "on-demand", '\\"namespace\\": \\"ml\\"', '\\"priority_class\\": \\"low\\"'):
        assert words in carried.replace('\\\\"', '\\"'), words
