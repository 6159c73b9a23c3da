"""The schema of a package, by the package's name alone."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
from tfx.types import standard_artifacts, standard_component_specs

from custom_components import package_file
from custom_components.packaged_schema import executor
from custom_components.packaged_schema.component import PackagedSchema
from models.bikes import offline

SCHEMA = 'feature { name: "temp" type: FLOAT }\n'


def copied(folder: Path, package: str, file: str) -> str:
    """What the node puts out, started as a step is: with the parameters of the component."""
    node = PackagedSchema(package_file.name_of(package, file))
    output = standard_artifacts.Schema()
    output.uri = str(folder / "output")
    Path(output.uri).mkdir()
    executor.Executor().Do({}, {standard_component_specs.SCHEMA_KEY: [output]}, dict(node.exec_properties))
    return (Path(output.uri) / "schema.pbtxt").read_text(encoding="utf-8")


def test_the_file_is_found_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert copied(tmp_path, "models.bikes", "schema/schema.pbtxt") == offline.SCHEMA_PATH.read_text(encoding="utf-8")


def test_a_package_may_be_packed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with zipfile.ZipFile(tmp_path / "packed.zip", "w") as packed:
        packed.writestr("packed_model/__init__.py", "")
        packed.writestr("packed_model/schema/schema.pbtxt", SCHEMA)
    monkeypatch.syspath_prepend(str(tmp_path / "packed.zip"))
    assert copied(tmp_path, "packed_model", "schema/schema.pbtxt") == SCHEMA


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModuleNotFoundError, match=r"no_such_model"):
        copied(tmp_path, "no_such_model", "schema.pbtxt")
    (tmp_path / "output").rmdir()
    with pytest.raises(FileNotFoundError, match=r"the package models\.bikes of this machine or image has no such file"):
        copied(tmp_path, "models.bikes", "absent.pbtxt")
