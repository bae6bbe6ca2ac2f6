import re
from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest
from matplotlib import dates as mdates
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.ft2font import FT2Font
from matplotlib.text import Text

from anomaly import charts, messages
from anomaly.charts import ground
from anomaly.charts.ground import Picture, ground_figure
from tests.support.report_pages import CALENDAR, NIGHT, ONSET, SERIES, UNITS

MARKS = charts.Marks(ONSET, NIGHT, UNITS)


def figure(language="en", font=None, series=SERIES, calendar=CALENDAR, marks=MARKS):
    return charts.case_figure(series, calendar, marks, language, font)


def drawn(fig, label):
    return next(artist for artist in fig.get_children() if artist.get_label() == label)


def under(fig):
    """What the figure stands on, as a figure of its own."""
    (picture,) = fig.findobj(Picture)
    return ground_figure(picture.ground)


def texts(fig):
    fig.draw_without_rendering()
    return [
        text.get_text()
        for part in (fig, under(fig))
        for text in part.findobj(Text)
        if text.get_text() and text.get_visible()
    ]


def test_observed_and_expected_are_the_series_in_readable_units():
    fig = figure()
    line = drawn(fig, "power observed")
    assert len(line.get_ydata()) == charts.SHOWN_DAYS
    assert line.get_ydata()[-1] == pytest.approx(9.1)  # 9,100 Wh
    assert drawn(fig, "power expected").get_ydata()[-1] == pytest.approx(9.0)
    assert drawn(fig, "water observed").get_ydata()[-1] == 720  # L: under 10,000
    assert mdates.num2date(line.get_xdata()[-1]).date() == NIGHT
    assert [text for text in texts(fig) if text.endswith(" a day")] == [
        "Entries, passages a day",
        "Water, L a day",
        "Power, kWh a day",
    ]


def test_large_water_is_told_in_cubic_metres():
    series = {"water": SERIES["water"].with_columns(pl.col("value") * 100)}
    fig = figure(series=series)
    assert "Water, m³ a day" in texts(fig)
    assert drawn(fig, "water observed").get_ydata()[-1] == pytest.approx(72.0)


def test_the_band_lies_between_low_and_high():
    points = np.vstack([path.vertices for path in drawn(figure(), "water range").get_paths()])
    assert points[:, 1].min() == pytest.approx(180) and points[:, 1].max() == pytest.approx(450)


def test_a_missing_day_is_a_gap_and_a_mark_never_a_value():
    fig = figure()
    values, at = drawn(fig, "water observed").get_ydata(), drawn(fig, "water observed").get_xdata()
    gaps = [mdates.num2date(x).date() for x in at[np.isnan(values)]]
    assert gaps == [NIGHT - timedelta(days=back) for back in (41, 40, 2)]
    assert [mdates.num2date(x).date() for x in drawn(fig, "water not judged").get_xdata()] == gaps


def test_a_doubtful_day_is_a_hollow_point_off_the_line():
    doubtful = NIGHT - timedelta(days=10)
    frame = SERIES["power"].with_columns(
        quality=pl.when(pl.col("day") == doubtful).then(pl.lit("doubtful")).otherwise("quality")
    )
    fig = figure(series={"power": frame})
    assert np.isnan(drawn(fig, "power observed").get_ydata()[-11])
    hollow = drawn(fig, "power doubtful")
    assert hollow.get_ydata().tolist() == [pytest.approx(9.001)] and hollow.get_markerfacecolor() == "white"


def test_the_stretch_is_hatched_and_bracketed_from_onset_to_night():
    low, high = mdates.date2num([ONSET, NIGHT]) + np.array([-0.5, 0.5])
    fig = figure()
    for signal in SERIES:
        box = drawn(fig, f"{signal} stretch")
        assert box.get_hatch() and (box.get_x(), box.get_x() + box.get_width()) == (low, high)
        assert drawn(fig, f"{signal} bracket").get_xdata() == [low, low, high, high]
    assert "9 days" in texts(fig)


def test_holidays_and_windows_are_shaded_and_named():
    box = drawn(under(figure()), "holiday")
    low, high = mdates.date2num([date(2026, 2, 15), date(2026, 2, 23)]) + np.array([-0.5, 0.5])
    assert (box.get_x(), box.get_x() + box.get_width()) == (low, high)
    assert {"Spring Festival", "holiday season", "day not judged"} <= set(texts(figure()))


def test_a_holidays_name_never_stands_on_the_charts_title():
    early = CALENDAR.with_columns(
        kind=pl.when(pl.col("day") == NIGHT - timedelta(days=110))
        .then(pl.lit("holiday"))
        .otherwise(pl.lit(""))
    )
    fig = figure(calendar=early)
    assert drawn(under(fig), "holiday") and "Spring Festival" not in texts(fig)


def test_a_picture_does_not_hang_on_those_drawn_before():
    def pixels(fig):
        canvas = FigureCanvasAgg(fig)
        canvas.draw()
        return bytes(canvas.buffer_rgba())

    quiet = CALENDAR.with_columns(kind=pl.lit(""))
    whole = {
        name: frame.with_columns(quality=pl.lit("read")).drop("peers", strict=False)
        for name, frame in SERIES.items()
    }
    asked = [{}, {"language": "zh"}, {"language": "zh", "font": charts.chinese_font()}, {"calendar": quiet}, {"series": whole}, {"series": {"water": SERIES["water"]}},
             {"marks": charts.Marks(ONSET, NIGHT - timedelta(days=1), UNITS)}]  # fmt: skip
    together = [pixels(figure(**one)) for one in asked]
    assert len({hash(picture) for picture in together}) == len(asked) - 1  # without a font Chinese is English
    for one, picture in zip(asked, together, strict=False):
        ground._pixels.cache_clear()
        assert pixels(figure(**one)) == picture


