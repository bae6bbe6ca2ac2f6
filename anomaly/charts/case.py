"""The chart of a case: every signal on a common time axis."""

import math
from collections.abc import Mapping
from datetime import timedelta

import numpy as np
import polars as pl
from matplotlib import style
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from anomaly import messages
from anomaly.charts.ground import SHOWN_DAYS, Ground, Picture
from anomaly.charts.panel import Panel, midday, place, sheet
from anomaly.charts.style import BLUE, GREY, INK, LINE, PALE, STYLE, TEXT, Marks, Pen, pen_for

BELIEVED = ("read", "interpolated")


def case_figure(
    series: Mapping[str, pl.DataFrame], calendar: pl.DataFrame, marks: Marks, language: str, font: str | None
) -> Figure:
    """One small chart a signal on a common time axis: observed against what was expected, the last 120 days.

    series: signal → day, value (base units or null), expected, low, high (or null), quality and, where the home has enough
    peers, peers (their median, or null); one row a day.
    calendar: day, kind ("", holiday, workday, window), name_en, name_zh. font: a file from `chinese_font`, or
    None, with which every label is English: never a box in place of a character. Artists are labelled by signal and by what
    they show: "water observed".
    """
    pen = pen_for(language, font)
    ground = ground_of(series, calendar, marks, pen)
    first = marks.night - timedelta(days=SHOWN_DAYS - 1)
    with style.context(STYLE):
        figure = sheet(ground.rows)
        figure.add_artist(Picture(ground))
        for row, (name, frame) in enumerate(series.items()):
            days = frame.filter(pl.col("day").is_between(first, marks.night)).sort("day")
            drawn = Days(days, marks.units.get(name, "count"))
            panel = Panel(figure, place(row, ground.rows), ground.span, drawn.top, name)
            _draw_series(panel, drawn)
            _value_axis(panel, drawn, pen)
            _mark_stretch(panel, marks, pen, labelled=row == 0)
            title = pen.text(
                "chart.axis",
                signal=pen.named(name, row),
                unit=messages.translate(pen.language, "units", drawn.unit),
            )
            panel.frame(messages.capitalise(title), **pen.sized(9))
    return figure


def ground_of(series: Mapping[str, pl.DataFrame], calendar: pl.DataFrame, marks: Marks, pen: Pen) -> Ground:
    """What lies under a chart, the same for many of a night."""
    first = marks.night - timedelta(days=SHOWN_DAYS - 1)
    name = f"name_{pen.language}" if f"name_{pen.language}" in calendar.columns else "name_en"
    days = sorted(
        row for row in calendar.select("day", "kind", name).iter_rows() if first <= row[0] <= marks.night
    )
    qualities = set().union(*(frame["quality"].to_list() for frame in series.values()))
    seen = {
        "peers": any("peers" in frame.columns and frame["peers"].count() for frame in series.values()),
        "not_judged": bool(qualities - set(BELIEVED)),
        "doubtful": "doubtful" in qualities,
    }
    return Ground(
        max(1, len(series)),
        marks.night,
        tuple(days),
        frozenset(key for key, there in seen.items() if there),
        pen,
    )


class Days:
    """The days of a signal as arrays, (T,) each, in the unit that suits the largest; NaN where unknown."""

    def __init__(self, days: pl.DataFrame, base: str) -> None:
        names = [name for name in ("value", "expected", "low", "high", "peers") if name in days.columns]
        columns = dict(
            zip(
                names,
                days.select(pl.col(names).cast(pl.Float64).fill_null(np.nan)).to_numpy().T,
                strict=False,
            )
        )
        shown = np.concatenate([columns[name] for name in names if name not in ("expected", "low")])
        largest = float(np.nanmax(shown)) if np.isfinite(shown).any() else 0.0
        self.unit, size, _ = messages.display_unit(base, largest)
        self.whole, self.top = size == 1, 1.12 * largest / size or 1.0
        self.at = days["day"].to_physical().to_numpy().astype(float)
        self.believed = days["quality"].is_in(BELIEVED).to_numpy()
        self.known = {name: column / size for name, column in columns.items()}


def _draw_series(panel: Panel, days: Days) -> None:
    at, known, value, doubt = days.at, days.known, days.known["value"], ~days.believed
    panel.band("range", at, known["low"], known["high"], color=PALE)
    if "peers" in known:
        panel.line("peers", at, known["peers"], color=GREY, linestyle=(0, (1, 1.2)), linewidth=1.4)
    panel.line("expected", at, known["expected"], color=BLUE, linestyle=(0, (4, 2)))
    panel.line("observed", at, np.where(doubt, np.nan, value), color=INK, marker="o")
    if doubt.any():
        points = {
            "linestyle": "none",
            "marker": "o",
            "markerfacecolor": "white",
            "markeredgecolor": GREY,
            "markersize": 3.2,
        }
        panel.line("doubtful", at[doubt], value[doubt], **points)
        bars = {"linestyle": "none", "marker": "|", "color": GREY, "markersize": 6, "markeredgewidth": 1.3}
        panel.line("not judged", at[doubt], np.zeros(doubt.sum()), panel.upright, clipped=False, **bars)


def _mark_stretch(panel: Panel, marks: Marks, pen: Pen, *, labelled: bool) -> None:
    night = midday(marks.night) + 0.5
    onset = max(midday(marks.onset) - 0.5, night - SHOWN_DAYS)
    panel.shade(
        "stretch", onset, night, facecolor="none", edgecolor="#9a9a9a", hatch="////", linewidth=0, zorder=0.5
    )
    panel.line(
        "bracket",
        [onset, onset, night, night],
        [0.96, 1.02, 1.02, 0.96],
        panel.upright,
        clipped=False,
        color=INK,
        linewidth=1.3,
    )
    if labelled:
        length = (marks.night - marks.onset).days + 1
        told = pen.text("chart.one_day" if length == 1 else "chart.days", days=length)
        panel.text(night, 1.06, told, panel.upright, ha="right", va="bottom", **pen.sized(9))


def _value_axis(panel: Panel, days: Days, pen: Pen) -> None:
    """From 0 to the top, with a few round numbers and a line across at each."""
    ticks = [
        tick
        for tick in MaxNLocator(4, integer=days.whole, steps=[1, 2, 2.5, 5, 10]).tick_values(0, days.top)
        if 0 <= tick <= days.top
    ]
    digits = next((d for d in range(9) if all(math.isclose(tick, round(tick, d)) for tick in ticks)), 9)
    panel.line(
        "grid",
        np.tile([0, 1, np.nan], len(ticks)),
        np.repeat(ticks, 3),
        panel.across,
        color=LINE,
        linewidth=0.6,
        zorder=0.2,
    )
    for tick in ticks:
        panel.text(
            -0.01,
            tick,
            messages.format_number(pen.language, tick, digits),
            panel.across,
            ha="right",
            va="center_baseline",
            color=TEXT,
            fontsize=8.5,
        )
