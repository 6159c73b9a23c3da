"""The report as text: what is in it, and that what comes from outside stays text."""

from __future__ import annotations

import dataclasses
import json
import re

import pytest
from plotly.offline import get_plotlyjs

from custom_components.distributed_tuner.record.costs import Price
from custom_components.distributed_tuner.record.record import SearchRecord
from custom_components.distributed_tuner.report.example import example_now, example_record
from custom_components.distributed_tuner.report.html import ROWS_AT_FIRST, render_html
from tests.custom_components.distributed_tuner.report.helpers import STARTED, completed, failed, search, stay


def rendered(record: SearchRecord, **options: object) -> str:
    """The report without plotly.js, which is most of it and not ours."""
    html = render_html(record, generated_at=STARTED + 100, **options)  # type: ignore[arg-type]
    return html.replace(get_plotlyjs(), "")


def tiles(html: str) -> dict[str, str]:
    return dict(re.findall(r"<dt>([^<]*)</dt><dd>([^<]*)", html))


def test_the_header_has_the_figures_of_the_search() -> None:
    record = search(completed("a", 3.0), completed("b", 2.0, {"units": 2}), failed("c", "no"), max_trials=1200)
    assert tiles(rendered(record)) == {
        "Best score": "2.0000",
        "Trials completed": "2 of 1,200",
        "Failed": "1",
        "Running": "0",
        "Distinct configurations": "2",
        "Workers": "1",
        "Wall time": "1 min 40 s",
        "Worker time": "24 s",
    }


def test_the_header_says_why_the_search_ended() -> None:
    record = search(completed("a", 3.0))
    assert '<span class="state ">ended</span>' in rendered(record)
    assert ">ended: no more<" in rendered(dataclasses.replace(record, ran_out="no more"))
    assert ">ended: enough<" in rendered(dataclasses.replace(record, ran_out="no more", stop_reason="enough"))


def test_the_header_has_the_notices_as_text() -> None:
    shown = rendered(dataclasses.replace(search(completed("a", 3.0)), notices=("more is <b>better</b>",)))
    assert '<p class="notice">Note: more is &lt;b&gt;better&lt;/b&gt;</p>' in shown


def test_the_header_has_the_cost_where_prices_are_known() -> None:
    record = search(completed("a", 3.0, {}, stay(0, 72, worker="spot-0")))
    shown = rendered(record, prices={"spot": Price(10.0, 40.0)})
    assert tiles(shown)["Cost of worker time"] == "0.20" and tiles(shown)["Saved by spot"] == "0.60"
    assert "spot: 1 worker, 1 min 12 s with trials, 0.20" in shown


def test_the_leaderboard_has_every_scored_trial_and_marks_the_chosen_ones() -> None:
    trials = [completed(str(index), float(index), {"units": index // 2}) for index in range(6)]
    html = rendered(search(*trials), top_n=2)
    assert re.findall(r'<tr data-trial="(\d)"( class="chosen")?>', html) == [
        ("0", ' class="chosen"'),
        ("1", ""),  # repeats the configuration of 0
        ("2", ' class="chosen"'),
        ("3", ""),
        ("4", ""),
        ("5", ""),
    ]
    assert "The 2 best distinct configurations are highlighted." in html


@pytest.mark.parametrize("count", [0, 1, 2])
def test_few_trials_make_a_whole_page(count: int) -> None:
    html = rendered(search(*(completed(str(index), 1.0) for index in range(count))))
    assert html.startswith("<!doctype html>")
    assert html.rstrip().endswith("</html>")
    assert ("No trial has completed." in html) is (count == 0)


def test_a_page_without_charts_does_not_carry_plotly() -> None:
    assert len(render_html(search(), generated_at=STARTED)) < 30_000


def test_everything_from_outside_is_text() -> None:
    evil = "</script><script>alert(1)</script><!--"
    record = search(
        completed(evil, 1.0, {evil: evil, 'quote"': "x' onload='alert(1)"}),
        failed("f" + evil, f"Traceback (most recent call last):\n  File\nValueError: {evil}"),
        objective=evil,
    )
    html = rendered(record, title=evil)
    assert "alert(1)</script>" not in html
    assert "<!--" not in html
    assert html.count("<script") == html.count("</script>") == 3
    assert 'quote"' not in html.replace("quote&#34;", "").replace('\\"', "")
    payload = json.loads(re.findall(r'<script type="application/json" id="payload">(.*?)</script>', html)[0])
    assert list(payload["texts"]) == [evil]


def test_half_a_character_in_a_value_is_written_out() -> None:
    trials = [completed(name, 1.0, {"file\udce9": f"caf{name}\udce9", "x": 1.0}) for name in "ab"]
    html = rendered(search(*trials, failed("c", "caf\udce9")))
    assert html.encode() and "file\\udce9" in html and "cafa\\udce9" in html


def test_failures_are_grouped_with_the_message_of_the_first() -> None:
    long = "Traceback (most recent call last):\n" + "  File x\n" * 10_000 + "MemoryError: 10 GB"
    html = rendered(search(*(failed(str(index), long) for index in range(300)), failed("z", None)))
    assert html.count("<details") == 2
    assert "300 trials" in html
    assert "and 100 more trials" in html
    assert "characters left out" in html
    assert "No reason was recorded." in html
    assert len(html) < 150_000


def test_two_thousand_trials_stay_within_a_sane_size() -> None:
    record = example_record(2000, 60)
    html = rendered(record)
    assert html.count("<tr data-trial") == len(record.completed()) > 1800
    assert len(html) < 3_500_000
    assert f"The first {ROWS_AT_FIRST} of" in html


def test_equal_arguments_give_an_equal_page() -> None:
    record = example_record(30, 3)
    pages = {render_html(record, generated_at=example_now(record), top_n=2) for _ in range(2)}
    assert len(pages) == 1


def test_the_page_forbids_itself_to_load_anything() -> None:
    html = rendered(search(completed("a", 1.0)))
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy"\s+content="([^"]*)"', html)
    assert policy.startswith("default-src 'none'; script-src 'unsafe-inline';")
    assert "http:" not in html
    assert "https:" not in html
