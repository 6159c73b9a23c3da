"""The rules for swapping, with models that are text files: the loader is an argument."""

from __future__ import annotations

import logging
import shutil
import threading
from pathlib import Path

import pytest

from model_server.errors import ServingError
from model_server.versions import Versions
from tests.model_server.helpers import eventually


class TextModel:
    def __init__(self, text: str) -> None:
        self.text = text
        self.closed = False

    def close(self) -> None:
        assert not self.closed
        self.closed = True


def load(directory: Path) -> TextModel:
    text = (directory / "saved_model.pb").read_text()
    if text == "broken":
        raise ValueError("it is broken")
    return TextModel(text)


def put(base_path: Path, version: int, text: str) -> Path:
    directory = base_path / str(version)
    directory.mkdir(exist_ok=True)
    (directory / "saved_model.pb").write_text(text)
    return directory


def follow(base_path: Path, *, settle_seconds: float = 0.0) -> Versions[TextModel]:
    return Versions("m", base_path, load, settle_seconds=settle_seconds)


def served(versions: Versions[TextModel]) -> tuple[int, str]:
    with versions.lease() as (version, model):
        return version, model.text


def is_closed(model: TextModel) -> bool:
    return model.closed  # a function, since its answer changes between two calls


def states(versions: Versions[TextModel]) -> dict[int, str]:
    return {state.version: state.state for state in versions.states()}


def test_the_newest_version_is_served_and_the_one_before_it_let_go(tmp_path: Path) -> None:
    put(tmp_path, 1, "one")
    put(tmp_path, 2, "two")
    versions = follow(tmp_path)
    versions.poll()
    assert served(versions) == (2, "two")
    put(tmp_path, 10, "ten")
    versions.poll()
    assert served(versions) == (10, "ten")
    assert states(versions) == {10: "AVAILABLE", 2: "END"}
    with pytest.raises(ServingError, match=r"Servable not found for request: Specific\(m, 2\)"), versions.lease(2):
        pass


def test_the_old_version_stays_until_its_last_request_has_ended(tmp_path: Path) -> None:
    put(tmp_path, 1, "one")
    versions = follow(tmp_path)
    versions.poll()
    with versions.lease() as (_, first):
        with versions.lease() as (_, second):
            put(tmp_path, 2, "two")
            versions.poll()
            assert served(versions) == (2, "two")
            assert states(versions) == {2: "AVAILABLE", 1: "UNLOADING"}
        assert first is second
        assert not is_closed(first)
        assert versions.in_use == 1
    assert is_closed(first)
    assert states(versions) == {2: "AVAILABLE", 1: "END"}


def test_a_request_that_fails_gives_its_lease_back(tmp_path: Path) -> None:
    put(tmp_path, 1, "one")
    versions = follow(tmp_path)
    versions.poll()
    with pytest.raises(KeyError), versions.lease():
        raise KeyError
    assert versions.in_use == 0


def test_a_broken_version_is_told_once_and_the_old_one_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    put(tmp_path, 1, "one")
    versions = follow(tmp_path)
    versions.poll()
    put(tmp_path, 2, "broken")
    with caplog.at_level(logging.WARNING):
        for _ in range(5):
            versions.poll()
    assert served(versions) == (1, "one")
    (told,) = caplog.messages
    assert "Cannot load version 2 of m" in told
    assert "it is broken" in told
    assert "Version 1 goes on serving" in told
    assert [state.error for state in versions.states(2)] == ["ValueError: it is broken"]
    put(tmp_path, 2, "mended")
    versions.poll()
    assert served(versions) == (2, "mended")


def test_a_broken_version_is_not_loaded_at_every_poll(tmp_path: Path) -> None:
    tries = []

    def load_and_count(path: Path) -> TextModel:
        tries.append(path)
        return load(path)

    put(tmp_path, 1, "broken")
    versions = Versions("m", tmp_path, load_and_count, settle_seconds=0.0)
    for _ in range(5):
        versions.poll()
    assert len(tries) == 1


def test_an_older_version_serves_while_the_newest_is_broken(tmp_path: Path) -> None:
    put(tmp_path, 1, "one")
    put(tmp_path, 2, "broken")
    versions = follow(tmp_path)
    versions.poll()
    assert served(versions) == (1, "one")
    assert states(versions) == {2: "END", 1: "AVAILABLE"}


