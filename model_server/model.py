"""A loaded SavedModel: its graph in a session of its own, run the way TensorFlow Serving runs it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import config_pb2

from model_server import signature as signatures
from model_server.errors import ServingError, from_number, invalid_argument, unimplemented
from model_server.signature import Array, Signature

_TAGS = ("serve",)
# What Python's TensorFlow adds around an operation's message; of no use to the client.
_HEADING = "Graph execution error:\n\n"
_ORIGIN = "\n\nOriginal stack trace"


# Runs a signature on the values of its inputs, in order, and returns those of its outputs.
_Run = Callable[[Sequence[Array]], Sequence[Any]]


class LoadError(Exception):
    """A directory does not hold a model that can be loaded."""


class Model:
    """A version of a model. Any number of threads may call `predict` at once.

    The graph is run through a session, not through `tf.saved_model.load`: that is what TensorFlow Serving does, it
    loads any SavedModel whether or not Keras made it, and `close` frees the memory.
    """

    def __init__(self, session: Any, signature_defs: Mapping[str, Any]) -> None:
        """Takes over an open session with the graph and the variables loaded."""
        self._session = session
        self.signature_defs = dict(signature_defs)
        self._signatures = {name: signatures.from_proto(name, proto) for name, proto in signature_defs.items()}
        self._prepared: dict[str, _Run] = {}

    @classmethod
    def load(cls, directory: Path) -> Model:
        """Loads a SavedModel.

        Raises:
            LoadError: TensorFlow rejects the files, which may be missing, truncated or of another kind.
            Exception: whatever else a broken file makes TensorFlow or protobuf raise.
        """
        config = tf.compat.v1.ConfigProto()
        config.gpu_options.allow_growth = True
        graph = tf.Graph()
        session = tf.compat.v1.Session(graph=graph, config=config)
        try:
            with graph.as_default():
                meta_graph = tf.compat.v1.saved_model.load(session, list(_TAGS), str(directory))
        except tf.errors.OpError as error:
            session.close()
            raise LoadError(_own_words(error)) from error
        except BaseException:
            session.close()
            raise
        return cls(session, meta_graph.signature_def)

    def close(self) -> None:
        """Frees the graph and the variables."""
        self._prepared.clear()
        self._session.close()

    def signature(self, name: str) -> Signature | None:
        """The signature with this name, or None."""
        return self._signatures.get(name)

    def predict(
        self, signature: Signature, inputs: Mapping[str, Array], output_filter: Iterable[str] = ()
    ) -> dict[str, Array]:
        """Runs a signature.

        Args:
            signature: one of this model's.
            inputs: an array for each input, of its type and shape.
            output_filter: the outputs wanted; none means all.

        Returns:
            The outputs by name; strings as `bytes` objects.

        Raises:
            ServingError: INVALID_ARGUMENT for inputs or outputs that do not match the signature, or with the code that
                TensorFlow gave the operation that failed.
        """
        signatures.check_inputs(signature, inputs)
        fetches = _fetches(signature, list(output_filter))
        run = self._session_run(signature, fetches) if output_filter else self._whole_run(signature, fetches)
        try:
            outputs = run([inputs[name] for name in signature.inputs])
        except tf.errors.OpError as error:
            raise from_number(error.error_code, _own_words(error)) from error
        except (TypeError, ValueError) as error:
            raise ServingError(grpc.StatusCode.INTERNAL, f"The model could not be run: {error}") from error
        named = zip(fetches, outputs, strict=True)
        return {name: np.asarray(value) if np.ndim(value) else _scalar(value) for name, value in named}

    def _whole_run(self, signature: Signature, fetches: Mapping[str, str]) -> _Run:
        """Returns the function that runs a whole signature, prepared once: `Session.run` looks up each tensor by name
        at each call, which takes ten times as long as a small model."""
        run = self._prepared.get(signature.name)
        if run is None:
            run = self._prepared[signature.name] = self._prepare(signature, fetches)
        return run

    def _prepare(self, signature: Signature, fetches: Mapping[str, str]) -> _Run:
        options = config_pb2.CallableOptions()
        options.feed.extend(spec.tensor for spec in signature.inputs.values())
        options.fetch.extend(fetches.values())
        try:
            call = self._session._make_callable_from_options(options)
        except tf.errors.OpError:  # a callable rejects duplicate tensors, `run` accepts them
            return self._session_run(signature, fetches)

        def run(values: Sequence[Array]) -> Sequence[Any]:
            return call(*values)

        return run

    def _session_run(self, signature: Signature, fetches: Mapping[str, str]) -> _Run:
        feeds = [spec.tensor for spec in signature.inputs.values()]
        return lambda values: self._session.run(list(fetches.values()), dict(zip(feeds, values, strict=True)))


def _own_words(error: Any) -> str:
    message: str = error.message
    return message.removeprefix(_HEADING).split(_ORIGIN)[0]


def _scalar(value: Any) -> Array:
    return np.asarray(value, dtype=object) if isinstance(value, bytes) else np.asarray(value)


def _fetches(signature: Signature, output_filter: list[str]) -> dict[str, str]:
    for name in output_filter:
        if name not in signature.outputs:
            known = "{" + ",".join(sorted(signature.outputs)) + "}"
            raise invalid_argument(
                f"output tensor alias not found in signature: {name} Outputs expected to be in the set {known}."
            )
        if output_filter.count(name) > 1:
            raise invalid_argument(f"duplicate output tensor alias: {name}")
    names = output_filter or list(signature.outputs)
    for name in names:
        if not signature.outputs[name].tensor:
            raise unimplemented(f"Output {name} of signature {signature.name} is not a dense tensor")
    return {name: signature.outputs[name].tensor for name in names}
