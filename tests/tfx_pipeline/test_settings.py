"""Settings from environment variables."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfx_pipeline import settings
from tfx_pipeline.errors import ExitCode, SettingsError
from tfx_pipeline.settings import PROJECT, Engine, Settings, load


def test_defaults_are_valid_and_live_in_the_project() -> None:
    current = load({})
    assert current.engine is Engine.LOCAL
    assert current.runs_dir == PROJECT / "runs"
    assert Path(current.csv).is_relative_to(current.runs_dir)
    assert current.metadata_path.is_relative_to(current.runs_dir)


def test_environment_is_read_by_upper_case_name_only() -> None:
    current = load({"WORKERS": "5", "trials": "77", "PATH": "/bin"})
    assert current.workers == 5
    assert current.trials == load({}).trials


def test_empty_counts_as_not_set() -> None:
    current = load({"DATA": "", "TRIALS": "", "RUN_ID": ""})
    assert current.data is None
    assert current.trials == load({}).trials
    assert current.run_id


def test_each_wrong_value_is_named_with_its_range() -> None:
    with pytest.raises(SettingsError) as raised:
        load({"WORKERS": "0", "ENGINE": "spark", "MAX_MAE_SECONDS": "much", "RUN_ID": "a b"})
    lines = str(raised.value).splitlines()[1:]
    assert len(lines) == 4
    assert any("WORKERS='0'" in line and "1 to 256" in line for line in lines)
    assert any("ENGINE='spark'" in line and "`beam`" in line for line in lines)
    assert any("MAX_MAE_SECONDS='much'" in line and "above 0" in line for line in lines)
    assert any("RUN_ID='a b'" in line for line in lines)
    assert raised.value.exit_code == ExitCode.USAGE


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"TOP_N": "9", "TRIALS": "8"}, "TOP_N=9 is more than TRIALS=8"),
        ({"MODEL": "nope"}, "MODEL=nope: there is no models/nope/schema/schema.pbtxt"),
        ({"SOURCE": "bigquery"}, "SOURCE=bigquery needs BIGQUERY_PROJECT"),
        ({"SOURCE": "bigquery", "BIGQUERY_PROJECT": "p"}, "SOURCE=bigquery needs BIGQUERY_TEMP"),
        ({"SOURCE": "bigquery", "BIGQUERY_PROJECT": "p", "BIGQUERY_TEMP": "/tmp"}, "must begin with gs://"),
    ],
)
def test_contradictions_are_named(environment: dict[str, str], expected: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(expected)):
        load(environment)


@pytest.mark.parametrize("value", ["nan", "inf", "-1", "0"])
def test_limit_of_the_gate_is_a_positive_finite_number(value: str) -> None:
    with pytest.raises(SettingsError, match="MAX_MAE_SECONDS"):
        load({"MAX_MAE_SECONDS": value})


@given(name=st.sampled_from(sorted(Settings.__fields__)), text=st.text(st.characters(exclude_characters="\0")))
def test_any_text_gives_settings_or_a_message_that_names_the_variable(name: str, text: str) -> None:
    try:
        load({name.upper(): text})
    except SettingsError as error:
        assert name.upper() in str(error)


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        load({}).workers = 3


def test_paths_become_absolute() -> None:
    current = load({"DATA": "trips.csv", "PIPELINE_ROOT": "some/root"})
    assert (current.csv, current.root) == (str(Path.cwd() / "trips.csv"), str(Path.cwd() / "some/root"))
    assert not current.csv.remote


def test_addresses_in_a_bucket_stay_as_they_are() -> None:
    current = load({"DATA": "gs://bucket/folder/trips.csv", "PIPELINE_ROOT": "gs://bucket/"})
    assert (current.csv, current.root) == ("gs://bucket/folder/trips.csv", "gs://bucket")
    assert current.csv.remote and current.root.remote


@pytest.mark.parametrize("engine", ["kubeflow", "local"])
@pytest.mark.parametrize(
    ("data", "told"),
    [
        ("gs://b", "names a bucket; name the file in it, such as gs://b/trips.csv"),
        ("gs://b/", "names a bucket; name the file in it, such as gs://b/trips.csv"),
        ("gs://b/folder/", "names a folder; name the file in it, such as gs://b/folder/trips.csv"),
        ("trips/", "names a folder; name the file in it, such as trips/trips.csv"),
    ],
)
def test_data_is_a_file_by_its_form(engine: str, data: str, told: str) -> None:
    with pytest.raises(SettingsError) as raised:
        load({"ENGINE": engine, "DATA": data, "TRIALS": "0"})
    assert f"  DATA={data}: {told}" in str(raised.value).splitlines()
    assert "TRIALS='0'" in str(raised.value), "with the other wrong settings"


@pytest.mark.parametrize("name", ["DATA", "PIPELINE_ROOT"])
@pytest.mark.parametrize("address", ["s3://bucket/trips.csv", "https://example.org/trips.csv", "gs:///trips.csv"])
def test_other_addresses_are_refused(name: str, address: str) -> None:
    with pytest.raises(SettingsError, match=rf"{name}='{address}': must be a path or an address `gs://…`"):
        load({name: address})


@pytest.mark.parametrize(
    ("environment", "told"),
    [
        ({"DATA": "/data/trips[1].csv"}, r"DATA=/data/trips\[1\].csv: TFX takes \[ \] in a path for a pattern"),
        ({"DATA": "gs://bucket/{SPAN}/trips.csv"}, r"DATA=.*TFX takes \{ \} in a path"),
        ({"PIPELINE_ROOT": "/runs/what?"}, r"PIPELINE_ROOT=/runs/what\?: TFX takes \? in a path"),
        ({"RUNS_DIR": "/runs *"}, r"RUNS_DIR=/runs \*/pipelines/bikes: TFX takes \* in a path"),
    ],
)
def test_paths_that_tfx_would_take_for_patterns_are_refused(environment: dict[str, str], told: str) -> None:
    with pytest.raises(SettingsError, match=told):
        load(environment)


@pytest.fixture
def another_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A second package in models/, of which there is only the schema."""
    schema = tmp_path / "models" / "bikes_2" / "schema" / "schema.pbtxt"
    schema.parent.mkdir(parents=True)
    schema.write_text("")
    monkeypatch.setattr(settings, "PROJECT", tmp_path)
    return "bikes_2"


def test_all_that_a_pipeline_has_follows_the_model(another_model: str) -> None:
    current = load({"MODEL": another_model})
    assert current.pipeline_name == "bikes-2"
    assert current.root == str(current.runs_dir / "pipelines" / "bikes-2")
    assert current.metadata_path.name == "bikes-2.sqlite"
    assert current.serving_dir == str(current.runs_dir / "serving" / another_model)


def test_a_name_and_a_root_that_are_set_stay_so(another_model: str, tmp_path: Path) -> None:
    current = load({"MODEL": another_model, "PIPELINE_NAME": "other", "PIPELINE_ROOT": str(tmp_path)})
    assert (current.pipeline_name, current.root) == ("other", str(tmp_path))
    assert current.metadata_path.name == "other.sqlite"


def test_kubeflow_serves_from_below_the_pipeline_root() -> None:
    current = load({"ENGINE": "kubeflow", "PIPELINE_ROOT": "gs://bucket/root"})
    assert current.serving_dir == "gs://bucket/root/serving/bikes"


def test_run_ids_are_valid_and_in_the_order_of_time() -> None:
    first, second = settings.new_run_id(), settings.new_run_id()
    assert first <= second
    assert load({"RUN_ID": first}).run_id == first
