"""Parallel coordinates and the texts on hover, as figures."""

from __future__ import annotations

import pytest

from custom_components.distributed_tuner.record.record import Direction
from custom_components.distributed_tuner.report import axes, hover
from custom_components.distributed_tuner.report.parallel import SHADES, parallel_coordinates
from tests.custom_components.distributed_tuner.report.helpers import completed, search


def trials_by_shade(figure: object) -> dict[int, list[str]]:
    shades = [trace for trace in figure.data if trace.name.startswith("shade ")]  # type: ignore[attr-defined]
    return {
        int(trace.name.split()[1]): list(dict.fromkeys(trial for trial in trace.customdata if trial is not None))
        for trace in shades
    }


@pytest.mark.parametrize(("direction", "best"), [(Direction.MIN, "0"), (Direction.MAX, "15")])
def test_shades_hold_equally_many_trials_and_the_best_have_the_highest(direction: Direction, best: str) -> None:
    record = search(
        *(completed(str(index), float(index), {"units": index}) for index in range(16)), direction=direction
    )
    shades = trials_by_shade(parallel_coordinates(record))
    assert sorted(shades) == list(range(SHADES))
    assert all(len(members) == 2 for members in shades.values())
    assert best in shades[SHADES - 1]


def test_equal_scores_share_a_shade() -> None:
    record = search(*(completed(str(index), 1.0, {"units": index}) for index in range(20)))
    assert list(trials_by_shade(parallel_coordinates(record))) == [SHADES - 1]


def test_a_line_crosses_every_axis_and_a_missing_value_has_a_place() -> None:
    record = search(completed("a", 1.0, {"units": 1, "momentum": 0.9}), completed("b", 2.0, {"units": 2}))
    figure = parallel_coordinates(record)
    assert figure is not None
    assert figure.layout.xaxis.ticktext == ("<b>units</b>", "<b>momentum</b>", "<b>val_loss</b>")
    lines = {trace.customdata[0]: trace for trace in figure.data if trace.name.startswith("shade ")}
    assert lines["b"].x == (0, 1, 2, None)
    assert lines["b"].y[1] == 0.0
    assert axes.NOT_SET in {label.text for label in figure.layout.annotations}


def test_one_hyperparameter_and_one_trial_are_enough() -> None:
    figure = parallel_coordinates(search(completed("a", 1.0, {"units": 1})))
    assert figure is not None
    assert list(trials_by_shade(figure).values()) == [["a"]]


def test_there_is_no_chart_without_a_score_or_without_a_hyperparameter() -> None:
    assert parallel_coordinates(search()) is None
    assert parallel_coordinates(search(completed("a", 1.0, {}))) is None


def test_the_colour_bar_reads_like_the_axis() -> None:
    scores = [1.0, 2.0, 3.0, 4.0, 5.0]
    trials = [completed(str(score), score, {"units": int(score)}) for score in scores]
    for direction, bottom in ((Direction.MIN, f"var(--shade-{SHADES - 1})"), (Direction.MAX, "var(--shade-0)")):
        figure = parallel_coordinates(search(*trials, direction=direction))
        assert figure is not None
        marker = next(trace.marker for trace in figure.data if trace.name == "colour bar")
        assert marker.colorbar.ticktext == ("1", "2", "3", "4", "5")
        assert marker.colorscale[0][1] == bottom


def test_values_are_text_not_markup() -> None:
    record = search(completed("<u>a</u>", 1.0, {"<b>x": "<script>alert(1)</script>"}))
    figure = parallel_coordinates(record)
    assert figure is not None
    assert figure.layout.xaxis.ticktext[0] == "<b>&lt;b&gt;x</b>"
    assert all("<" not in label.text for label in figure.layout.annotations)
    (text,) = hover.trial_texts(record).values()
    assert text == (
        "<b>trial &lt;u&gt;a&lt;/u&gt;</b><br>val_loss: 1.0000<br>&lt;b&gt;x: &lt;script&gt;alert(1)&lt;/script&gt;"
    )


def test_hovering_names_a_dozen_hyperparameters_and_counts_the_others() -> None:
    record = search(completed("a", 1.0, {f"p{index:02}": index for index in range(15)}))
    lines = hover.trial_texts(record)["a"].split("<br>")
    assert len(lines) == 2 + 12 + 1
    assert lines[-1] == "and 3 more"
