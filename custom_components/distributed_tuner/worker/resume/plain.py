"""Plain values as JSON text and arrays, exact to the bit, without pickle: a search directory may be a shared bucket."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

Arrays = dict[str, npt.NDArray[Any]]

_SCALARS = (str, int, float, bool, type(None))
_SCALAR_KINDS = "biuf"
_SCALAR_BYTES = 8
_ARRAY_KINDS = "biufcSU"
_MAX_DEPTH = 16
_HASHED_AT_ONCE = 1 << 18


def is_plain(value: Any, depth: int = 0) -> bool:
    """Whether `encode` takes the value: numbers, text, arrays, and lists, tuples and dicts of them."""
    if type(value) in _SCALARS:
        return True
    if isinstance(value, np.generic):
        return value.dtype.kind in _SCALAR_KINDS and value.dtype.itemsize <= _SCALAR_BYTES
    if type(value) is np.ndarray:
        return value.dtype.kind in _ARRAY_KINDS
    if depth >= _MAX_DEPTH:
        return False
    if type(value) in (list, tuple):
        return all(is_plain(item, depth + 1) for item in value)
    if type(value) is dict:
        return all(type(key) in _SCALARS and is_plain(item, depth + 1) for key, item in value.items())
    return False


@dataclasses.dataclass(frozen=True)
class _ArrayMark:
    dtype: str
    shape: tuple[int, ...]
    digest: bytes


def mark(value: Any) -> Any:
    """A copy of a plain value for a later comparison with `same`, with a digest in place of each array."""
    if isinstance(value, np.ndarray):
        digest = hashlib.blake2b(digest_size=16)
        flat = np.ascontiguousarray(value).reshape(-1)
        for start in range(0, flat.size, _HASHED_AT_ONCE):
            digest.update(flat[start : start + _HASHED_AT_ONCE].tobytes())
        return _ArrayMark(value.dtype.str, value.shape, digest.digest())
    if isinstance(value, (list, tuple)):
        return type(value)(map(mark, value))
    if isinstance(value, dict):
        return {key: mark(item) for key, item in value.items()}
    return value


def same(left: Any, right: Any) -> bool:
    """Whether two plain values are equal in type and content."""
    if type(left) is not type(right):
        return False
    if isinstance(left, np.ndarray):
        return left.dtype == right.dtype and np.array_equal(left, right)
    if isinstance(left, (list, tuple)):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, dict):
        return list(left) == list(right) and all(same(left[key], right[key]) for key in left)
    return bool(left == right) or bool(left != left and right != right)


def encode(value: Any) -> tuple[str, Arrays]:
    """The value as JSON text, and the arrays that the text refers to by name.

    Raises:
      TypeError: the value is not plain.
    """
    arrays: Arrays = {}
    return json.dumps(_encode(value, arrays), separators=(",", ":")), arrays


def decode(text: str, arrays: Mapping[str, npt.NDArray[Any]]) -> Any:
    """Undoes `encode`.

    Raises:
      ValueError: the text is not what `encode` writes, or an array is missing.
    """
    try:
        return _decode(json.loads(text), arrays)
    except (KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise ValueError(f"no stored value: {type(error).__name__}: {error}") from error


def _encode(value: Any, arrays: Arrays) -> Any:
    if type(value) in _SCALARS:
        return value
    if type(value) is list:
        return [_encode(item, arrays) for item in value]
    if type(value) is tuple:
        return {"tuple": [_encode(item, arrays) for item in value]}
    if type(value) is dict:
        return {"dict": [[key, _encode(item, arrays)] for key, item in value.items()]}
    if isinstance(value, np.generic) and is_plain(value):
        return {"scalar": [value.dtype.str, value.item()]}
    if isinstance(value, np.ndarray) and is_plain(value):
        name = f"a{len(arrays)}"
        arrays[name] = value
        return {"array": name}
    raise TypeError(f"{type(value).__name__} is not plain: {value!r}")


def _decode(value: Any, arrays: Mapping[str, npt.NDArray[Any]]) -> Any:
    if isinstance(value, list):
        return [_decode(item, arrays) for item in value]
    if not isinstance(value, dict):
        return value
    ((kind, content),) = value.items()
    if kind == "tuple":
        return tuple(_decode(item, arrays) for item in content)
    if kind == "dict":
        return {key: _decode(item, arrays) for key, item in content}
    if kind == "scalar":
        name, number = content
        dtype = np.dtype(name)
        if dtype.kind not in _SCALAR_KINDS or dtype.itemsize > _SCALAR_BYTES:
            raise ValueError(f"no number is stored as {name}")
        return dtype.type(number)
    if kind == "array":
        return arrays[content]
    raise ValueError(f"unknown kind of stored value: {kind}")
