"""A folder whose content is replaced as a whole."""

from __future__ import annotations

import json
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest

from custom_components.distributed_tuner.worker.resume.folder import CorruptFolder, Folder, remove


@pytest.fixture(params=["local", "ram"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A local folder, and one of a file system that only TensorFlow knows, as buckets are."""
    return str(tmp_path / "folder") if request.param == "local" else f"ram://{tmp_path.name}/{request.node.name}"


def commit(path: str, value: object) -> str:
    folder = Folder(path)
    prefix = folder.new_prefix()
    folder.commit(prefix, value)
    return prefix


def test_the_last_commit_is_read_back(path: str) -> None:
    assert Folder(path).load() is None
    commit(path, {"epoch": 1})
    prefix = commit(path, {"epoch": 2, "best": [np.arange(3), (np.float32(0.1), float("nan"))]})
    loaded = Folder(path).load()
    assert loaded is not None
    value, name = loaded
    assert name == prefix
    assert repr(value) == repr({"epoch": 2, "best": [np.arange(3), (np.float32(0.1), float("nan"))]})


def test_clear_removes_it(path: str) -> None:
    commit(path, 1)
    Folder(path).clear()
    assert Folder(path).load() is None
    Folder(path).clear()
    remove(f"{path}/nothing")


def test_only_the_files_of_the_last_commit_stay(tmp_path: Path) -> None:
    folder = Folder(str(tmp_path))
    for number in range(3):
        prefix = folder.new_prefix()
        Path(f"{prefix}.index").write_text(str(number))
        (tmp_path / f"{Path(prefix).name}_temp").mkdir()
        folder.commit(prefix, {"weights": np.zeros(number)})
    names = sorted(entry.name for entry in tmp_path.iterdir())
    last = Path(prefix).name
    assert names == sorted([f"{last}.index", f"{last}.npz", "record.json"])


def test_two_writers_never_share_a_file(tmp_path: Path) -> None:
    one, other = Folder(str(tmp_path)), Folder(str(tmp_path))
    prefixes = {folder.new_prefix() for folder in (one, other, one, other)}
    assert len(prefixes) == 4


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"[]",
        b"null",
        b'{"format": 2}',
        b'{"format": 1, "name": "x", "arrays": true, "value": "1"}',
        b'{"format": 1, "name": "x", "arrays": false}',
        b'{"format": 1, "name": "x", "arrays": false, "value": "{"}',
        b'{"format": 1, "name": "../x", "arrays": false, "value": "1"}',
    ],
)
def test_damage_is_told(tmp_path: Path, content: bytes) -> None:
    commit(str(tmp_path), {"a": 1})
    (tmp_path / "record.json").write_bytes(content)
    with pytest.raises(CorruptFolder, match=str(tmp_path)):
        Folder(str(tmp_path)).load()


def test_damaged_arrays_are_told(tmp_path: Path) -> None:
    prefix = commit(str(tmp_path), {"a": np.arange(1000)})
    arrays = Path(f"{prefix}.npz")
    arrays.write_bytes(arrays.read_bytes()[:-10])
    with pytest.raises(CorruptFolder):
        Folder(str(tmp_path)).load()


def test_a_pickle_in_the_place_of_arrays_is_not_opened(tmp_path: Path) -> None:
    prefix = commit(str(tmp_path), {"a": np.arange(3)})
    np.savez(f"{prefix}.npz", a0=np.array([print], dtype=object))
    with pytest.raises(CorruptFolder, match="allow_pickle"):
        Folder(str(tmp_path)).load()


def array_file(header: str, data: bytes = b"") -> bytes:
    """An array as NumPy stores one, whatever it says of itself."""
    told = (header.ljust(-(len(header) + 11) % 64 + len(header)) + "\n").encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(told)) + told + data


def described(shape: str) -> str:
    return f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}"


@pytest.mark.parametrize(
    "header",
    [
        *map(described, ("(1000000000000,)", "(9223372036854775807,)", "(99999999999999999999999,)", "(-5,)")),
        *map(described, ("(4294967296, 4294967296, 4294967296)", "(" * 900 + ")" * 900)),
        *("", "(" * 5000, "[" * 200 + "]" * 200),
    ],
    ids=lambda header: f"{header[-40:]} of {len(header)}",
)
def test_arrays_that_say_odd_things_of_themselves_are_told(tmp_path: Path, header: str) -> None:
    prefix = commit(str(tmp_path), {"a": np.arange(3)})
    with zipfile.ZipFile(f"{prefix}.npz", "w") as archive:
        archive.writestr("a0.npy", array_file(header, bytes(24)))
    with pytest.raises(CorruptFolder, match=str(tmp_path)):
        Folder(str(tmp_path)).load()


def test_arrays_that_would_unpack_to_any_size_are_not_unpacked(tmp_path: Path) -> None:
    prefix = commit(str(tmp_path), {"a": np.arange(3)})
    np.savez_compressed(f"{prefix}.npz", a0=np.zeros(10_000_000))
    assert Path(f"{prefix}.npz").stat().st_size < 1_000_000
    with pytest.raises(CorruptFolder, match="packed"):
        Folder(str(tmp_path)).load()


@pytest.mark.parametrize("opening", ["[", '{"a":', '{"list":['])
def test_a_record_that_is_nested_without_end_is_told(tmp_path: Path, opening: str) -> None:
    for deep in (
        opening * 100_000,
        json.dumps({"format": 1, "name": "x", "arrays": False, "value": opening * 100_000}),
    ):
        (tmp_path / "record.json").write_text(deep)
        with pytest.raises(CorruptFolder, match=str(tmp_path)):
            Folder(str(tmp_path)).load()


def test_a_failed_commit_leaves_the_last_one(tmp_path: Path) -> None:
    commit(str(tmp_path), {"a": 1})
    folder = Folder(str(tmp_path))
    prefix = folder.new_prefix()
    Path(f"{prefix}.tmp").mkdir()  # in the way of the record
    with pytest.raises(Exception, match=r"directory|\.tmp"):
        folder.commit(prefix, {"a": 2})
    loaded = Folder(str(tmp_path)).load()
    assert loaded is not None and loaded[0] == {"a": 1}
    assert json.loads((tmp_path / "record.json").read_text())["format"] == 1
