"""What an image name stands for on a process node: nothing is pulled, the files are this machine's."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.repository import ROOT

#: The image of a process node that holds this checkout and its environment's Python.
HOST_IMAGE = "cluster-tests/host:1"


@dataclass(frozen=True)
class Image:
    """What a container of this image starts with.

    Args:
      command: runs where the pod names no command (the image's ENTRYPOINT).
      args: follow the command where the pod names neither (CMD).
      environment: the image's variables.
      working_directory: where the command starts.
      user: runs as this user id where the pod names none.
      paths: folders of this machine that every user of the container can read.
    """

    command: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    working_directory: str = "/"
    user: int = 0
    paths: tuple[str, ...] = ()


def host_image(*, command: tuple[str, ...] = (), user: int = 0, environment: Mapping[str, str] | None = None) -> Image:
    """An image with this checkout, its environment's Python first on PATH, and what else this machine has."""
    programs = os.pathsep.join(
        [str(Path(sys.executable).parent), "/usr/local/bin", "/usr/bin", "/bin", "/usr/sbin", "/sbin"]
    )
    return Image(
        command=command,
        environment={"PATH": programs, "LANG": "C.UTF-8", **(environment or {})},
        working_directory=str(ROOT),
        user=user,
        paths=(sys.base_prefix, sys.prefix, str(ROOT)),
    )
