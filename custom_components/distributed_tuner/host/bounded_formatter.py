"""Log lines of bounded length, whatever they contain."""

from __future__ import annotations

import logging
from types import TracebackType
from typing import Any

from custom_components.distributed_tuner.errors import storable


class BoundedFormatter(logging.Formatter):
    """Cuts the middle out of a very long entry, and of its traceback, see `errors.storable`.

    Otherwise an error that contains a whole table would take some hundred megabytes of the log, each time it is logged.
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
