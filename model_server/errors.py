"""The one error that a request can end with, and its code in each of the two protocols."""

from __future__ import annotations

import grpc

_HTTP_STATUS = {
    grpc.StatusCode.CANCELLED: 499,
    grpc.StatusCode.INVALID_ARGUMENT: 400,
    grpc.StatusCode.FAILED_PRECONDITION: 400,
    grpc.StatusCode.OUT_OF_RANGE: 400,
    grpc.StatusCode.UNAUTHENTICATED: 401,
    grpc.StatusCode.PERMISSION_DENIED: 403,
    grpc.StatusCode.NOT_FOUND: 404,
    grpc.StatusCode.ALREADY_EXISTS: 409,
    grpc.StatusCode.ABORTED: 409,
    grpc.StatusCode.RESOURCE_EXHAUSTED: 429,
    grpc.StatusCode.UNIMPLEMENTED: 501,
    grpc.StatusCode.UNAVAILABLE: 503,
    grpc.StatusCode.DEADLINE_EXCEEDED: 504,
}
# Messages quote the client's names, and TensorFlow's may contain a whole graph.
_MAX_MESSAGE = 2000
_BY_NUMBER = {code.value[0]: code for code in grpc.StatusCode}


class ServingError(Exception):
    """A request that cannot be answered: a status code and a message for the person who sent it."""

    def __init__(self, code: grpc.StatusCode, message: str, *, http_status: int | None = None) -> None:
        """Stores what goes into the answer.

        Args:
            code: the canonical status.
            message: for the person who sent the request.
            http_status: the HTTP status; None takes the one that TensorFlow Serving answers with for this code.
        """
        if len(message) > _MAX_MESSAGE:
            message = message[:_MAX_MESSAGE] + "..."
        super().__init__(message)
        self.code = code
        self.message = message
        self.http_status = _HTTP_STATUS.get(code, 500) if http_status is None else http_status

    def __str__(self) -> str:
        """The code and the message, in the form that TensorFlow Serving nests in its own messages."""
        return f"{self.code.name}: {self.message}"


def invalid_argument(message: str) -> ServingError:
    """The request is wrong in itself (HTTP 400)."""
    return ServingError(grpc.StatusCode.INVALID_ARGUMENT, message)


def not_found(message: str) -> ServingError:
    """The model or the version does not exist (HTTP 404)."""
    return ServingError(grpc.StatusCode.NOT_FOUND, message)


def unimplemented(message: str) -> ServingError:
    """This server does not support that (HTTP 501)."""
    return ServingError(grpc.StatusCode.UNIMPLEMENTED, message)


def too_large(message: str) -> ServingError:
    """The request is larger than this server accepts (HTTP 413)."""
    words = f"{message}. Send fewer rows at a time"
    return ServingError(grpc.StatusCode.RESOURCE_EXHAUSTED, words, http_status=413)


def busy(message: str) -> ServingError:
    """The server is overloaded; the same request may succeed later (HTTP 503)."""
    return ServingError(grpc.StatusCode.UNAVAILABLE, message)


def internal() -> ServingError:
    """A fault of this server (HTTP 500), reported to the client without internals."""
    return ServingError(grpc.StatusCode.INTERNAL, "The server failed on this request; its log says where")


def from_number(number: int, message: str) -> ServingError:
    """An error with a canonical code given as a number; TensorFlow's own errors carry one."""
    return ServingError(_BY_NUMBER.get(number, grpc.StatusCode.UNKNOWN), message)
