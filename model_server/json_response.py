"""From a model's outputs to the JSON of an answer, in TensorFlow Serving's two forms."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

import grpc
import numpy as np

from model_server.errors import ServingError, invalid_argument
from model_server.json_request import Form
from model_server.signature import Array

# An output with such a name holds bytes, any other string output holds text; the rule is TensorFlow Serving's.
_BYTES_SUFFIX = "_bytes"


def render(outputs: Mapping[str, Array], form: Form) -> str:
    """The body of a predict answer.

    Args:
        outputs: the arrays by name. For `Form.ROW` each has the batch as its first dimension.
        form: `Form.ROW` gives {"predictions": [...]}, one item per instance, and `Form.COLUMN` {"outputs": ...}. A
            model with one output gives its values bare, one with several an object keyed by output.

    Returns:
        JSON with NaN, Infinity and -Infinity as bare words. A 32-bit float is written with the fewest digits that
        read back as the same 32-bit float.

    Raises:
        ServingError: INVALID_ARGUMENT, where the outputs have no common batch size or no JSON form.
    """
    if form is Form.COLUMN:
        values = {name: _values(name, array) for name, array in outputs.items()}
        return json.dumps({"outputs": values if len(values) > 1 else next(iter(values.values()))})
    _check_batch(outputs)
    columns = {name: _values(name, array) for name, array in outputs.items()}
    if len(columns) == 1:
        return json.dumps({"predictions": next(iter(columns.values()))})
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    return json.dumps({"predictions": rows})


def render_error(error: ServingError) -> str:
    """The body of an error answer."""
    return json.dumps({"error": error.message})


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


def _values(name: str, array: Array) -> Any:
    if array.dtype == np.float32:
        # numpy's text of a float32 is the shortest that reads back as it; as a double it would drag noise digits along.
        return array.astype(str).astype(np.float64).tolist()
    if array.dtype == object:
        return _map_strings(name, array.tolist())
    if array.dtype.kind in "iub" or array.dtype == np.float64:
        return array.tolist()
    raise invalid_argument(f"Failed to write JSON value for tensor type: {array.dtype.name}")


def _map_strings(name: str, value: Any) -> Any:
    if isinstance(value, list):
        return [_map_strings(name, item) for item in value]
    if name.endswith(_BYTES_SUFFIX):
        return {"b64": base64.b64encode(value).decode("ascii")}
    try:
        return value.decode() if isinstance(value, bytes) else str(value)
    except UnicodeDecodeError as error:
        raise ServingError(
            grpc.StatusCode.INTERNAL,
            f"Output {name} holds bytes that are not UTF-8. Name it {name}{_BYTES_SUFFIX} in the model, and the answer "
            "holds them base64 encoded",
        ) from error
