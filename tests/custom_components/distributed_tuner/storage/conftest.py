"""Both kinds of storage, for tests that hold for either."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from custom_components.distributed_tuner.storage.base import Storage
from custom_components.distributed_tuner.storage.gcs import GcsStorage
from custom_components.distributed_tuner.storage.local import LocalStorage
from tests.harness.gcs.fixtures import Gcs

#: So long a bucket that stays away is waited for in these tests, in seconds.
PATIENCE_SECONDS = 2.0

Open = Callable[[], Storage]


@pytest.fixture
def bucket(gcs: Gcs, monkeypatch: pytest.MonkeyPatch) -> Gcs:
    """The bucket of the test, as this process's Cloud Storage."""
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", gcs.server.url)
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    return gcs


@pytest.fixture
def in_bucket(bucket: Gcs) -> Open:
    """Opens one folder of the bucket, again with each call, as another process would."""
    return lambda: GcsStorage(f"{bucket.url}/runs/search", PATIENCE_SECONDS)


@pytest.fixture(params=["local", "gs"])
def storage_of(request: pytest.FixtureRequest, tmp_path: Path) -> Open:
    """Opens one search directory, of either kind."""
    if request.param == "gs":
        opened: Open = request.getfixturevalue("in_bucket")
        return opened
    root = tmp_path / "search"
    root.mkdir()
    return lambda: LocalStorage(root)
