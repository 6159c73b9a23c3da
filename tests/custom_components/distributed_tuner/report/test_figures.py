"""The curve and the timeline, as figures."""

from __future__ import annotations

import pytest

from custom_components.distributed_tuner.record.record import Direction, Outcome, TrialRecord, TrialStatus
from custom_components.distributed_tuner.report import figures
from tests.custom_components.distributed_tuner.report.helpers import STARTED, completed, search, stay


def test_the_best_so_far_steps_down_and_goes_on_to_the_end() -> None:
    record = search(
        completed("a", 5.0, None, stay(0, 10)),
        completed("b", 7.0, None, stay(0, 20)),
        completed("c", 3.0, None, stay(0, 30)),
    )
    figure = figures.best_so_far(record, STARTED + 100)
    assert figure is not None
    dots, line, improvements = figure.data
    assert sorted(zip(dots.x, dots.y, dots.customdata, strict=True)) == [(10, 5, "a"), (20, 7, "b"), (30, 3, "c")]
    assert list(zip(line.x, line.y, strict=True)) == [(10, 5), (30, 3), (100, 3)]
    assert improvements.customdata == ("a", "c")
    assert figure.layout.xaxis.title.text == "seconds since the start"


def test_the_best_so_far_rises_where_more_is_better() -> None:
    record = search(
        completed("a", 0.5, None, stay(0, 10)), completed("b", 0.7, None, stay(0, 20)), direction=Direction.MAX
    )
    figure = figures.best_so_far(record, STARTED + 100)
    assert figure is not None
    assert figure.data[1].y == (0.5, 0.7, 0.7)
    assert "higher is better" in figure.layout.yaxis.title.text


def test_a_diverged_trial_is_drawn_but_out_of_the_first_view() -> None:
    trials = [completed(str(index), 10.0 + index, None, stay(0, 10 + index)) for index in range(8)]
    figure = figures.best_so_far(search(*trials, completed("x", 1e9)), STARTED + 100)
    assert figure is not None
    assert max(figure.data[0].y) == 1e9
    assert figure.layout.yaxis.range[1] < 20


@pytest.mark.parametrize(
    ("seconds", "unit"), [(100.0, "seconds"), (3600.0, "minutes"), (36_000.0, "hours"), (864_000.0, "days")]
)
def test_the_unit_of_time_follows_the_length_of_the_search(seconds: float, unit: str) -> None:
    record = search(completed("a", 1.0, None, stay(0, seconds)), ended=seconds)
    for figure in (figures.best_so_far(record, STARTED), figures.timeline(record, STARTED)):
        assert figure is not None
        assert figure.layout.xaxis.title.text == f"{unit} since the start"


def test_without_scores_or_times_there_is_no_curve() -> None:
    untimed = TrialRecord("a", TrialStatus.COMPLETED, {"units": 1}, score=1.0)
    assert figures.best_so_far(search(), STARTED) is None
    assert figures.best_so_far(search(untimed), STARTED) is None
    assert figures.timeline(search(untimed), STARTED) is None


def test_the_timeline_has_a_row_a_worker_and_shows_how_each_stay_ended() -> None:
    handed_on = TrialRecord(
        "7",
        TrialStatus.RUNNING,
        {"units": 1},
        stays=(
            stay(0, 10, Outcome.LOST, "worker-2"),
            stay(20, 30, Outcome.RELEASED, "worker-10"),
            stay(40, None, Outcome.RUNNING, "worker-2"),
        ),
    )
    figure = figures.timeline(search(handed_on, completed("8", 1.0), ended=None), STARTED + 50)
    assert figure is not None
    assert figure.layout.yaxis.ticktext == ("w-0", "worker-2", "worker-10")
    bars = {trace.name: trace for trace in figure.data if trace.type == "bar"}
    spans = {name: (bar.y[0], bar.base[0], bar.x[0], bar.customdata[0]) for name, bar in bars.items()}
    assert spans == {
        "lost": (1, 0, 10, "7"),
        "released": (2, 20, 10, "7"),
        "running": (1, 40, 10, "7"),
        "completed": (0, 0, 10, "8"),
    }
    marks = {trace.name: trace for trace in figure.data if trace.type == "scatter"}
    assert {name: (mark.x[0], mark.y[0]) for name, mark in marks.items()} == {
        "lost here": (10, 1),
        "released here": (30, 2),
    }
    assert len({bar.marker.color for bar in bars.values()}) == 4
    assert bars["lost"].marker.pattern.shape and bars["released"].marker.pattern.shape
    assert "stay 1 of 3" in bars["lost"].hovertext[0]


def test_workers_names_are_text_not_markup() -> None:
    record = search(completed("<i>1</i>", 1.0, None, stay(0, 10, worker="<b>w</b>")))
    figure = figures.timeline(record, STARTED)
    assert figure is not None
    assert figure.layout.yaxis.ticktext == ("&lt;b&gt;w&lt;/b&gt;",)
    assert "<i>" not in figure.data[0].hovertext[0]
    assert figure.data[0].text == ("&lt;i&gt;1&lt;/i&gt;",)
