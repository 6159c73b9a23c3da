"""A package index read without pip, from a server on the loopback."""

from __future__ import annotations

import platform
from pathlib import Path

import pytest

from scripts.bootstrap import package_index
from scripts.bootstrap.package_index import IndexUnreadable
from tests.scripts.bootstrap.conftest import Index


def test_the_wheel_of_the_wanted_version_is_downloaded(index: Index, tmp_path: Path) -> None:
    wheel = package_index.download(index.url + "/", "uv", "99.2.0", tmp_path)
    assert wheel.parent == tmp_path and wheel.name.startswith("uv-99.2.0-")
    assert wheel.read_bytes() == (index.folder / wheel.name).read_bytes()


def test_the_user_and_password_of_the_address_are_sent_and_never_told(index: Index, tmp_path: Path) -> None:
    index.require("me@corp", "s3cret")
    with pytest.raises(IndexUnreadable, match="401"):
        package_index.download(index.url, "uv", "99.1.0", tmp_path)
    whole = index.url.replace("://", "://me%40corp:s3cret@")
    assert package_index.download(whole, "uv", "99.1.0", tmp_path).exists()
    wrong = whole.replace("s3cret", "wr0ng")
    with pytest.raises(IndexUnreadable) as refused:
        package_index.download(wrong, "uv", "99.1.0", tmp_path)
    assert "wr0ng" not in str(refused.value)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://user:secret@127.0.0.1:1/simple", r"^127\.0\.0\.1:1: .*refused"),
        ("http://127.0.0.1:port/simple", "port"),
        ("no address", "unknown url type"),
    ],
)
def test_an_index_that_cannot_be_read_says_why(url: str, reason: str, tmp_path: Path) -> None:
    with pytest.raises(IndexUnreadable, match=reason) as unreadable:
        package_index.download(url, "uv", "1.0", tmp_path)
    assert "secret" not in str(unreadable.value)


def test_a_version_that_it_does_not_hold_is_told(index: Index, tmp_path: Path) -> None:
    with pytest.raises(IndexUnreadable, match=r"no wheel of uv 1\.0 for"):
        package_index.download(index.url, "uv", "1.0", tmp_path)


def test_the_wheel_is_chosen_by_version_and_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    names = [
        "uv-1.2.3.tar.gz",
        "uv-1.2.3-py3-none-win_amd64.whl",
        "uv-1.2.3-py3-none-musllinux_1_1_x86_64.whl",
        "uv-1.2.30-py3-none-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
        "uv-1.2.3-py3-none-manylinux_2_17_aarch64.manylinux2014_aarch64.whl",
        "uv-1.2.3-py3-none-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
        "uv-1.2.3-py3-none-macosx_11_0_arm64.whl",
    ]
    urls = [f"http://index.test/files/{name}#sha256=0" for name in names]
    for system, machine, libc, place in (
        ("Linux", "x86_64", "glibc", 5),
        ("Linux", "aarch64", "glibc", 4),
        ("Linux", "x86_64", "", 2),
        ("Darwin", "arm64", "", 6),
    ):
        monkeypatch.setattr(platform, "system", lambda system=system: system)
        monkeypatch.setattr(platform, "machine", lambda machine=machine: machine)
        monkeypatch.setattr(platform, "libc_ver", lambda libc=libc: (libc, "2.36"))
        assert package_index.choose_wheel(urls, "uv", "1.2.3") == urls[place]
    with pytest.raises(LookupError, match=r"no wheel of uv 4\.5\.6"):
        package_index.choose_wheel(urls, "uv", "4.5.6")
