"""From the JSON body of a predict request to arrays, by TensorFlow Serving's rules and with its messages.

The format: https://www.tensorflow.org/tfx/serving/api_rest#predict_api. Values must have the signature's type:
a string for a number, or 1.5 for an integer, is an error.
"""

from __future__ import annotations

import base64
import binascii
import enum
import json
from dataclasses import dataclass
from typing import Any

import numpy as np

from model_server.errors import ServingError, invalid_argument
from model_server.signature import DEFAULT_SIGNATURE, Array, DType, Signature, show_shape

# numpy's own limit on dimensions.
_MAX_RANK = 32
_MAX_SHOWN = 256


class Form(enum.Enum):
    """How values are laid out: a list of instances, or one list per input."""

    ROW = "instances"
    COLUMN = "inputs"


@dataclass(frozen=True)
class PredictBody:
    """A body that is a JSON object, not yet held against a signature."""

    document: dict[str, Any]
    signature_name: str


def parse(body: bytes) -> PredictBody:
    """Parses a request's body. NaN, Infinity and -Infinity are numbers here, as in TensorFlow Serving.

    Raises:
        ServingError: INVALID_ARGUMENT, where it is not a JSON object or `signature_name` is not a string.
    """
    if not body:
        raise invalid_argument("JSON Parse error: The document is empty")
    try:
        document = json.loads(body)
    except json.JSONDecodeError as error:
        raise invalid_argument(f"JSON Parse error: {error.msg} at offset: {error.pos}") from error
    except RecursionError as error:
        raise invalid_argument("JSON Parse error: nested too deeply") from error
    except ValueError as error:
        raise invalid_argument(f"JSON Parse error: {error}") from error
    if not isinstance(document, dict):
        raise invalid_argument(f"JSON Value: {_show(document)} Is not object")
    name = document.get("signature_name", "")
    if not isinstance(name, str):
        raise invalid_argument(
            f"JSON Value: {_show(document)} not formatted correctly. 'signature_name' key must be a string value."
        )
    return PredictBody(document, name or DEFAULT_SIGNATURE)


def read_inputs(body: PredictBody, signature: Signature) -> tuple[Form, dict[str, Array]]:
    """The form of the request and its arrays, one per input that the request names.

    Raises:
        ServingError: INVALID_ARGUMENT, where keys, nesting or types are not as the signature wants them.
    """
    if not signature.inputs:
        raise invalid_argument(f"Failed to get input map for signature: {signature.name}")
    document = body.document
    rows, columns = Form.ROW.value in document, Form.COLUMN.value in document
    if rows and columns:
        raise invalid_argument(
            f"JSON Value: {_show(document)} Not formatted correctly expecting only one of 'inputs' or 'instances' "
            "keys to exist "
        )
    if rows:
        return Form.ROW, _from_instances(document, signature)
    if columns:
        return Form.COLUMN, _from_inputs(document["inputs"], signature)
    raise invalid_argument("Missing 'inputs' or 'instances' key")


def _from_inputs(value: Any, signature: Signature) -> dict[str, Array]:
    if not _is_named(value):
        if len(signature.inputs) > 1:
            raise invalid_argument(
                "inputs is a plain value/list, but expecting an object as multiple input tensors required as per "
                "tensorinfo_map"
            )
        ((name, spec),) = signature.inputs.items()
        return {name: _array(value, spec.dtype)}
    arrays = {}
    for name, spec in signature.inputs.items():
        if name not in value:
            raise invalid_argument(f"Missing named input: {name} in 'inputs' object.")
        arrays[name] = _array(value[name], spec.dtype)
    return arrays


def _from_instances(document: dict[str, Any], signature: Signature) -> dict[str, Array]:
    instances = document["instances"]
    if not isinstance(instances, list):
        raise invalid_argument(f"JSON Value: {_show(document)} Expecting 'instances' to be an list/array")
    if not instances:
        raise invalid_argument(f"JSON Value: {_show(document)} No values in 'instances' array")
    if not isinstance(instances[0], dict) and len(signature.inputs) > 1:
        raise invalid_argument(
            "instances is a plain list, but expecting list of objects as multiple input tensors required as per "
            "tensorinfo_map"
        )
    named = _is_named(instances[0])
    columns: dict[str, list[Array]] = {name: [] for name in signature.inputs}
    for index, instance in enumerate(instances):
        if named != _is_named(instance):
            expected, got = ("object", "list") if named else ("value/list", "object")
            raise invalid_argument(f"Expecting {expected} but got {got} at item {index} of input list")
        if named:
            _add_object(instance, index, signature, columns)
        else:
            _add_value(instance, f"element: {index}", next(iter(signature.inputs)), signature, columns)
    return {name: np.stack(arrays) for name, arrays in columns.items()}


