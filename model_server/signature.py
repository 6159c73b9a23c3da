"""A model's inputs and outputs: the signatures of a SavedModel, without TensorFlow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np
import numpy.typing as npt

from model_server.errors import invalid_argument, unimplemented

Array = npt.NDArray[Any]

DEFAULT_SIGNATURE = "serving_default"


@dataclass(frozen=True)
class DType:
    """A tensor's type.

    Attributes:
        number: the value in TensorFlow's DataType enum.
        name: as TensorFlow Serving's messages spell it.
        numpy: the type of the array; strings are arrays of `bytes` objects.
        proto_field: the field of a TensorProto that holds the values.
        in_json: whether TensorFlow Serving has a JSON form for it.
    """

    number: int
    name: str
    numpy: np.dtype[Any]
    proto_field: str
    in_json: bool = True


# Numbers from tensorflow/core/framework/types.proto, where they are fixed for good.
_DTYPES = (
    DType(1, "float", np.dtype(np.float32), "float_val"),
    DType(2, "double", np.dtype(np.float64), "double_val"),
    DType(3, "int32", np.dtype(np.int32), "int_val"),
    DType(4, "uint8", np.dtype(np.uint8), "int_val"),
    DType(5, "int16", np.dtype(np.int16), "int_val"),
    DType(6, "int8", np.dtype(np.int8), "int_val"),
    DType(7, "string", np.dtype(object), "string_val"),
    DType(8, "complex64", np.dtype(np.complex64), "scomplex_val", in_json=False),
    DType(9, "int64", np.dtype(np.int64), "int64_val"),
    DType(10, "bool", np.dtype(np.bool_), "bool_val"),
    DType(14, "bfloat16", np.dtype(ml_dtypes.bfloat16), "half_val", in_json=False),
    DType(17, "uint16", np.dtype(np.uint16), "int_val", in_json=False),
    DType(18, "complex128", np.dtype(np.complex128), "dcomplex_val", in_json=False),
    DType(19, "half", np.dtype(np.float16), "half_val", in_json=False),
    DType(22, "uint32", np.dtype(np.uint32), "uint32_val"),
    DType(23, "uint64", np.dtype(np.uint64), "uint64_val"),
)
_BY_NUMBER = {dtype.number: dtype for dtype in _DTYPES}
_BY_NUMPY = {dtype.numpy: dtype for dtype in _DTYPES}


def dtype_of(number: int) -> DType:
    """The type with this number in TensorFlow's enum; raises UNIMPLEMENTED for one without arrays here."""
    if number not in _BY_NUMBER:
        raise unimplemented(f"This server has no form for tensors of TensorFlow's data type number {number}")
    return _BY_NUMBER[number]


def has_json(array: Array) -> bool:
    """Whether TensorFlow Serving has a JSON form for arrays of this type."""
    dtype = _BY_NUMPY.get(array.dtype)
    return dtype is not None and dtype.in_json


@dataclass(frozen=True)
class TensorSpec:
    """One input or output.

    Attributes:
        tensor: the tensor's name in the graph; empty if it consists of several, like a sparse one.
        dtype_number: its type, a number of TensorFlow's DataType.
        shape: its dimensions, -1 for one of any size; None for a tensor of any rank.
    """

    tensor: str
    dtype_number: int
    shape: tuple[int, ...] | None

    @property
    def dtype(self) -> DType:
        """The type; raises UNIMPLEMENTED if this server has no form for it."""
        return dtype_of(self.dtype_number)

    def accepts(self, shape: tuple[int, ...]) -> bool:
        """Whether an array of `shape` fits."""
        if self.shape is None:
            return True
        return len(shape) == len(self.shape) and all(
            want in (-1, have) for want, have in zip(self.shape, shape, strict=True)
        )


@dataclass(frozen=True)
class Signature:
    """A named set of inputs and outputs."""

    name: str
    inputs: Mapping[str, TensorSpec]
    outputs: Mapping[str, TensorSpec]


def from_proto(name: str, signature_def: Any) -> Signature:
    """Reads a SignatureDef."""

    def specs(infos: Mapping[str, Any]) -> dict[str, TensorSpec]:
        return {key: _spec(infos[key]) for key in sorted(infos)}

    return Signature(name, specs(signature_def.inputs), specs(signature_def.outputs))


def _spec(info: Any) -> TensorSpec:
    shape = None if info.tensor_shape.unknown_rank else tuple(int(dim.size) for dim in info.tensor_shape.dim)
    return TensorSpec(info.name, info.dtype, shape)


def check_inputs(signature: Signature, inputs: Mapping[str, Array]) -> None:
    """Raises INVALID_ARGUMENT unless `inputs` are exactly the signature's, each with its type and shape.

    TensorFlow Serving leaves the shape to whichever operation fails on it, or to broadcasting; here it is checked.
    """
    _check_names(signature, inputs)
    for name, array in inputs.items():
        spec = signature.inputs[name]
        if not spec.tensor:
            raise unimplemented(f"Input {name} of signature {signature.name} is not a dense tensor")
        if array.dtype != spec.dtype.numpy:
            have = "string" if array.dtype == object else array.dtype.name
            raise invalid_argument(
                f"Input {name} is of type {have}, but signature {signature.name} wants {spec.dtype.name}"
            )
        if spec.shape is not None and not spec.accepts(array.shape):
            raise invalid_argument(
                f"Input {name} has shape {show_shape(array.shape)}, but signature {signature.name} wants "
                f"{show_shape(spec.shape)} (-1 is any size){_hint(array.shape, spec.shape)}"
            )


def _check_names(signature: Signature, inputs: Mapping[str, Array]) -> None:
    have, want = set(inputs), set(signature.inputs)
    if len(have) != len(want):
        raise invalid_argument(
            f"input size does not match signature: {len(have)}!={len(want)} "
            f"len({_names(have)}) != len({_names(want)}). "
            f"Sent extra: {_names(have - want)}. Missing but required: {_names(want - have)}."
        )
    for name in sorted(have - want):
        raise invalid_argument(
            f"input tensor alias not found in signature: {name}. Inputs expected to be in the set {_names(want)}."
        )


def _hint(have: tuple[int, ...], want: tuple[int, ...]) -> str:
    if len(have) + 1 == len(want) and want[-1] == 1:
        return ". Put each value into a list of one: [5.0] for 5.0"
    if len(have) == len(want) + 1 and have[-1] == 1:
        return ". Send each value by itself, not in a list: 5.0 for [5.0]"
    return ""


def _names(names: set[str]) -> str:
    return "{" + ",".join(sorted(names)) + "}"


def show_shape(shape: tuple[int, ...]) -> str:
    """A shape as TensorFlow Serving writes it: [2,-1]."""
    return "[" + ",".join(map(str, shape)) + "]"
