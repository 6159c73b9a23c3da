"""Where a search keeps its state: a folder on this machine, or one in a Cloud Storage bucket."""

from __future__ import annotations

from pathlib import Path

from custom_components.distributed_tuner.storage.base import Storage
from custom_components.distributed_tuner.storage.local import LocalStorage

BUCKET_SCHEME = "gs://"


def open_storage(root: Path | str) -> Storage:
    """The storage at a path or a gs:// address. Nothing is accessed yet.

    Raises:
      ValueError: the address has another scheme, or names no bucket.
    """
    text = str(root)
    if isinstance(root, str) and text.startswith(BUCKET_SCHEME):
        # Imported here: a local search works without Google's client.
        from custom_components.distributed_tuner.storage.gcs import GcsStorage

        return GcsStorage(text)
    if isinstance(root, str) and "://" in text:
        raise ValueError(f"{text}: a search directory is a path or a {BUCKET_SCHEME} address")
    return LocalStorage(Path(root))
