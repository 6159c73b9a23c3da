"""Reads a package index (PEP 503) without pip, for a Python that has none."""

from __future__ import annotations

import base64
import http.client
import platform
import re
import ssl
import urllib.parse
import urllib.request
from html.parser import HTMLParser
from pathlib import Path
from typing import List, Optional, Tuple

NETWORK_SECONDS = 60


class IndexUnreadable(Exception):
    """The index could not be read, or does not hold what is wanted. The message names the host, never a password."""


def download(index: str, package: str, version: str, folder: Path, certificate: Optional[str] = None) -> Path:
    """Downloads the wheel of `package` that fits this machine. Its checksum is for the caller to verify.

    Args:
        index: the index's address; a user and password in it are sent to its own host alone.
        package: the package's name.
        version: its version.
        folder: where the wheel goes.
        certificate: a file of certificate authorities, the system's if left out.

    Returns:
        The wheel's path.

    Raises:
        IndexUnreadable: it could not be had.
    """
    reader = _Reader(index, certificate)
    page = "{}/{}/".format(reader.address, package)
    links = _Links()
    try:
        links.feed(reader.read(page).decode("utf-8"))
        url = choose_wheel([urllib.parse.urljoin(page, link) for link in links.found], package, version)
        wheel = folder / _file_name(url)
        wheel.write_bytes(reader.read(url))
    except (OSError, ValueError, LookupError, http.client.HTTPException) as error:
        raise IndexUnreadable("{}: {}".format(reader.host, error)) from error
    return wheel


def choose_wheel(urls: List[str], package: str, version: str) -> str:
    """Returns the address among `urls` of the wheel that fits this machine.

    Raises:
        LookupError: there is none.
    """
    system = platform.system()
    machine = platform.machine().lower().replace("amd64", "x86_64")
    if system == "Linux":
        libc = "manylinux" if platform.libc_ver()[0] == "glibc" else "musllinux"
    else:
        libc = {"Darwin": "macosx"}.get(system, system.lower())
    fitting = re.compile(r"{}-{}-py3-none-{}_.*{}\.whl".format(package, re.escape(version), libc, machine))
    for url in urls:
        if fitting.fullmatch(_file_name(url)):
            return url
    raise LookupError("no wheel of {} {} for {} on {}".format(package, version, libc, machine))


def _file_name(url: str) -> str:
    return urllib.parse.unquote(urllib.parse.urlsplit(url).path.rsplit("/", 1)[-1])


class _Reader:
    """Reads pages of one index, with the user and password that stand in its address."""

    def __init__(self, index: str, certificate: Optional[str]) -> None:
        parts = urllib.parse.urlsplit(index)
        user, self.host = parts.netloc.rpartition("@")[::2]
        self.address = urllib.parse.urlunsplit(parts._replace(netloc=self.host)).rstrip("/")
        self._login = base64.b64encode(urllib.parse.unquote(user).encode("utf-8")).decode("ascii")
        self._certificate = certificate

    def read(self, url: str) -> bytes:
        """Returns what is at `url`; raises OSError, ValueError or HTTPException where that cannot be had."""
        request = urllib.request.Request(url)
        if self._login and urllib.parse.urlsplit(url).netloc == self.host:
            # Not handed on where the host redirects to another one.
            request.add_unredirected_header("Authorization", "Basic {}".format(self._login))
        context = ssl.create_default_context(cafile=self._certificate)
        with urllib.request.urlopen(request, timeout=NETWORK_SECONDS, context=context) as response:
            content: bytes = response.read()
        return content


class _Links(HTMLParser):
    """Collects the links of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.found: List[str] = []

    def handle_starttag(self, tag: str, attrs: List[Tuple[str, Optional[str]]]) -> None:
        href = dict(attrs).get("href")
        if tag == "a" and href:
            self.found.append(href)