def _add_object(instance: dict[str, Any], index: int, signature: Signature, columns: dict[str, list[Array]]) -> None:
    for name, value in instance.items():
        _add_value(value, f"element: {index} key: {name}", name, signature, columns)
    if instance.keys() != signature.inputs.keys():
        raise invalid_argument(
            f"Failed to process element: {index} of 'instances' list. JSON object: {_show(instance)} keys must be "
            f"equal to: {','.join(sorted(signature.inputs))}"
        )


def _add_value(value: Any, where: str, name: str, signature: Signature, columns: dict[str, list[Array]]) -> None:
    try:
        if name not in signature.inputs:
            raise invalid_argument(f"JSON object: does not have named input: {name}")
        array = _array(value, signature.inputs[name].dtype)
        earlier = columns[name]
        if earlier and earlier[0].size != array.size:
            raise invalid_argument(f"Expecting tensor size: {earlier[0].size} but got: {array.size}")
        if earlier and earlier[0].shape != array.shape:
            raise invalid_argument(f"Expecting shape {show_shape(earlier[0].shape)} but got: {show_shape(array.shape)}")
    except ServingError as error:
        raise ServingError(error.code, f"Failed to process {where} of 'instances' list. Error: {error}") from error
    columns[name].append(array)


def _array(value: Any, dtype: DType) -> Array:
    shape = _shape(value)
    flat: list[Any] = []
    _flatten(value, 0, shape, dtype, flat)
    with np.errstate(over="ignore"):
        array = np.empty(len(flat), dtype.numpy)
        array[:] = flat
    return array.reshape(shape)


def _shape(value: Any) -> tuple[int, ...]:
    shape = []
    while isinstance(value, list):
        shape.append(len(value))
        if not value:
            break
        value = value[0]
    if len(shape) > _MAX_RANK:
        raise invalid_argument(f"A value is nested {len(shape)} lists deep; at most {_MAX_RANK} are possible")
    return tuple(shape)


def _flatten(value: Any, level: int, shape: tuple[int, ...], dtype: DType, flat: list[Any]) -> None:
    rank = len(shape)
    if not isinstance(value, list):
        if level != rank:
            raise invalid_argument(
                f"JSON Value: {_show(value)} found at incorrect level: {level + 1} in the JSON DOM. "
                f"Expected at level: {rank}"
            )
        flat.append(_scalar(value, dtype))
        return
    if level >= rank:
        raise invalid_argument(f"Encountered list at unexpected level: {level} expected < {rank}")
    if len(value) != shape[level]:
        raise invalid_argument(
            f"Encountered list at unexpected size: {len(value)} at level: {level} expected size: {shape[level]}"
        )
    for item in value:
        _flatten(item, level + 1, shape, dtype, flat)


def _scalar(value: Any, dtype: DType) -> Any:
    kind = dtype.numpy.kind
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if kind == "f" and number:
        return _float(value, dtype)
    if kind in "iu" and number and isinstance(value, int):
        limits = np.iinfo(dtype.numpy)
        if limits.min <= value <= limits.max:
            return value
    if kind == "b" and isinstance(value, bool):
        return value
    if kind == "O" and isinstance(value, str):
        return _utf8(value)
    if kind == "O" and isinstance(value, dict):
        return _decode_base64(value)
    raise invalid_argument(
        f"JSON Value: {_show(value)} Type: {_json_type(value)} is not of expected type: {dtype.name}"
    )


def _float(value: float, dtype: DType) -> float:
    try:
        return float(value)
    except OverflowError as error:
        raise invalid_argument(f"JSON Value: {_show(value)} is too large for type: {dtype.name}") from error


def _utf8(value: str) -> bytes:
    try:
        return value.encode()
    except UnicodeEncodeError as error:
        raise invalid_argument(f"JSON Value: {_show(value)} has a lone surrogate, which UTF-8 cannot hold") from error


def _decode_base64(value: dict[str, Any]) -> bytes:
    if not _is_base64(value):
        raise invalid_argument(f"JSON Value: {_show(value)} not formatted correctly for base64 data")
    text: str = value["b64"]
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise invalid_argument("Unable to base64 decode") from error


def _is_base64(value: Any) -> bool:
    return isinstance(value, dict) and value.keys() == {"b64"} and isinstance(value["b64"], str)


def _is_named(value: Any) -> bool:
    return isinstance(value, dict) and not _is_base64(value)


def _json_type(value: Any) -> str:
    if isinstance(value, bool):
        return str(value)
    names = {type(None): "Null", dict: "Object", list: "Array", str: "String"}
    return names.get(type(value), "Number")


def _show(value: Any) -> str:
    try:
        text = json.dumps(value)
    except ValueError:  # an integer with more digits than Python prints
        text = "an integer with thousands of digits"
    return text if len(text) <= _MAX_SHOWN else text[:_MAX_SHOWN] + "..."
