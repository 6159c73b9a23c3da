"""How a chief handles an error while it answers a call, in both of its services."""

from __future__ import annotations

import logging
from collections.abc import Awaitable
from typing import Any, TypeVar

import grpc
import grpc.aio

from custom_components.distributed_tuner.chief.chief import Chief
from custom_components.distributed_tuner.errors import printable
from custom_components.distributed_tuner.oracle.calls import OracleError
from custom_components.distributed_tuner.record import cause
from custom_components.distributed_tuner.rpc.schema import InvalidMessage
from custom_components.distributed_tuner.study.answers import EntriesRefused, StudyError

_LOG = logging.getLogger(__name__)

Answer = TypeVar("Answer")


async def answer(chief: Chief, context: grpc.aio.ServicerContext[Any, Any], work: Awaitable[Answer]) -> Answer:
    """The work's result. A failing oracle or disk ends the search; the caller gets the error as the call's status.

    Args:
      chief: the chief that was called.
      context: the call.
      work: computes the answer.

    Raises:
      grpc.aio.AbortError: the call was refused.
    """
    try:
        return await work
    except InvalidMessage as error:
        _LOG.warning("a message is refused: %s", _told(error))
        await context.abort(grpc.StatusCode.INVALID_ARGUMENT, _told(error))
    except (StudyError, EntriesRefused) as error:
        await context.abort(grpc.StatusCode.FAILED_PRECONDITION, _told(error))
    except OracleError as error:
        chief.give_up(error)
        await context.abort(grpc.StatusCode.ABORTED, _told(error))
    except OSError as error:
        chief.break_down(error)
        await context.abort(grpc.StatusCode.UNAVAILABLE, f"the chief cannot store the search: {error}")
    raise AssertionError("abort raises")


def _told(error: Exception) -> str:
    """The error's first line, shortened to fit a gRPC status: beyond some kilobytes the whole status would be lost."""
    return cause.of_message(printable(str(error).partition("\n")[0]))
