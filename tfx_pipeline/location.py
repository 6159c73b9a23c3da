"""Where something is stored: on this machine, or in a bucket."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any


class Location(str):
    """A path on this machine, made absolute, or an address in a bucket, `gs://BUCKET/…`."""

    @classmethod
    def __get_validators__(cls) -> Iterator[Callable[[Any], Location]]:
        yield cls.of

    @classmethod
    def of(cls, value: Any) -> Location:
        """Converts a value that the user gave.

        Raises:
          ValueError: an address of another kind.
        """
        text = str(value)
        if "://" not in text:
            return cls(Path(text).expanduser().absolute())
        if not re.fullmatch(r"gs://[^/]+(/.*)?", text, re.DOTALL):
            raise ValueError("no address in a bucket")
        return cls(text.rstrip("/"))

    @property
    def remote(self) -> bool:
        """Whether it is in a bucket."""
        return "://" in self
