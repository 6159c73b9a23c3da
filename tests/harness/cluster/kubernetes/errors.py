"""What the harness raises: each message is one line for the person who runs the tests."""

from __future__ import annotations


class HarnessError(RuntimeError):
    """The harness cannot go on: what happened, the likely cause, what to do."""


class ApiError(RuntimeError):
    """The API server refused a request, or did not answer.

    Args:
      status: the HTTP status, 0 where no answer came.
      reason: Kubernetes' word for it, such as `NotFound`.
      message: the server's own sentence.
      retry_after: seconds after which the server wants to be asked again, if it said so.
    """

    def __init__(self, status: int, reason: str, message: str, retry_after: float | None = None) -> None:
        super().__init__(f"{status} {reason}: {message}")
        self.status = status
        self.reason = reason
        self.message = message
        self.retry_after = retry_after