def test_a_directory_that_still_changes_is_left_alone(tmp_path: Path) -> None:
    put(tmp_path, 1, "one")
    versions = follow(tmp_path, settle_seconds=0.3)
    versions.poll()
    assert states(versions) == {1: "START"}

    def poll() -> bool:
        versions.poll()
        return states(versions) == {1: "AVAILABLE"}

    eventually(poll, "a quiet directory is loaded")


def test_a_version_that_changes_while_it_is_loaded_is_not_served(tmp_path: Path) -> None:
    directory = put(tmp_path, 1, "one")
    loaded = []

    def load_while_copied(path: Path) -> TextModel:
        loaded.append(load(path))
        (directory / "assets").write_text("x" * len(loaded) if len(loaded) < 3 else "xx")
        return loaded[-1]

    versions = Versions("m", tmp_path, load_while_copied, settle_seconds=0.0)
    versions.poll()
    assert states(versions) == {1: "START"}
    assert loaded[0].closed


def test_a_served_version_whose_files_change_is_loaded_again(tmp_path: Path) -> None:
    put(tmp_path, 1, "half")
    versions = follow(tmp_path)
    versions.poll()
    with versions.lease() as (_, half):
        put(tmp_path, 1, "half and half")
        versions.poll()
        assert served(versions) == (1, "half and half")
        assert not is_closed(half)
    assert is_closed(half)
    assert states(versions) == {1: "AVAILABLE"}


def test_a_served_version_that_breaks_on_disk_goes_on_from_memory(tmp_path: Path) -> None:
    put(tmp_path, 1, "one")
    put(tmp_path, 2, "two")
    versions = follow(tmp_path)
    versions.poll()
    (tmp_path / "2" / "saved_model.pb").unlink()
    versions.poll()
    assert served(versions) == (2, "two")
    assert states(versions) == {2: "AVAILABLE"}


def test_a_removed_version_makes_way_for_the_next_older_one(tmp_path: Path) -> None:
    put(tmp_path, 1, "one")
    versions = follow(tmp_path)
    versions.poll()
    put(tmp_path, 2, "two")
    versions.poll()
    shutil.rmtree(tmp_path / "2")
    versions.poll()
    assert served(versions) == (1, "one")
    assert states(versions) == {2: "END", 1: "AVAILABLE"}


def test_the_last_version_removed_leaves_none_but_a_vanished_base_path_changes_nothing(tmp_path: Path) -> None:
    base_path = tmp_path / "base"
    base_path.mkdir()
    put(base_path, 1, "one")
    versions = follow(base_path)
    versions.poll()
    base_path.rename(tmp_path / "elsewhere")
    versions.poll()
    assert served(versions) == (1, "one")
    base_path.mkdir()
    versions.poll()
    with pytest.raises(ServingError, match=r"Servable not found for request: Latest\(m\)"), versions.lease():
        pass
    assert states(versions) == {1: "END"}


def test_an_empty_or_absent_base_path_is_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    versions = follow(tmp_path / "none")
    versions.poll()
    versions.poll()
    assert len(caplog.messages) == 1
    assert "Cannot read the base path" in caplog.messages[0]
    with pytest.raises(ServingError, match=r"Could not find any versions of model m\. There is no version under"):
        versions.states()
    (tmp_path / "none").mkdir()
    versions.poll()
    assert "No versions of m under" in caplog.messages[1]


def test_no_lease_sees_a_closed_model_while_versions_come_and_go(tmp_path: Path) -> None:
    put(tmp_path, 1, "1")
    versions = follow(tmp_path)
    versions.poll()
    stop = threading.Event()
    wrong: list[str] = []

    def use() -> None:
        while not stop.is_set():
            with versions.lease() as (version, model):
                if model.closed or model.text != str(version):
                    wrong.append(f"{version}: {model.text} {model.closed}")

    threads = [threading.Thread(target=use) for _ in range(4)]
    for thread in threads:
        thread.start()
    for version in range(2, 60):
        put(tmp_path, version, str(version))
        versions.poll()
    stop.set()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert served(versions) == (59, "59")
