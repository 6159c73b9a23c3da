"""Converts lists of JSON values, nested to any depth, to arrays of a type, and explains what does not fit.

Large lists are converted in pieces, between which Python can switch threads. A piece is converted as a whole; only one
that does not fit is walked value by value, in TensorFlow Serving's order, for the error message.
"""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any, NoReturn

import numpy as np

from model_server.errors import invalid_argument, unimplemented
from model_server.rest.json_parse import show
from model_server.signature import Array, DType

# How many values are converted in one call; that takes a few milliseconds.
PIECE = 32 * 1024
# numpy's own limit on dimensions.
_MAX_RANK = 32
_NUMBER = frozenset({int, float})
_KINDS = {"f": _NUMBER, "i": frozenset({int}), "u": frozenset({int}), "b": frozenset({bool})}


def to_array(value: Any, dtype: DType) -> Array:
    """The array of a value: a number, text, a truth value, {"b64": ...}, or lists of them.

    Raises:
        ServingError: INVALID_ARGUMENT, if lists have different lengths or a value is not of the type; UNIMPLEMENTED for
            a type that TensorFlow Serving has no JSON for.
    """
    shape = shape_of(value)
    if not shape:
        array = convert([value], (), dtype)
        return _explain([value], 0, (), dtype) if array is None else array.reshape(())
    return join(list(_pieces(value, 1, shape, dtype)) or [np.empty(0, dtype.numpy)]).reshape(shape)


def shape_of(value: Any) -> tuple[int, ...]:
    """The shape that a value has if its lists have equal lengths: taken from the first element at each level."""
    shape = []
    while isinstance(value, list):
        shape.append(len(value))
        if not value:
            break
        value = value[0]
    if len(shape) > _MAX_RANK:
        raise invalid_argument(f"A value is nested {len(shape)} lists deep; at most {_MAX_RANK} are possible")
    return tuple(shape)


def convert(rows: Sequence[Any], shape: tuple[int, ...], dtype: DType) -> Array | None:
    """The array of values that each have `shape`, the rows first; None if one has another shape or type.

    Args:
        rows: the values.
        shape: of each value.
        dtype: the type of the array.

    Raises:
        ServingError: INVALID_ARGUMENT, if that is one dimension too many.
    """
    if len(shape) >= _MAX_RANK:
        raise invalid_argument(f"A value is nested {len(shape) + 1} lists deep; at most {_MAX_RANK} are possible")
    values: Sequence[Any] = rows
    for size in shape:
        if not set(map(type, values)) <= {list} or not set(map(len, values)) <= {size}:
            return None
        values = list(chain.from_iterable(values))
    array = _convert_flat(values, dtype)
    return None if array is None else array.reshape((len(rows), *shape))


def join(pieces: list[Array]) -> Array:
    """Concatenates one or more arrays along the first dimension."""
    return pieces[0] if len(pieces) == 1 else np.concatenate(pieces)


def release(value: Any) -> None:
    """Empties a document that is no longer needed, in pieces: freeing millions of values also takes long."""
    pending = [value]
    while pending:
        container = pending.pop()
        if isinstance(container, dict):
            pending.extend(container.values())
            container.clear()
        elif isinstance(container, list) and len(container) > PIECE:
            while container:
                del container[-PIECE:]
        elif isinstance(container, list):
            pending.extend(item for item in container if isinstance(item, (list, dict)))
            container.clear()


def is_base64(value: Any) -> bool:
    """Whether a value represents bytes."""
    return isinstance(value, dict) and value.keys() == {"b64"} and isinstance(value["b64"], str)


