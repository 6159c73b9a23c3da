"""HTML pages, which a proxy or another server sends in place of the API server's answer."""

from __future__ import annotations

import html.parser

# Most of a page that is read, and of its words that are shown, in characters.
_READ = 20_000
_SHOWN = 80
_UNSEEN = ("script", "style")


def is_page(text: str) -> bool:
    """Whether the text is HTML or XML. The API server sends JSON, and plain text at times."""
    return text.lstrip("\ufeff \t\r\n").startswith("<")


def words(text: str) -> str:
    """The first words that a person would see, in one line; of text that is not a page, simply its first words."""
    if not is_page(text):
        return " ".join(text[:_SHOWN].split())
    page = _Page()
    page.feed(text[:_READ])
    page.close()
    return " ".join(" ".join(page.seen).split())[:_SHOWN].strip()


class _Page(html.parser.HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []
        self._inside: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _UNSEEN:
            self._inside = tag

    def handle_endtag(self, tag: str) -> None:
        if tag == self._inside:
            self._inside = None

    def handle_data(self, data: str) -> None:
        if self._inside is None:
            self.seen.append(data)
