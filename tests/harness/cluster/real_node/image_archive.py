"""Container images without a container engine: an archive that `ctr images import` reads."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.harness.cluster.kubernetes.api import Object


def write_image(
    archive: Path,
    name: str,
    *,
    folders: Sequence[str],
    links: Mapping[str, str],
    files: Mapping[str, bytes],
    config: Object,
) -> None:
    """Writes an image of one layer.

    Args:
      archive: the file to write.
      name: of the image, with its registry and tag.
      folders: to make in it, without a slash at the start.
      links: symbolic links, to where they point.
      files: what they hold. Everybody may read and run them.
      config: Env, Cmd, WorkingDir and User as in Docker's image format.
    """
    layer = _layer(folders, links, files)
    digest = hashlib.sha256(layer).hexdigest()
    description = json.dumps(
        {
            "architecture": "amd64",
            "os": "linux",
            "config": config,
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
            "history": [{}],
        }
    ).encode()
    described = f"{hashlib.sha256(description).hexdigest()}.json"
    manifest = json.dumps([{"Config": described, "RepoTags": [name], "Layers": [f"{digest}/layer.tar"]}]).encode()
    with tarfile.open(archive, "w") as tar:
        for path, content in ((described, description), (f"{digest}/layer.tar", layer), ("manifest.json", manifest)):
            _add(tar, path, content)


def _layer(folders: Sequence[str], links: Mapping[str, str], files: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for folder in folders:
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o1777 if folder.endswith("tmp") else 0o755
            tar.addfile(entry)
        for link, target in links.items():
            entry = tarfile.TarInfo(link)
            entry.type, entry.linkname = tarfile.SYMTYPE, target
            tar.addfile(entry)
        for path, content in files.items():
            _add(tar, path, content)
    return buffer.getvalue()


def _add(tar: tarfile.TarFile, path: str, content: bytes) -> None:
    entry = tarfile.TarInfo(path)
    entry.size, entry.mode = len(content), 0o755
    tar.addfile(entry, io.BytesIO(content))
