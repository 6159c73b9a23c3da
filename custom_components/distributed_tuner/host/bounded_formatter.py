"""Lines of a log that nobody has to wait for, whatever is in them."""

from __future__ import annotations

import logging
from types import TracebackType
from typing import Any

from custom_components.distributed_tuner.errors import storable


class BoundedFormatter(logging.Formatter):
    """Leaves the middle out of an entry that is very long, and of its traceback, see `errors.storable`.

    An error that holds a whole table would be some hundred megabytes in the log otherwise, once for each time that it
    is told.
    """

    def format(self, record: logging.LogRecord) -> str:
        """See `logging.Formatter`."""
        return storable(super().format(record))

    def formatException(  # noqa: N802
        self, ei: tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]
    ) -> str:
        """See `logging.Formatter`."""
        told: Any = super().formatException(ei)
        return storable(told)
