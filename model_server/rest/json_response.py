"""Converts a model's outputs to the JSON of an answer, in TensorFlow Serving's two forms.

Large arrays are written in pieces, between which Python can switch threads.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import orjson

from model_server.errors import ServingError, invalid_argument
from model_server.rest.json_request import Form
from model_server.rest.json_values import PIECE
from model_server.signature import Array, has_json

# An output with such a name holds bytes, any other string output holds text; this is TensorFlow Serving's rule.
_BYTES_SUFFIX = "_bytes"


def render(outputs: Mapping[str, Array], form: Form) -> str:
    """The body of a predict answer.

    Args:
        outputs: the arrays by name. For `Form.ROW` each has the batch as its first dimension.
        form: `Form.ROW` gives {"predictions": [...]}, one item per instance, and `Form.COLUMN` {"outputs": ...}. With a
            single output its values stand alone; with several, they are in an object keyed by output.

    Returns:
        JSON with NaN, Infinity and -Infinity as bare words. A 32-bit float is written with the fewest digits that
        read back as the same 32-bit float.

    Raises:
        ServingError: INVALID_ARGUMENT, if the outputs have no common batch size or no JSON form.
    """
    for name, array in outputs.items():
        _check_type(name, array)
    if form is Form.COLUMN:
        columns = {name: _render_array(name, array) for name, array in outputs.items()}
        if len(columns) == 1:
            return f'{{"outputs": {next(iter(columns.values()))}}}'
        return '{"outputs": {' + ", ".join(f"{json.dumps(name)}: {text}" for name, text in columns.items()) + "}}"
    _check_batch(outputs)
    if len(outputs) == 1:
        ((name, array),) = outputs.items()
        return f'{{"predictions": {_render_array(name, array)}}}'
    return '{"predictions": [' + ", ".join(_render_rows(outputs)) + "]}"


def render_error(error: ServingError) -> bytes:
    """The body of an error answer."""
    return json.dumps({"error": error.message}).encode()


def _check_batch(outputs: Mapping[str, Array]) -> None:
    batch = None
    for name, array in outputs.items():
        if array.ndim == 0:
            raise invalid_argument(f"Tensor name: {name} has no shape information ")
        if batch is not None and array.shape[0] != batch:
            raise invalid_argument(
                f"Tensor name: {name} has inconsistent batch size: {array.shape[0]} expecting: {batch}"
            )
        batch = array.shape[0]


def _check_type(name: str, array: Array) -> None:
    if not has_json(array):
        raise invalid_argument(f"Failed to write JSON value for tensor type: {array.dtype.name} (output {name})")


def _render_array(name: str, array: Array) -> str:
    if array.size <= PIECE or not array.shape[0]:
        return json.dumps(_values(name, array))
    if array.size // array.shape[0] > PIECE:
        return "[" + ", ".join(_render_array(name, part) for part in array) + "]"
    step = PIECE // (array.size // array.shape[0])
    parts = (_render_piece(name, array[start : start + step]) for start in range(0, len(array), step))
    return "[" + ", ".join(part[1:-1] for part in parts) + "]"


def _render_piece(name: str, array: Array) -> str:
    if array.dtype.kind == "f" and np.isfinite(array).all():
        return _dump_floats(array).decode()
    return json.dumps(_values(name, array))


def _render_rows(outputs: Mapping[str, Array]) -> Iterator[str]:
    batch = len(next(iter(outputs.values())))
    step = max(1, PIECE // max(1, sum(array.size for array in outputs.values()) // max(1, batch)))
    for start in range(0, batch, step):
        columns = [_values(name, array[start : start + step]) for name, array in outputs.items()]
        rows = [dict(zip(outputs, row, strict=True)) for row in zip(*columns, strict=True)]
        yield json.dumps(rows)[1:-1]


def _values(name: str, array: Array) -> Any:
    if array.dtype == object:
        return _map_strings(name, array.tolist())
    if array.dtype != np.float32:
        return array.tolist()
    # The shortest text of a float32 that reads back as the same float32; as a double it would carry noise digits.
    # orjson has no form for NaN or Infinity, nor for an array without dimensions.
    if array.ndim and np.isfinite(array).all():
        return orjson.loads(_dump_floats(array))
    return array.astype(str).astype(np.float64).tolist()


def _dump_floats(array: Array) -> bytes:
    return orjson.dumps(np.ascontiguousarray(array), option=orjson.OPT_SERIALIZE_NUMPY)


def _map_strings(name: str, value: Any) -> Any:
    if isinstance(value, list):
        return [_map_strings(name, item) for item in value]
    if name.endswith(_BYTES_SUFFIX):
        return {"b64": base64.b64encode(value).decode("ascii")}
    try:
        return value.decode() if isinstance(value, bytes) else str(value)
    except UnicodeDecodeError as error:
        raise invalid_argument(
            f"Output {name} holds bytes that are not UTF-8. Name it {name}{_BYTES_SUFFIX} in the model, and the answer "
            "holds them base64 encoded"
        ) from error
