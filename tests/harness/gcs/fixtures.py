"""The fixture `gcs`: a bucket on this machine, for TensorFlow's gs:// paths and Google's client library.

A conftest that wants it says `from tests.harness.gcs.fixtures import gcs`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import ssl
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.certificates import Authority
from tests.harness.gcs.objects import Objects
from tests.harness.gcs.server import HOSTS, Server, serving

BUCKET = "bucket"


@dataclasses.dataclass(frozen=True)
class Gcs:
    """A running server with one empty bucket.

    Attributes:
      server: what it was asked for.
      objects: what it holds.
      url: gs:// address of the bucket.
      environment: with it, a process finds the server in the place of Google's.
      authority: the certificate that the server's is signed with, a file in PEM.
    """

    server: Server
    objects: Objects
    url: str
    environment: Mapping[str, str]
    authority: Path

    def upload(self, folder: Path, prefix: str) -> str:
        """Puts the files below a folder into the bucket.

        Returns:
          Their gs:// address.
        """
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                self.objects.put(BUCKET, f"{prefix}/{path.relative_to(folder).as_posix()}", path.read_bytes())
        return f"{self.url}/{prefix}"


@pytest.fixture
def gcs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gcs]:
    """A bucket of its own for each test. A call that the server does not know fails the test."""
    with bucket_at("127.0.0.1", tmp_path_factory.mktemp("gcs") / "authority") as made:
        yield made


@contextlib.contextmanager
def bucket_at(host: str, folder: Path) -> Iterator[Gcs]:
    """A bucket on this address; `folder` gets the certificates."""
    authority = Authority(folder)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(*authority.issue("server", user=HOSTS[0], hosts=HOSTS))
    objects = Objects(BUCKET)
    with serving(objects, tls, host) as server:
        environment = {
            # TensorFlow's file system has no setting for its address, but speaks through libcurl.
            "https_proxy": server.url,
            "CURL_CA_BUNDLE": str(authority.certificate),
            "no_proxy": "",
            # It looks for credentials before it speaks to anybody, on the network if need be.
            "GOOGLE_AUTH_TOKEN_FOR_TESTING": "token",
            "NO_GCE_CHECK": "true",
            # Google's client library has a setting.
            "STORAGE_EMULATOR_HOST": server.url,
        }
        yield Gcs(server, objects, f"gs://{BUCKET}", environment, authority.certificate)
        assert server.unknown == []
