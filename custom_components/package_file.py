"""A file in a Python package, by a name that means the same on every machine and in every image: `PACKAGE:FILE`."""

from __future__ import annotations

import importlib.resources
from importlib.abc import Traversable

_SEPARATOR = ":"


def name_of(package: str, file: str) -> str:
    """The name of a file.

    Args:
      package: a package, such as `models.bikes`.
      file: the file's path in it, with slashes.
    """
    return f"{package}{_SEPARATOR}{file}"


def find(name: str) -> Traversable:
    """The file as the package that is installed here holds it, be it packed or not.

    Raises:
      ModuleNotFoundError: there is no such package here.
      FileNotFoundError: the package has no such file.
    """
    package, _, file = name.partition(_SEPARATOR)
    found = importlib.resources.files(package).joinpath(file)
    if not found.is_file():
        raise FileNotFoundError(f"{found}: the package {package} of this machine or image has no such file")
    return found
