"""pip's settings, read without pip."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from scripts.bootstrap import pip_settings


@pytest.fixture
def user_file(tmp_path: Path) -> Path:
    """A pip.conf as a user has it, under a home folder of the test's own."""
    path = tmp_path / ".config" / "pip" / "pip.conf"
    path.parent.mkdir(parents=True)
    path.write_text("[global]\nindex-url = http://global.test/simple/\n[install]\nfind-links = one two\n")
    return path


def test_the_environment_wins_over_files(tmp_path: Path, user_file: Path) -> None:
    environ = {"HOME": str(tmp_path)}
    assert pip_settings.setting("index-url", environ) == "http://global.test/simple/"
    in_environment = {**environ, "PIP_INDEX_URL": "http://env.test/x"}
    assert pip_settings.setting("index-url", in_environment) == "http://env.test/x"


def test_the_file_named_in_the_environment_wins_over_the_users(tmp_path: Path, user_file: Path) -> None:
    explicit = tmp_path / "pip.ini"
    explicit.write_text("[install]\nindex-url = http://explicit.test\n")
    environ = {"HOME": str(tmp_path), "PIP_CONFIG_FILE": str(explicit)}
    assert pip_settings.setting("index-url", environ) == "http://explicit.test"


def test_dev_null_switches_the_files_off(tmp_path: Path, user_file: Path) -> None:
    environ = {"HOME": str(tmp_path), "PIP_CONFIG_FILE": "/dev/null"}
    assert pip_settings.setting("index-url", environ) is None


def test_a_broken_file_sets_nothing(tmp_path: Path, user_file: Path) -> None:
    broken = tmp_path / "broken.conf"
    broken.write_text("no section = here")
    environ = {"HOME": str(tmp_path), "PIP_CONFIG_FILE": str(broken)}
    assert pip_settings.setting("index-url", environ) == "http://global.test/simple/"


def test_it_reads_what_pip_reads(tmp_path: Path, user_file: Path) -> None:
    environ = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
    pip = subprocess.run(
        [sys.executable, "-m", "pip", "config", "get", "global.index-url"],
        env=environ,
        capture_output=True,
        text=True,
        check=True,
    )
    assert pip_settings.setting("index-url", environ) == pip.stdout.strip()


def test_uv_is_told_and_its_own_settings_win(tmp_path: Path, user_file: Path) -> None:
    environ = {"HOME": str(tmp_path), "XDG_CONFIG_DIRS": str(tmp_path / "none"), "PIP_CERT": "/ca.pem"}
    told = pip_settings.for_uv(environ)
    assert told["UV_DEFAULT_INDEX"] == "http://global.test/simple/"
    assert told["UV_FIND_LINKS"] == "one,two"
    assert told["SSL_CERT_FILE"] == "/ca.pem"
    assert "UV_DEFAULT_INDEX" not in pip_settings.for_uv({**environ, "UV_DEFAULT_INDEX": "http://own.test"})
    assert "UV_DEFAULT_INDEX" not in pip_settings.for_uv({**environ, "UV_INDEX_URL": "http://own.test"})
