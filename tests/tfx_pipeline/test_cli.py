"""The command line in processes of its own: refusals before anything runs, and the commands after a run."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

import httpx
import pytest

from tests.tfx_pipeline.home import Finished, Home
from tfx_pipeline import settings_table
from tfx_pipeline.errors import ExitCode
from tfx_pipeline.run import serving, workspace
from tfx_pipeline.settings import PROJECT

ROW = (
    "600,1,na,1690848000.0,3,2,51.4,-0.12,51.5,-0.11,455.5,POINT(-0.12 51.49)POINT(-0.11 51.5),0.0,74.8,57.1,64.4,54.7"
)
HEADER = (
    "duration,end_station_id,bike_id,ts,day_of_week,start_station_id,start_latitude,start_longitude,end_latitude,"
    "end_longitude,euclidean,loc_cross,prcp,max,min,temp,dewp"
)


def csv(folder: Path, *lines: str) -> str:
    path = folder / "trips.csv"
    path.write_text("\n".join(lines), encoding="utf-8")
    return str(path)


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([], "is empty"),
        ([HEADER.replace("temp,", ""), ROW], "lacks the column 'temp'"),
        ([HEADER, *[ROW] * 150, ROW.replace("64.4", "mild")], "line 152, column 'temp': 'mild' is not a number"),
        (None, "there is no such file"),
    ],
)
def test_bad_data_is_refused_before_anything_runs(
    own_home: Home, tmp_path: Path, lines: list[str] | None, expected: str
) -> None:
    data = str(tmp_path / "absent.csv") if lines is None else csv(tmp_path, *lines)
    finished = own_home.call(DATA=data)
    assert finished.code == ExitCode.USAGE
    assert expected in finished.output
    assert data in finished.output
    assert "Traceback" not in finished.output
    assert not (own_home.directory / "metadata").exists()


def test_wrong_settings_are_refused(own_home: Home) -> None:
    finished = own_home.call(WORKERS="0", TOP_N="x")
    assert finished.code == ExitCode.USAGE
    assert "WORKERS='0': must be a whole number, 1 to 256" in finished.output
    assert "TOP_N='x'" in finished.output
    assert "Traceback" not in finished.output


def test_kubeflow_is_compiled_and_not_run(own_home: Home) -> None:
    finished = own_home.call(ENGINE="kubeflow")
    assert finished.code == ExitCode.USAGE
    assert "tfx pipeline compile --engine kubeflow" in finished.output


def test_a_second_run_in_the_same_directory_is_refused_at_once(own_home: Home) -> None:
    with workspace.locked(own_home.settings(RUN_ID="holder")):
        finished = own_home.call()
    assert finished.code == ExitCode.BUSY
    assert re.search(rf"already going on in {own_home.directory}: run holder since .*, process {os.getpid()}",
                     finished.output)  # fmt: skip


def test_a_directory_that_cannot_be_written(own_home: Home) -> None:
    finished = own_home.call(RUNS_DIR="/proc/runs")
    assert finished.code == ExitCode.FAILED
    assert "/proc/runs: cannot be written" in finished.output
    assert "Traceback" not in finished.output


@pytest.mark.parametrize("command", ["serve", "report"])
def test_without_a_run_there_is_nothing_to_show(own_home: Home, command: str) -> None:
    finished = own_home.call(["-m", "tfx_pipeline", command])
    assert finished.code == ExitCode.FAILED
    assert "make run" in finished.output
    assert "Traceback" not in finished.output


def test_settings_prints_the_document(own_home: Home) -> None:
    finished = own_home.call(["-m", "tfx_pipeline", "settings"])
    assert finished == Finished(0, settings_table.markdown())


def test_runner_tells_an_error_in_the_same_way(own_home: Home) -> None:
    finished = own_home.call([str(PROJECT / "runner.py")], WORKERS="0")
    assert finished.code == ExitCode.USAGE
    assert "WORKERS='0'" in finished.output
    assert "Traceback" not in finished.output


@pytest.mark.usefixtures("alone")
@pytest.mark.xdist_group("pipeline")
@pytest.mark.timeout(900)
class TestAfterARun:
    def test_serve_keeps_the_last_model_up(self, home: Home, first_run: Finished) -> None:
        process = home.start(["-m", "tfx_pipeline", "serve"], REST_PORT="0", GRPC_PORT="0")
        try:
            assert process.stdout is not None
            url = next(found[1] for line in process.stdout if (found := re.search(r"REST (\S+):predict", line)))
            (version,) = httpx.get(url, trust_env=False).json()["model_version_status"]
            assert version["state"] == "AVAILABLE"
            assert int(version["version"]) == serving.pushed_versions(home.settings())[-1]
            os.killpg(process.pid, signal.SIGINT)
            process.communicate(timeout=30)
            assert process.returncode == ExitCode.OK
        finally:
            process.kill()

    def test_tensorboard_shows_the_runs(self, home: Home, first_run: Finished) -> None:
        process = home.start(["-m", "tfx_pipeline", "tensorboard"], TENSORBOARD_PORT="0")
        try:
            assert process.stdout is not None
            url = next(found[0] for line in process.stdout if (found := re.search(r"http://127\.0\.0\.1:\d+/", line)))
            assert httpx.get(f"{url}data/logdir", trust_env=False).json() == {"logdir": home.settings().root}
            os.killpg(process.pid, signal.SIGINT)
            process.communicate(timeout=30)
        finally:
            process.kill()

    def test_report_opens_the_report_in_the_browser(self, home: Home, first_run: Finished) -> None:
        finished = home.call(["-m", "tfx_pipeline", "report"], BROWSER="echo opened %s")
        assert finished.code == ExitCode.OK
        path, opened = finished.output.split("\n")[:2]
        assert Path(path).is_file()
        assert opened == f"opened {Path(path).as_uri()}"
