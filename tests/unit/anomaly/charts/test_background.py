"""The background of case charts: holidays, dates and the legend."""

from datetime import date, timedelta

import polars as pl
from matplotlib.dates import date2num
from matplotlib.text import Text

from anomaly.charts.background import background_figure, choose_background, runs_of_days
from anomaly.charts.style import labels_in
from tests.support.report_pages import CALENDAR, NIGHT, SERIES


def figure(series=SERIES, calendar=CALENDAR, language="en"):
    return background_figure(choose_background(series, calendar, NIGHT, labels_in(language, None)))


def holidays(fig):
    """Return where shaded holidays begin and end in the first row."""
    boxes = [patch for patch in fig.axes[0].patches if patch.get_label() == "holiday"]
    return [(box.get_x(), box.get_x() + box.get_width()) for box in boxes]


def texts(fig):
    fig.draw_without_rendering()
    return {text.get_text() for text in fig.findobj(Text) if text.get_text() and text.get_visible()}


def test_holidays_and_windows_are_shaded_and_named():
    fig = figure()
    assert holidays(fig) == [(date2num(date(2026, 2, 15)) - 0.5, date2num(date(2026, 2, 23)) + 0.5)]
    assert len(fig.axes) == len(SERIES)
    assert {"Spring Festival", "holiday season", "day not assessed"} <= texts(fig)


def test_a_holidays_name_never_stands_on_the_charts_title():
    early = pl.when(pl.col("day") == NIGHT - timedelta(days=110)).then(pl.lit("holiday"))
    fig = figure(calendar=CALENDAR.with_columns(kind=early.otherwise(pl.lit(""))))
    assert holidays(fig) and "Spring Festival" not in texts(fig)


def test_the_night_has_its_date_and_every_third_week_before_it():
    drawn = texts(figure())
    dates = {text for text in drawn if text.split()[-1] in ("Nov", "Dec", "Jan", "Feb", "Mar")}
    assert dates == {"14 Mar", "21 Feb", "31 Jan", "10 Jan", "20 Dec", "29 Nov"}


def test_the_legend_names_only_what_can_be_seen():
    assert "median of similar homes" in texts(figure())
    without = {"water": SERIES["water"].with_columns(peers=pl.lit(None, pl.Float64))}
    plain = CALENDAR.with_columns(kind=pl.lit(""))
    drawn = texts(figure(series=without, calendar=plain))
    assert {"observed", "expected", "expected range", "period in question", "day not assessed"} <= drawn
    assert not {"median of similar homes", "public holiday", "holiday season", "doubtful reading"} & drawn


def test_homes_that_look_alike_share_a_background():
    labels = labels_in("en", None)
    other_values = {name: frame.with_columns(pl.col("value") * 2) for name, frame in SERIES.items()}
    assert choose_background(SERIES, CALENDAR, NIGHT, labels) == choose_background(
        other_values, CALENDAR.reverse(), NIGHT, labels
    )


def test_unbroken_runs_of_days():
    d = date(2026, 1, 30)
    days = [d, d + timedelta(days=1), d + timedelta(days=2), d + timedelta(days=5)]
    assert runs_of_days(days) == [(d, days[2]), (days[3], days[3])]
    assert runs_of_days([]) == []