def _pieces(rows: list[Any], level: int, shape: tuple[int, ...], dtype: DType) -> Iterator[Array]:
    inner = shape[level:]
    size = math.prod(inner)
    if inner and size > PIECE:
        for row in rows:
            if not isinstance(row, list) or len(row) != inner[0]:
                _explain([row], level, shape, dtype)
            yield from _pieces(row, level + 1, shape, dtype)
        return
    step = max(1, PIECE // max(1, size))
    for start in range(0, len(rows), step):
        piece = rows[start : start + step]
        array = convert(piece, inner, dtype)
        if array is None:
            _explain(piece, level, shape, dtype)
        yield array.reshape(-1)


def _convert_flat(values: Sequence[Any], dtype: DType) -> Array | None:
    if not dtype.in_json:
        return np.empty(0, dtype.numpy) if not values else None
    kind = dtype.numpy.kind
    if kind == "O":
        return _convert_text(values)
    if not set(map(type, values)) <= _KINDS[kind]:
        return None
    if kind in "iu" and values:
        limits = np.iinfo(dtype.numpy)
        if min(values) < limits.min or max(values) > limits.max:
            return None
    if kind == "f":
        # Via a double, which is how TensorFlow Serving reads numbers.
        with np.errstate(over="ignore"):
            return np.array(values, np.float64).astype(dtype.numpy, copy=False)
    return np.array(values, dtype.numpy)


def _convert_text(values: Sequence[Any]) -> Array | None:
    array = np.empty(len(values), object)
    kinds = set(map(type, values))
    if kinds <= {str}:
        array[:] = [value.encode() for value in values]
    elif kinds <= {str, dict}:
        decoded = [value.encode() if isinstance(value, str) else _decode_base64(value) for value in values]
        if None in decoded:
            return None
        array[:] = decoded
    else:
        return None
    return array


def _decode_base64(value: dict[str, Any]) -> bytes | None:
    if not is_base64(value):
        return None
    # TensorFlow Serving tolerates white space and missing padding.
    text = "".join(value["b64"].split())
    if "=" not in text:
        text += "=" * (-len(text) % 4)
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None


def _explain(rows: Sequence[Any], level: int, shape: tuple[int, ...], dtype: DType) -> NoReturn:
    """Raises the error for the first value that does not fit; values are `level` lists deep in one of `shape`."""
    for row in rows:
        _walk(row, level, shape, dtype)
    raise AssertionError(f"{show(rows)} make an array of shape {shape} and type {dtype.name}")


def _walk(value: Any, level: int, shape: tuple[int, ...], dtype: DType) -> None:
    rank = len(shape)
    if not isinstance(value, list):
        if level != rank:
            raise invalid_argument(
                f"JSON Value: {show(value)} found at incorrect level: {level + 1} in the JSON DOM. "
                f"Expected at level: {rank}"
            )
        _check_scalar(value, dtype)
        return
    if level >= rank:
        raise invalid_argument(f"Encountered list at unexpected level: {level} expected < {rank}")
    if len(value) != shape[level]:
        raise invalid_argument(
            f"Encountered list at unexpected size: {len(value)} at level: {level} expected size: {shape[level]}"
        )
    # A list that is valid is skipped as a whole: the wrong one may be the last of millions.
    if level + 1 == rank and convert(value, (), dtype) is not None:
        return
    for item in value:
        _walk(item, level + 1, shape, dtype)


def _check_scalar(value: Any, dtype: DType) -> None:
    if not dtype.in_json and not isinstance(value, dict):
        raise unimplemented(f"Conversion of JSON Value: {show(value)} to type: {dtype.name}")
    if _convert_flat([value], dtype) is not None:
        return
    if dtype.numpy.kind == "O" and isinstance(value, dict):
        if is_base64(value):
            raise invalid_argument("Unable to base64 decode")
        raise invalid_argument(f"JSON Value: {show(value)} not formatted correctly for base64 data")
    raise invalid_argument(f"JSON Value: {show(value)} Type: {_type_name(value)} is not of expected type: {dtype.name}")


def _type_name(value: Any) -> str:
    if isinstance(value, bool):
        return str(value)
    names = {type(None): "Null", dict: "Object", list: "Array", str: "String"}
    return names.get(type(value), "Number")
