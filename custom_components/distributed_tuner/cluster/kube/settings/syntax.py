"""Kubernetes' syntax of names, quantities, labels and paths. What it rejects is explained in words."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

import pydantic

#: The largest integer that most fields of the API accept.
MAX_NUMBER = 2**31 - 1

_LABEL_LENGTH = 63
_NAME_LENGTH = 253
# The API's limit for all annotations of an object is 256 KiB; the rest is for those of the search and of controllers.
_ANNOTATIONS_BYTES = 250 * 1024

# A part of a name between dots. The API limits the name as a whole, not its parts.
_PART = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_DNS_LABEL = re.compile(_PART)
_DNS_NAME = re.compile(rf"{_PART}(\.{_PART})*")
_QUALIFIED = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_QUANTITY = re.compile(r"(?P<number>[0-9]+(\.[0-9]+)?)(?P<unit>m|k|Ki|M|Mi|G|Gi|T|Ti|P|Pi)?")
_UNITS = ("", "K", "M", "G", "T", "P")
_SMALLEST_BYTES = 2**20


def checked(*fields: str, by: Callable[[str], str]) -> Any:
    """A pydantic validator that applies the rule to these fields, unless they are None."""
    return pydantic.validator(*fields, allow_reuse=True)(lambda cls, text: text if text is None else by(text))


def one_of(*words: str) -> Callable[[str], str]:
    """The rule of a field that accepts only these words."""

    def rule(text: str) -> str:
        if text not in words:
            raise ValueError(f"expected {', '.join(words[:-1])} or {words[-1]}, got {text!r}")
        return text

    return rule


def dns_label(text: str) -> str:
    """A name without dots.

    Raises:
      ValueError: the text is not one; the same holds for the functions below.
    """
    if len(text) > _LABEL_LENGTH or not _DNS_LABEL.fullmatch(text):
        raise ValueError(
            f"{text!r} is no name for it: expected small letters, digits and -, a letter or a digit at both ends, and "
            f"at most {_LABEL_LENGTH} characters, such as team-2"
        )
    return text


def dns_name(text: str) -> str:
    """A name that may contain dots, like that of most objects."""
    if not _is_dns_name(text):
        raise ValueError(
            f"{text!r} is no name of an object of Kubernetes: expected small letters, digits, - and ., a letter or a "
            f"digit at both ends and on both sides of a dot, and at most {_NAME_LENGTH} characters, such as team-2.low"
        )
    return text


def _is_dns_name(text: str) -> bool:
    return len(text) <= _NAME_LENGTH and _DNS_NAME.fullmatch(text) is not None


def key(text: str, of: str = "a label") -> str:
    """The key of a label, a taint or an annotation."""
    prefix, slash, name = text.rpartition("/")
    if not _QUALIFIED.fullmatch(name) or (slash and not _is_dns_name(prefix)):
        raise ValueError(
            f"{text!r} is no key of {of}: expected NAME or PREFIX/NAME, NAME of at most {_LABEL_LENGTH} letters, "
            f"digits, -_., PREFIX as a domain of at most {_NAME_LENGTH} small letters, digits, - and ., such as "
            "example.com/pool"
        )
    return text


def value(text: str, of: str = "a label") -> str:
    """The value of a label or of a taint; it may be empty."""
    if text and not _QUALIFIED.fullmatch(text):
        raise ValueError(
            f"{text!r}: the value of {of} has at most {_LABEL_LENGTH} letters, digits, -_., with a letter or a digit "
            "at both ends"
        )
    return text


def check_annotations(texts: Mapping[str, str]) -> None:
    """The annotations of one object, all together."""
    for name in texts:
        # Here the API accepts a prefix with capitals, which a label may not have.
        key(name.lower(), "an annotation")
    size = sum(len(name.encode()) + len(text.encode()) for name, text in texts.items())
    if size > _ANNOTATIONS_BYTES:
        raise ValueError(
            f"they have {size:,} bytes in all, and Kubernetes takes 256 KiB, of which some are the search's own: at "
            f"most {_ANNOTATIONS_BYTES:,}"
        )


def cpu(text: str) -> str:
    """A number of CPUs."""
    if amount(text) <= 0:
        raise ValueError(f"{text!r} is nothing: expected CPUs, such as 500m or 4")
    return text


def size(text: str) -> str:
    """An amount of memory or disk. Less than a mebibyte means that the unit is missing, or is that of CPUs."""
    held = amount(text)
    if held < _SMALLEST_BYTES:
        told = f"{held.normalize():f} bytes" if held else "nothing"
        raise ValueError(f"{text!r} is {told}: expected at least 1Mi, such as 512Mi or 4Gi")
    return text


def amount(text: str) -> Decimal:
    """The value of a quantity: `500m` is 0.5."""
    match = _QUANTITY.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is no quantity of Kubernetes, such as 500m, 4 or 4Gi")
    unit = match["unit"] or ""
    power = -1 if unit == "m" else _UNITS.index(unit[:1].upper())
    return Decimal(match["number"]) * Decimal(1024 if unit.endswith("i") else 1000) ** power


def folder(path: str) -> str:
    """A path in a container at which something can be mounted.

    Kubernetes accepts `..` there, but the container runtime resolves it, so the folder is not the one that it seems.
    """
    if not path.startswith("/") or ":" in path or "\0" in path or ".." in path.split("/"):
        raise ValueError(f"{path!r}: expected a folder's whole path, such as /data, without : and without .. in it")
    if normal(path) == "/":
        raise ValueError(f"{path!r} is all of the container: expected a folder in it, such as /data")
    return path


def part(path: str) -> str:
    """A path below the root of a volume; empty for all of it."""
    if path.startswith("/") or "\0" in path or ".." in path.split("/"):
        raise ValueError(f"{path!r}: expected a path in the volume, such as runs/bikes: no / at its start, no .. in it")
    return path


def normal(path: str) -> str:
    """The absolute path without redundant parts."""
    return "/" + "/".join(each for each in path.split("/") if each not in ("", "."))
