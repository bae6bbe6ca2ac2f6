"""The charts of an evaluation, read back from the figure."""

import pytest

from anomaly import charts, messages


@pytest.mark.parametrize("language", messages.languages())
def test_one_curve_a_size_told_apart_by_marker_and_colour(language):
    curves = {1.5: ([1.0, 10.0], [0.0, 0.2]), 5.0: ([1.0, 10.0], [0.5, 1.0])}
    font = charts.chinese_font()
    (axes,) = charts.detection_rates_figure(curves, "capacity", (1, 10), language, font).axes
    assert [line.get_label() for line in axes.lines] == ["×1.5", "×5"]
    assert axes.lines[1].get_ydata().tolist() == [50.0, 100.0]
    assert len({(line.get_marker(), line.get_color()) for line in axes.lines}) == 2
    assert axes.get_xscale() == "log"


def test_days_are_on_a_plain_axis_and_no_curves_are_an_empty_chart():
    (axes,) = charts.detection_rates_figure({}, "day", (0, 10), "zh", None).axes
    assert axes.get_xscale() == "linear" and not axes.lines
    assert axes.get_xlabel() == "days since the first day of the surge"  # English, for want of a font