def test_row_order_changes_nothing():
    shuffled = {name: frame.sample(fraction=1, shuffle=True, seed=3) for name, frame in SERIES.items()}
    one, other = figure(), figure(series=shuffled, calendar=CALENDAR.reverse())
    for signal in SERIES:
        np.testing.assert_array_equal(
            drawn(one, f"{signal} observed").get_ydata(), drawn(other, f"{signal} observed").get_ydata()
        )
    assert drawn(under(one), "holiday").get_x() == drawn(under(other), "holiday").get_x()


def test_a_case_older_than_the_chart_is_marked_over_its_whole_width():
    fig = figure(marks=charts.Marks(NIGHT - timedelta(days=300), NIGHT, UNITS))
    assert drawn(fig, "entries stretch").get_width() == charts.SHOWN_DAYS


def test_series_without_any_value_still_draw():
    nothing = SERIES["water"].with_columns(
        value=pl.lit(None, pl.Int64), low=None, high=None, expected=None, quality=pl.lit("missing")
    )
    assert texts(figure(series={"water": nothing.cast(dict(SERIES["water"].schema))}))
    assert texts(figure(series={}))


def test_with_the_font_every_chinese_character_has_a_glyph():
    font = charts.chinese_font()
    assert font is not None, "install the test extra: it brings a Chinese font"
    glyphs = FT2Font(font, face_index=getattr(font, "face_index", 0)).get_charmap()
    told = [text for text in texts(figure("zh", font)) if charts.has_han(text)]
    assert {"用水（升/日）", "进门人次（人次/日）", "9天", "3月14日", "春节", "未评判之日"} <= set(told)
    assert all(ord(character) in glyphs for text in told for character in text)
    every = "".join("".join(entry) for entry in messages.catalogue("zh").values())
    assert not {c for c in every if charts.has_han(c) and ord(c) not in glyphs}


def test_without_a_font_no_text_needs_one():
    told = texts(figure("zh", None, series=SERIES | {"燃气": SERIES["water"]}))
    assert not [text for text in told if charts.has_han(text)]
    assert {"Water, L a day", "9 days", "14 Mar", "Signal 4, passages a day"} <= set(told)


def test_chinese_font_falls_back_to_the_systems_fonts(monkeypatch):
    monkeypatch.setattr(charts.style, "find_spec", lambda name: None)
    monkeypatch.setattr(charts.style, "CHINESE_FAMILIES", ("No Such Family", "DejaVu Sans"))
    assert re.search(r"DejaVuSans\.ttf$", charts.chinese_font())
    monkeypatch.setattr(charts.style, "CHINESE_FAMILIES", ("No Such Family",))
    assert charts.chinese_font() is None


def test_runs():
    d = date(2026, 1, 30)
    assert charts.runs([d, d + timedelta(days=1), d + timedelta(days=2), d + timedelta(days=5)]) == [
        (d, d + timedelta(days=2)), (d + timedelta(days=5), d + timedelta(days=5)),
    ]  # fmt: skip
    assert charts.runs([]) == []


def test_spark_scales_to_its_largest_value_and_breaks_at_gaps():
    svg = charts.spark_svg([0.0, 5.0, None, 10.0], [5.0, 5.0, 5.0, 5.0])
    observed = re.findall(r'points="([^"]+)" stroke="#161616"', svg)
    assert observed == ["2,23 4,13", "8,2 8,2"]  # 23 is the base, 2 the top; a single day is a point
    assert "style=" not in svg and "http" not in svg


@pytest.mark.parametrize("values", [[], [None, None], [float("nan")], [0.0, 0.0]])
def test_spark_of_nothing_is_an_empty_picture(values):
    svg = charts.spark_svg(values, [])
    assert svg.startswith("<svg") and "nan" not in svg


def test_the_peers_are_a_dotted_line_only_where_there_are_some():
    fig = figure()
    line = drawn(fig, "entries peers")
    assert set(line.get_ydata()) == {7.0} and line.get_linestyle() != "-"
    assert not [one for one in fig.get_children() if one.get_label() == "water peers"]
    assert "median of the peers" in texts(fig)
    without = figure(series={"water": SERIES["water"].with_columns(peers=pl.lit(None, pl.Float64))})
    assert "median of the peers" not in texts(without)


def test_peers_above_the_home_stay_in_the_picture():
    line = drawn(
        figure(series={"power": SERIES["power"].with_columns(peers=pl.lit(40_000.0))}), "power peers"
    )
    box = line.get_clip_box()
    assert box.y0 < line.get_transform().transform(line.get_xydata())[:, 1].max() < box.y1


def test_axes_are_labelled_with_a_few_round_numbers_as_people_write_them():
    def axis(signal, scale):
        shown = texts(
            figure(
                series={
                    signal: SERIES[signal].with_columns(pl.col("value", "expected", "low", "high") * scale)
                }
            )
        )
        return [text for text in shown if re.fullmatch(r"[\d.,]+", text)]

    assert axis("entries", 100) == ["0", "1,000", "2,000"]  # up to 2,100
    assert axis("power", 1.0) == ["0", "5", "10", "15"]  # up to 13.5 kWh
    assert axis("power", 0.6) == ["0.0", "2.5", "5.0", "7.5"]
    assert axis("power", 0.001) == ["0.000", "0.005", "0.010", "0.015"]
