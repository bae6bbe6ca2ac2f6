"""The chart of a case: what is drawn of a home, read back from the figure, and the same picture as pixels."""

import dataclasses
import re
from datetime import timedelta

import numpy as np
import polars as pl
import pytest
from matplotlib.dates import date2num, num2date
from matplotlib.ft2font import FT2Font
from matplotlib.text import Text

from anomaly import charts, messages
from anomaly.charts import case
from anomaly.charts.background import CHART_DAYS
from anomaly.charts.style import has_han
from tests.support.report_pages import CALENDAR, NIGHT, ONSET, SERIES, UNITS

CHART = charts.CaseChart(SERIES, UNITS, CALENDAR, ONSET, NIGHT)


def figure(language="en", font=None, **changed):
    return charts.case_figure(dataclasses.replace(CHART, **changed), language, font)


def artist(fig, signal, label):
    """Return what is drawn of a signal under a label, None where nothing is."""
    axes = next(axes for axes in fig.axes if axes.get_label() == signal)
    return next((child for child in axes.get_children() if child.get_label() == label), None)


def texts(fig):
    fig.draw_without_rendering()
    return [text.get_text() for text in fig.findobj(Text) if text.get_text() and text.get_visible()]


def test_observed_and_expected_are_the_series_in_readable_units():
    fig = figure()
    line = artist(fig, "power", "observed")
    assert len(line.get_ydata()) == CHART_DAYS
    assert line.get_ydata()[-1] == pytest.approx(9.1)  # 9,100 Wh
    assert artist(fig, "power", "expected").get_ydata()[-1] == pytest.approx(9.0)
    assert artist(fig, "water", "observed").get_ydata()[-1] == 720  # L: under 10,000
    assert num2date(line.get_xdata()[-1]).date() == NIGHT
    titles = ["Entries, passages a day", "Water, L a day", "Power, kWh a day"]
    assert [text for text in texts(fig) if text.endswith(" a day")] == titles


def test_large_water_is_shown_in_cubic_metres():
    fig = figure(series={"water": SERIES["water"].with_columns(pl.col("value") * 100)})
    assert "Water, m³ a day" in texts(fig)
    assert artist(fig, "water", "observed").get_ydata()[-1] == pytest.approx(72.0)


def test_the_band_lies_between_low_and_high():
    band = artist(figure(), "water", "range")
    heights = np.vstack([path.vertices for path in band.get_paths()])[:, 1]
    assert heights.min() == pytest.approx(180) and heights.max() == pytest.approx(450)


def test_a_missing_day_is_a_gap_and_a_mark_never_a_value():
    fig = figure()
    observed = artist(fig, "water", "observed")
    gaps = [num2date(x).date() for x in observed.get_xdata()[np.isnan(observed.get_ydata())]]
    assert gaps == [NIGHT - timedelta(days=back) for back in (41, 40, 2)]
    assert [num2date(x).date() for x in artist(fig, "water", "not judged").get_xdata()] == gaps


def test_a_doubtful_day_is_a_hollow_point_off_the_line():
    is_doubtful = pl.col("day") == NIGHT - timedelta(days=10)
    quality = pl.when(is_doubtful).then(pl.lit("doubtful")).otherwise("quality")
    fig = figure(series={"power": SERIES["power"].with_columns(quality=quality)})
    assert np.isnan(artist(fig, "power", "observed").get_ydata()[-11])
    hollow = artist(fig, "power", "doubtful")
    assert hollow.get_ydata().tolist() == [pytest.approx(9.001)] and hollow.get_markerfacecolor() == "white"


def test_the_stretch_is_hatched_and_bracketed_from_onset_to_night():
    low, high = date2num(ONSET) - 0.5, date2num(NIGHT) + 0.5
    fig = figure()
    for signal in SERIES:
        box = artist(fig, signal, "stretch")
        assert box.get_hatch() and (box.get_x(), box.get_x() + box.get_width()) == (low, high)
        assert artist(fig, signal, "bracket").get_xdata().tolist() == [low, low, high, high]
    assert "9 days" in texts(fig)


def test_a_case_older_than_the_chart_is_marked_over_its_whole_width():
    fig = figure(onset=NIGHT - timedelta(days=300))
    assert artist(fig, "entries", "stretch").get_width() == CHART_DAYS


