"""Converts the JSON body of a predict request to arrays, by TensorFlow Serving's rules and with its messages.

The format: https://www.tensorflow.org/tfx/serving/api_rest#predict_api. Values must have the signature's type:
a string for a number, or 1.5 for an integer, is an error.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from model_server.errors import ServingError, invalid_argument
from model_server.rest import json_parse, json_values
from model_server.rest.json_parse import show
from model_server.signature import DEFAULT_SIGNATURE, Array, Signature, show_shape

# This many instances are checked one by one, without further bisection, for the wrong one.
_FEW = 32


class Form(enum.Enum):
    """How values are laid out: a list of instances, or one list per input."""

    ROW = "instances"
    COLUMN = "inputs"


@dataclass(frozen=True)
class PredictBody:
    """A body that is a JSON object, not yet checked against a signature."""

    document: dict[str, Any]
    signature_name: str


def parse(body: bytes | bytearray) -> PredictBody:
    """Parses a request's body. NaN, Infinity and -Infinity are numbers here, as in TensorFlow Serving.

    Raises:
        ServingError: INVALID_ARGUMENT, if it is not a JSON object or `signature_name` is not a string.
    """
    document = json_parse.parse(body)
    if not isinstance(document, dict):
        raise invalid_argument(f"JSON Value: {show(document)} Is not object")
    name = document.get("signature_name", "")
    if not isinstance(name, str):
        raise invalid_argument(
            f"JSON Value: {show(document)} not formatted correctly. 'signature_name' key must be a string value."
        )
    return PredictBody(document, name or DEFAULT_SIGNATURE)


def read_inputs(body: PredictBody, signature: Signature) -> tuple[Form, dict[str, Array]]:
    """The form of the request and its arrays, one per input that the request names.

    Args:
        body: the request.
        signature: the one that the request names.

    Raises:
        ServingError: INVALID_ARGUMENT, if keys, nesting or types do not match the signature.
    """
    if not signature.inputs:
        raise invalid_argument(f"Failed to get input map for signature: {signature.name}")
    document = body.document
    rows, columns = Form.ROW.value in document, Form.COLUMN.value in document
    if rows and columns:
        raise invalid_argument(
            f"JSON Value: {show(document)} Not formatted correctly expecting only one of 'inputs' or 'instances' "
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
        return {name: json_values.to_array(value, spec.dtype)}
    arrays = {}
    for name, spec in signature.inputs.items():
        if name not in value:
            raise invalid_argument(f"Missing named input: {name} in 'inputs' object.")
        arrays[name] = json_values.to_array(value[name], spec.dtype)
    return arrays


def _from_instances(document: dict[str, Any], signature: Signature) -> dict[str, Array]:
    instances = document["instances"]
    if not isinstance(instances, list):
        raise invalid_argument(f"JSON Value: {show(document)} Expecting 'instances' to be an list/array")
    if not instances:
        raise invalid_argument(f"JSON Value: {show(document)} No values in 'instances' array")
    if not isinstance(instances[0], dict) and len(signature.inputs) > 1:
        raise invalid_argument(
            "instances is a plain list, but expecting list of objects as multiple input tensors required as per "
            "tensorinfo_map"
        )
    rows = _Rows(instances[0], signature)
    pieces = [rows.read(start, instances[start : start + rows.step]) for start in range(0, len(instances), rows.step)]
    return {name: json_values.join([piece[name] for piece in pieces]) for name in signature.inputs}


class _Rows:
    """Reads instances, a piece at a time. All must be like the first: named or not, and with its shapes."""

    def __init__(self, first: Any, signature: Signature) -> None:
        self._inputs = signature.inputs
        self._named = _is_named(first)
        values = first if self._named else {next(iter(self._inputs)): first}
        self._shapes = {name: json_values.shape_of(values[name]) for name in self._inputs if name in values}
        self._largest = max(map(math.prod, self._shapes.values()), default=1)
        self.step = max(1, json_values.PIECE // max(1, self._largest))

    def read(self, start: int, instances: Sequence[Any]) -> dict[str, Array]:
        """The arrays of the instances from number `start` on.

        Raises:
            ServingError: INVALID_ARGUMENT, if one is not like the first.
        """
        # Values larger than a piece take the second path, which splits each value.
        arrays = self._convert(instances) if self._largest <= json_values.PIECE else None
        if arrays is not None:
            return arrays
        if len(instances) <= _FEW:
            return self._one_by_one(start, instances)
        # One of these is wrong: if it is in the first half, that raises.
        middle = len(instances) // 2
        halves = self.read(start, instances[:middle]), self.read(start + middle, instances[middle:])
        return {name: json_values.join([half[name] for half in halves]) for name in self._inputs}

    def _convert(self, instances: Sequence[Any]) -> dict[str, Array] | None:
        """Converts all of them at once; None if one does not fit."""
        names = self._inputs.keys()
        columns: dict[str, Sequence[Any]]
        if not self._named:
            if dict in set(map(type, instances)) and any(map(_is_named, instances)):
                return None
            columns = {next(iter(names)): instances}
        elif all(type(instance) is dict and instance.keys() == names for instance in instances) and (
            names != {"b64"} or all(map(_is_named, instances))
        ):
            columns = {name: [instance[name] for instance in instances] for name in names}
        else:
            return None
        arrays = {}
        for name, values in columns.items():
            array = json_values.convert(values, self._shapes[name], self._inputs[name].dtype)
            if array is None:
                return None
            arrays[name] = array
        return arrays

    def _one_by_one(self, start: int, instances: Sequence[Any]) -> dict[str, Array]:
        """Reads in TensorFlow Serving's order, so that the first error is the same."""
        columns: dict[str, list[Array]] = {name: [] for name in self._inputs}
        for index, instance in enumerate(instances, start):
            if self._named != _is_named(instance):
                expected, got = ("object", "list") if self._named else ("value/list", "object")
                raise invalid_argument(f"Expecting {expected} but got {got} at item {index} of input list")
            if not self._named:
                name = next(iter(self._inputs))
                columns[name].append(self._read_value(instance, f"element: {index}", name))
                continue
            for name, value in instance.items():
                array = self._read_value(value, f"element: {index} key: {name}", name)
                columns[name].append(array)
            if instance.keys() != self._inputs.keys():
                raise invalid_argument(
                    f"Failed to process element: {index} of 'instances' list. JSON object: {show(instance)} keys must "
                    f"be equal to: {','.join(sorted(self._inputs))}"
                )
        return {name: np.stack(arrays) for name, arrays in columns.items()}

    def _read_value(self, value: Any, where: str, name: str) -> Array:
        try:
            if name not in self._inputs:
                raise invalid_argument(f"JSON object: does not have named input: {name}")
            array = json_values.to_array(value, self._inputs[name].dtype)
            # An input that the first instance lacks has no shape; that instance is rejected for it.
            expected = self._shapes.get(name, array.shape)
            if math.prod(expected) != array.size:
                raise invalid_argument(f"Expecting tensor size: {math.prod(expected)} but got: {array.size}")
            if expected != array.shape:
                raise invalid_argument(f"Expecting shape {show_shape(expected)} but got: {show_shape(array.shape)}")
        except ServingError as error:
            raise ServingError(error.code, f"Failed to process {where} of 'instances' list. Error: {error}") from error
        return array


def _is_named(value: Any) -> bool:
    return isinstance(value, dict) and not json_values.is_base64(value)
