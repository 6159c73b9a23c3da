"""Runs a coroutine in a test whose own thread may have an event loop already, as a browser's driver leaves behind."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any


def run(work: Coroutine[Any, Any, None], seconds: float = 60.0) -> None:
    """Runs it to its end in a thread of its own."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(asyncio.run, work).result(seconds)
