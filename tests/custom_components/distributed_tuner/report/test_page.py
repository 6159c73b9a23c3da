"""Opens reports in a real browser: what the reader gets."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from custom_components.distributed_tuner.record.record import SearchRecord
from custom_components.distributed_tuner.report.example import example_now, example_record
from custom_components.distributed_tuner.report.html import ROWS_AT_FIRST, render_html
from tests.custom_components.distributed_tuner.report.conftest import Opener, OpenPage
from tests.custom_components.distributed_tuner.report.helpers import completed, failed, search

DARK_INK = "rgb(228, 233, 239)"
LIGHT_INK = "rgb(28, 36, 48)"


def rendered(record: SearchRecord, top_n: int = 3) -> str:
    return render_html(record, generated_at=example_now(record), top_n=top_n)


def assert_sound(report: OpenPage) -> None:
    """No complaint of the browser, nothing fetched but the file itself, nothing wider than the window."""
    assert report.complaints == []
    fetched = [url for url in report.requests if not url.startswith("data:")]
    assert [url.partition(":")[0] for url in fetched] == ["file"]
    assert report.page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def trace_names(page: Page, chart: str) -> list[str]:
    names: list[str] = page.evaluate(f"document.getElementById('{chart}').data.map((trace) => trace.name)")
    return names


def expect_ink(page: Page, chart: str, colour: str) -> None:
    expect(page.locator(f"#{chart} .xtick text").first).to_have_css("fill", colour)


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_the_example_renders_on_a_desk_and_on_a_phone(open_report: Opener, width: int, scheme: str) -> None:
    record = example_record(ended=False)
    report = open_report(rendered(record), viewport={"width": width, "height": 850}, color_scheme=scheme)
    page = report.page
    expect(page.locator(".chart .main-svg").first).to_be_visible()
    assert_sound(report)
    assert page.locator("#curve .points path").count() >= len(record.completed())
    assert trace_names(page, "curve") == ["completed trial", "best so far", "improvement"]
    stays = sum(len(trial.stays) for trial in record.trials)
    assert page.locator("#timeline .bars .point").count() == stays
    assert page.locator("#timeline .ytick").count() == len(record.workers())
    lines = page.evaluate("document.getElementById('parallel').data.flatMap((t) => t.customdata || []).filter(Boolean)")
    assert set(lines) == {trial.trial_id for trial in record.completed()}
    assert page.locator("#parallel .js-line").count() == len(record.completed())
    expect_ink(page, "timeline", DARK_INK if scheme == "dark" else LIGHT_INK)


def test_the_charts_follow_a_change_of_scheme_and_paper_is_light(open_report: Opener) -> None:
    report = open_report(rendered(example_record(12, 3)), color_scheme="light")
    page = report.page
    chart = page.locator("#timeline .main-svg").first
    expect_ink(page, "curve", LIGHT_INK)
    page.emulate_media(color_scheme="dark")
    expect_ink(page, "curve", DARK_INK)
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    expect_ink(page, "curve", LIGHT_INK)
    expect(chart).to_have_css("width", "690px")
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    expect_ink(page, "curve", DARK_INK)
    expect(chart).not_to_have_css("width", "690px")
    assert page.pdf(format="A4").startswith(b"%PDF")
    assert_sound(report)


def test_the_leaderboard_sorts_both_ways_with_what_is_missing_last(open_report: Opener) -> None:
    trials = (
        completed("a", 1.0, {"units": 9, "rate": 0.5}),
        completed("b", 2.0, {"units": 10}),
        completed("c", 3.0, {"units": 8, "rate": 0.001}),
    )
    report = open_report(rendered(search(*trials)))
    page = report.page

    def order() -> list[str | None]:
        return [row.get_attribute("data-trial") for row in page.locator("#leaderboard tbody tr").all()]

    def press(column: str) -> str | None:
        page.get_by_role("button", name=column, exact=True).click()
        return page.locator("#leaderboard th", has_text=column).get_attribute("aria-sort")

    assert order() == ["a", "b", "c"]
    assert press("units") == "ascending"
    assert order() == ["c", "a", "b"]
    assert press("rate") == "ascending"
    assert order() == ["c", "a", "b"]
    assert press("rate") == "descending"
    assert order() == ["a", "c", "b"]
    assert press("trial") == "ascending"
    assert press("trial") == "descending"
    assert order() == ["c", "b", "a"]
    assert_sound(report)


def test_a_trial_picked_in_the_table_shows_in_every_chart_until_let_go(open_report: Opener) -> None:
    record = example_record()
    report = open_report(rendered(record))
    page = report.page
    button = page.locator("#leaderboard tbody button").first
    button.click()
    expect(button).to_have_attribute("aria-pressed", "true")
    best = record.completed()[0]
    axes = page.locator("#parallel .xtick").count()
    for chart, points in (("curve", 1), ("parallel", axes), ("timeline", 2 * len(best.stays))):
        assert trace_names(page, chart)[-1] == "picked trial"
        drawn = page.evaluate(f"document.getElementById('{chart}').data.at(-1).x.filter(Number.isFinite).length")
        assert drawn == points
    page.locator("#curve .points path").first.hover(force=True)
    expect(page.locator("#curve .hovertext")).to_contain_text("trial ")
    expect(page.locator("#curve .hovertext")).to_contain_text("hidden_size: ")
    button.click()
    expect(button).to_have_attribute("aria-pressed", "false")
    assert "picked trial" not in trace_names(page, "curve")
    assert_sound(report)


def test_a_double_click_shows_the_scores_out_of_range(open_report: Opener) -> None:
    trials = [completed(str(index), 10.0 + index) for index in range(8)]
    report = open_report(rendered(search(*trials, completed("x", 1e6))))
    page = report.page
    expect(page.get_by_text("1 trial with a far worse score lies outside the range shown")).to_be_visible()
    top = "document.getElementById('curve').layout.yaxis.range[1]"
    assert page.evaluate(top) < 100
    page.locator("#curve .nsewdrag").dblclick()
    expect(page.locator("#curve .ytick").last).to_have_text("1M")
    assert page.evaluate(top) > 1e6
    assert_sound(report)


def test_a_failures_traceback_opens(open_report: Opener) -> None:
    message = "Traceback (most recent call last):\n  File x, line 1\nValueError: too <b>large</b>"
    report = open_report(rendered(search(failed("a", message), failed("b", message), completed("c", 1.0))))
    page = report.page
    traceback = page.locator("details pre")
    expect(traceback).to_be_hidden()
    page.get_by_text("ValueError: too <b>large</b>").first.click()
    expect(traceback).to_be_visible()
    assert traceback.inner_text().strip() == message
    assert_sound(report)


@pytest.mark.parametrize("count", [0, 1])
def test_few_trials_render(open_report: Opener, count: int) -> None:
    report = open_report(rendered(search(*(completed(str(index), 1.5) for index in range(count)))))
    assert_sound(report)
    assert report.page.locator(".chart .main-svg").first.is_visible() is (count > 0)
    assert report.page.locator("#leaderboard tbody tr").count() == count
    assert report.page.locator(".empty").count() == (5 if count == 0 else 1)


def test_a_hostile_value_runs_nothing(open_report: Opener) -> None:
    evil = "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">"
    record = search(
        completed(evil, 1.0, {evil: evil, "</script>": 0.5}),
        failed("x", f"ValueError: {evil}"),
        objective=evil,
    )
    report = open_report(rendered(record))
    report.page.locator("#curve .points path").first.hover(force=True)
    expect(report.page.locator("#curve .hovertext")).to_contain_text("<script>")
    assert report.page.title() == "Search report: bikes"
    assert report.page.locator("img").count() == 0
    assert_sound(report)


def test_two_thousand_trials_render(open_report: Opener) -> None:
    record = example_record(2000, 60)
    report = open_report(rendered(record))
    page = report.page
    rows = page.locator("#leaderboard tbody tr")
    assert page.locator("#leaderboard tbody tr:visible").count() == ROWS_AT_FIRST
    page.get_by_role("button", name="Show all").click()
    assert rows.last.is_visible()
    assert rows.count() == len(record.completed())
    assert page.locator("#timeline .bars .point").count() == sum(len(trial.stays) for trial in record.trials)
    assert_sound(report)
