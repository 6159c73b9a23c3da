"""A real browser for the tests that open a report."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

_PATIENCE_MS = 20_000

Opener = Callable[..., "OpenPage"]


class OpenPage:
    """A report in the browser, and what the browser had to say about it."""

    def __init__(self, page: Page) -> None:
        self.page = page
        page.set_default_timeout(_PATIENCE_MS)
        self.complaints: list[str] = []
        self.requests: list[str] = []
        page.on("console", lambda message: self.complaints.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: self.complaints.append(f"error: {error}"))
        page.on("request", lambda request: self.requests.append(request.url))


# Not for the session: while its driver runs, this thread has an event loop, and `asyncio.run` in other tests fails.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Headless Chromium: the one that CHROMIUM names, else the one on the path."""
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium")
    if chromium is None:
        pytest.skip("Chromium is not installed (apt-get install chromium, or name one with CHROMIUM)")
    expect.set_options(timeout=_PATIENCE_MS)
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        yield running
        running.close()


@pytest.fixture
def open_report(browser: Browser, tmp_path: Path) -> Iterator[Opener]:
    """Opens HTML text from a file in a page of its own; keyword arguments are Playwright's for a page."""
    opened: list[OpenPage] = []

    def open_it(html: str, **options: object) -> OpenPage:
        file = tmp_path / f"report-{len(opened)}.html"
        file.write_text(html, encoding="utf-8")
        options.setdefault("viewport", {"width": 1280, "height": 900})
        report = OpenPage(browser.new_page(**options))  # type: ignore[arg-type]
        opened.append(report)
        report.page.goto(file.as_uri())
        return report

    yield open_it
    for report in opened:
        report.page.close()
