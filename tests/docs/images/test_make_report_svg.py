"""The README's picture of a report."""

from __future__ import annotations

from xml.etree import ElementTree

from docs.images import make_report_svg


def test_the_committed_picture_is_what_the_script_draws() -> None:
    drawn = make_report_svg.picture()
    assert make_report_svg.PICTURE.read_text(encoding="utf-8") == drawn, "run python -m docs.images.make_report_svg"


def test_the_picture_is_small_and_loads_nothing() -> None:
    drawn = make_report_svg.picture()
    assert len(drawn.encode()) < 60_000
    tags = {element.tag.rpartition("}")[2] for element in ElementTree.fromstring(drawn).iter()}
    assert tags <= {"svg", "style", "defs", "pattern", "rect", "text", "path", "circle"}
    assert "http" not in drawn.replace("http://www.w3.org/2000/svg", "")
