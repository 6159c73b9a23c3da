"""Converts between TensorProtos and arrays, and checks every rule of the message before converting it.

`tf.make_ndarray` reads the same messages, but trusts them: a dimension of -1, more values than the shape has room for,
or a shape of a terabyte with one value.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from tensorflow.core.framework import tensor_pb2

from model_server.errors import ServingError, invalid_argument
from model_server.signature import Array, DType, dtype_of, show_shape

# numpy's own limit on dimensions.
_MAX_RANK = 32
_MAX_SIZE = np.iinfo(np.int64).max
# How many values are converted in one call: between two calls Python can switch threads.
_PIECE = 32 * 1024
# Fields whose numbers are the bits of the array's values.
_BITS: dict[str, np.dtype[Any]] = {"half_val": np.dtype(np.uint16)}
# Fields with real and imaginary parts in turn.
_PARTS: dict[str, np.dtype[Any]] = {"scomplex_val": np.dtype(np.float32), "dcomplex_val": np.dtype(np.float64)}


def array_to_proto(array: Array, dtype: DType) -> Any:
    """A TensorProto with its values in the typed field, as TensorFlow Serving sends them.

    `tf.make_tensor_proto` packs them into `tensor_content`, so that clients that read `float_val` would find nothing.
    """
    proto = tensor_pb2.TensorProto(dtype=dtype.number)
    for size in array.shape:
        proto.tensor_shape.dim.add().size = size
    stored = _BITS.get(dtype.proto_field) or _PARTS.get(dtype.proto_field) or dtype.numpy
    flat = np.ascontiguousarray(array).reshape(-1)
    values, field = flat if stored == dtype.numpy else flat.view(stored), getattr(proto, dtype.proto_field)
    for start in range(0, len(values), _PIECE):
        field.extend(values[start : start + _PIECE].tolist())
    return proto


def bytes_needed(proto: Any) -> int:
    """How much memory the values of a TensorProto take, including those that fill up its shape; 0 if it is invalid.

    Strings count as often as they are repeated: a model copies each.
    """
    try:
        dtype = dtype_of(proto.dtype)
        size = _check_shape(tuple(int(dim.size) for dim in proto.tensor_shape.dim), proto.tensor_shape.unknown_rank)
    except ServingError:
        return 0
    texts = proto.string_val
    if dtype.numpy.kind != "O" or not texts:
        return int(size * dtype.numpy.itemsize)
    filled = max(0, size - len(texts)) * len(texts[-1])
    return int(size * dtype.numpy.itemsize) + sum(map(len, texts)) + filled


def proto_to_array(name: str, proto: Any, *, max_bytes: int) -> Array:
    """The array of a TensorProto.

    As in TensorFlow Serving, the last value fills up the shape, or a zero if there are no values.

    Args:
        name: the input's name, for messages.
        proto: the message.
        max_bytes: how much memory the array may take, see `bytes_needed`.

    Raises:
        ServingError: INVALID_ARGUMENT, if the shape is invalid, has no room for the values or takes more memory than
            that, or a value is not of the type; UNIMPLEMENTED for types that this server has no arrays for.
    """
    try:
        dtype = dtype_of(proto.dtype)
        shape = tuple(int(dim.size) for dim in proto.tensor_shape.dim)
        size = _check_shape(shape, proto.tensor_shape.unknown_rank)
        if bytes_needed(proto) > max_bytes:
            raise invalid_argument(f"an array of shape {show_shape(shape)} takes more than {max_bytes} bytes")
        if proto.tensor_content:
            return _from_content(proto.tensor_content, dtype, shape, size)
        values = _from_field(getattr(proto, dtype.proto_field), dtype)
        if len(values) > size:
            raise invalid_argument(f"{len(values)} values do not fit into the shape {show_shape(shape)}")
        return _fill_up(values, size, dtype).reshape(shape)
    except ServingError as error:
        words = f"tensor parsing error: {name}. Input {name} is not a well-formed TensorProto: {error.message}"
        raise ServingError(error.code, words) from error


def _check_shape(shape: tuple[int, ...], unknown_rank: bool) -> int:
    if unknown_rank:
        raise invalid_argument("its shape says unknown_rank; values have a rank")
    if len(shape) > _MAX_RANK:
        raise invalid_argument(f"its shape has {len(shape)} dimensions; at most {_MAX_RANK} are possible")
    if any(size < 0 for size in shape):
        raise invalid_argument(f"its shape {show_shape(shape)} has a negative dimension; say how many values there are")
    # Zeros count as ones, as in numpy's own limit.
    if math.prod(size or 1 for size in shape) > _MAX_SIZE:
        raise invalid_argument(f"its shape {show_shape(shape)} has more values than can be counted")
    return math.prod(shape)


def _from_content(content: bytes, dtype: DType, shape: tuple[int, ...], size: int) -> Array:
    if dtype.numpy.kind == "O":
        raise invalid_argument("text belongs into string_val, not into tensor_content")
    wanted = size * dtype.numpy.itemsize
    if len(content) != wanted:
        raise invalid_argument(
            f"tensor_content has {len(content)} bytes, and {dtype.name} of shape {show_shape(shape)} takes {wanted}"
        )
    if dtype.numpy == np.bool_:
        return (np.frombuffer(content, np.uint8) != 0).reshape(shape)
    return np.frombuffer(content, dtype.numpy).reshape(shape)


def _from_field(field: Any, dtype: DType) -> Array:
    if dtype.numpy.kind == "O":
        values = np.empty(len(field), object)
        values[:] = list(field)
        return values
    if dtype.proto_field in _PARTS:
        if len(field) % 2:
            raise invalid_argument(f"{dtype.proto_field} has {len(field)} numbers, of which two make a value")
        return _numbers(field, _PARTS[dtype.proto_field]).view(dtype.numpy)
    stored = _BITS.get(dtype.proto_field, dtype.numpy)
    if stored.kind not in "iu":
        return _numbers(field, stored)
    numbers = _numbers(field, np.dtype(np.uint64 if stored == np.uint64 else np.int64))
    limits = np.iinfo(stored)
    wrong = numbers[(numbers < limits.min) | (numbers > limits.max)] if stored.itemsize < 8 else numbers[:0]
    if wrong.size:
        raise invalid_argument(f"{wrong[0]} in {dtype.proto_field} is no {dtype.name}")
    return numbers.astype(stored).view(dtype.numpy)


def _numbers(field: Any, stored: np.dtype[Any]) -> Array:
    array = np.empty(len(field), stored)
    for start in range(0, len(field), _PIECE):
        array[start : start + _PIECE] = field[start : start + _PIECE]
    return array


def _fill_up(values: Array, size: int, dtype: DType) -> Array:
    if len(values) == size:
        return values
    array = np.empty(size, dtype.numpy)
    array[: len(values)] = values
    array[len(values) :] = values[-1] if len(values) else (b"" if dtype.numpy.kind == "O" else 0)
    return array