def test_row_order_changes_nothing():
    shuffled = {name: frame.sample(fraction=1, shuffle=True, seed=3) for name, frame in SERIES.items()}
    other = figure(series=shuffled, calendar=CALENDAR.reverse())
    np.testing.assert_array_equal(charts.pixels_of(figure()), charts.pixels_of(other))


def test_series_without_any_value_still_draw():
    nothing = SERIES["water"].with_columns(
        value=pl.lit(None, pl.Int64), low=None, high=None, expected=None, quality=pl.lit("missing")
    )
    assert texts(figure(series={"water": nothing.cast(dict(SERIES["water"].schema))}))
    assert texts(figure(series={}))


def test_with_the_font_every_chinese_character_has_a_glyph():
    font = charts.chinese_font()
    assert font is not None, "install the test extra: it brings a Chinese font"
    glyphs = FT2Font(font.path, face_index=font.face).get_charmap()
    drawn = [text for text in texts(figure("zh", font)) if has_han(text)]
    expected = {"用水（升/日）", "进门人次（人次/日）", "9天", "3月14日", "春节", "未评估日"}
    assert expected <= set(drawn)
    assert all(ord(character) in glyphs for text in drawn for character in text)
    catalogue = "".join("".join(entry) for entry in messages.catalogue("zh").values())
    assert not {c for c in catalogue if has_han(c) and ord(c) not in glyphs}


def test_without_a_font_no_text_needs_one():
    drawn = texts(figure("zh", None, series=SERIES | {"燃气": SERIES["water"]}))
    assert not [text for text in drawn if has_han(text)]
    assert {"Water, L a day", "9 days", "14 Mar", "Signal 4, passages a day"} <= set(drawn)


def test_the_peers_are_a_dotted_line_only_where_there_are_some():
    fig = figure()
    line = artist(fig, "entries", "peers")
    assert set(line.get_ydata()) == {7.0} and line.get_linestyle() != "-"
    assert artist(fig, "water", "peers") is None


def test_peers_above_the_home_stay_in_the_picture():
    fig = figure(series={"power": SERIES["power"].with_columns(peers=pl.lit(40_000.0))})
    (axes,) = fig.axes
    assert 0 < artist(fig, "power", "peers").get_ydata().max() < axes.get_ylim()[1]


@pytest.mark.parametrize(
    ("signal", "scale", "labels"),
    [
        ("entries", 100, ["0", "1,000", "2,000"]),  # up to 2,100
        ("power", 1.0, ["0", "5", "10", "15"]),  # up to 13.5 kWh
        ("power", 0.6, ["0.0", "2.5", "5.0", "7.5"]),
        ("power", 0.001, ["0.000", "0.005", "0.010", "0.015"]),
    ],
)
def test_values_are_labelled_with_a_few_round_numbers_as_people_write_them(signal, scale, labels):
    scaled = SERIES[signal].with_columns(pl.col("value", "expected", "low", "high") * scale)
    drawn = texts(figure(series={signal: scaled}))
    assert [text for text in drawn if re.fullmatch(r"[\d.,]+", text)] == labels


def test_the_picture_is_the_same_as_pixels_and_hangs_on_none_drawn_before():
    quiet = CALENDAR.with_columns(kind=pl.lit(""))
    whole = {
        name: frame.with_columns(quality=pl.lit("read")).drop("peers", strict=False)
        for name, frame in SERIES.items()
    }
    other_home = {name: frame.with_columns(pl.col("value") * 3) for name, frame in SERIES.items()}
    font = charts.chinese_font()
    wanted = [
        ("en", None, CHART),
        ("en", None, dataclasses.replace(CHART, series=other_home)),
        ("zh", None, CHART),  # English, for want of a font
        ("zh", font, CHART),
        ("en", None, dataclasses.replace(CHART, calendar=quiet)),
        ("en", None, dataclasses.replace(CHART, series=whole)),
        ("en", None, dataclasses.replace(CHART, series={"water": SERIES["water"]})),
        ("en", None, dataclasses.replace(CHART, series={})),
        ("en", None, dataclasses.replace(CHART, night=NIGHT - timedelta(days=1))),
        ("en", None, CHART),
    ]
    case._reusable_canvas.cache_clear()
    pictures = [charts.case_pixels(chart, language, font) for language, font, chart in wanted]
    assert len({picture.tobytes() for picture in pictures}) == len(wanted) - 2
    for (language, font, chart), picture in zip(wanted, pictures, strict=True):
        plain = charts.pixels_of(charts.case_figure(chart, language, font))
        np.testing.assert_array_equal(picture, plain)
