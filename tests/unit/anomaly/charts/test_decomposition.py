"""The drawing of signals taken apart, read back from its SVG."""

import re
from datetime import timedelta
from xml.etree import ElementTree

import polars as pl
import pytest

from anomaly import charts
from tests.support.report_pages import LEVELS, NIGHT, ONSET, UNITS


def drawn(parts=LEVELS, language="en", units=UNITS):
    return ElementTree.fromstring(charts.decomposition_svg(parts, units, ONSET, NIGHT, language))


def texts(svg):
    return [one.text for one in svg.iter("text")]


def paths(svg, **look):
    return [
        one.get("d")
        for one in svg.iter("path")
        if all(one.get(name.replace("_", "-")) == value for name, value in look.items())
    ]


def test_each_signal_is_a_row_of_level_week_and_remainder():
    svg = drawn(LEVELS.filter(pl.col("signal") != "water"))
    titles = [
        text
        for text in texts(svg)
        if text.startswith(("Entries", "Power")) or text in ("weekly pattern", "residual")
    ]
    entries, power = "Entries: trend, passages a day", "Power: trend, kWh a day"
    assert titles == [entries, "residual", "weekly pattern", power, "residual", "weekly pattern"]
    assert "14 Mar" in texts(svg) and texts(svg)[-7:] == ["M", "T", "W", "T", "F", "S", "S"]
    assert "进门人次：趋势（人次/日）" in texts(drawn(language="zh"))


def test_the_level_is_drawn_to_its_scale():
    # entries: level 6, largest 21: the panel is 18 to 68 and reaches 1.12 · 21
    (line,) = paths(drawn(LEVELS.filter(pl.col("signal") == "entries")), stroke_width="1.8")
    (height,) = {float(y) for y in re.findall(r"[ML][\d.]+ ([\d.]+)", line)}
    assert height == pytest.approx(68 - 50 * 6 / (1.12 * 21), abs=0.06)
    assert line.count("M") == 1 and line.endswith(f"L300.0 {height}")


def test_a_day_without_a_row_is_a_gap_in_the_line():
    gap = LEVELS.filter(
        (pl.col("signal") == "entries")
        & ~pl.col("day").is_between(NIGHT - timedelta(days=20), NIGHT - timedelta(days=15))
    )
    (line,) = paths(drawn(gap), stroke_width="1.8")
    assert line.count("M") == 2


def test_the_week_stands_monday_first_above_and_below_its_level():
    bars = [
        one
        for one in drawn(LEVELS.filter(pl.col("signal") == "water")).iter("rect")
        if one.get("width") == "8"
    ]
    heights = [float(bar.get("height")) for bar in bars]
    assert heights == [0, 0, 0, 0, 0, 20.0, 10.0]  # ±0.25 on 50 units: Saturday 1.2, Sunday 0.9
    assert float(bars[5].get("y")) < float(bars[6].get("y")) == float(bars[0].get("y"))


def test_a_remainder_is_a_stroke_in_logarithms_within_the_panel():
    odd = LEVELS.filter(pl.col("signal") == "water").with_columns(
        remainder=pl.when(pl.col("day") == NIGHT).then(8.0).otherwise(1.0)
    )
    svg = drawn(odd)
    assert {"1/4", "1", "4"} <= set(texts(svg))
    (strokes,) = paths(svg, stroke_width=".9")
    ends = [float(y) for y in re.findall(r"V([\d.]+)", strokes)]
    assert ends[-1] == pytest.approx(43 - 25 / 1.08, abs=0.06) and set(ends[:-1]) == {43.0}


def test_the_stretch_is_hatched_and_bracketed_to_the_night():
    boxes = [one for one in drawn().iter("rect") if one.get("fill") == "url(#hatch)"]
    assert len(boxes) == 6 and {float(box.get("x")) + float(box.get("width")) for box in boxes} == {
        300.0,
        700.0,
    }
    assert len({box.get("x") for box in boxes}) == 2


@pytest.mark.parametrize(
    "parts", [LEVELS.filter(pl.col("signal") == "water").head(1), LEVELS.with_columns(value=0.0, level=0.0)]
)
def test_little_or_nothing_still_draws(parts):
    assert texts(drawn(parts))


def test_names_from_outside_are_escaped():
    svg = drawn(LEVELS.with_columns(signal=pl.lit("<b>x")), units={"<b>x": "litre"})
    assert "<b>x: trend, L a day" in texts(svg)
