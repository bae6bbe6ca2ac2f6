"""The chart of a case: every signal of the home on a common time axis, observed against expected.

`case_figure` draws it the plain way. `case_pixels` gives the same picture in a third of the time: homes of a
night share a background, which matplotlib draws once and copies under each home's own artists (blitting).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache
from typing import Any

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.dates import date2num
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from anomaly import messages
from anomaly.charts.background import (
    CHART_DAYS,
    Background,
    background_figure,
    choose_background,
)
from anomaly.charts.style import BLUE, GREY, HATCH_GREY, INK, PALE, FontFile, Labels, chart_style, labels_in
from anomaly.tables import JUDGED_QUALITIES


@dataclass(frozen=True)
class CaseChart:
    """What a case's chart shows: the last CHART_DAYS days up to the night.

    series: signal → day, value (base units or null), expected, low, high (or null), quality and, where the
    home has enough peers, peers (their median, or null); one row a day. units: signal → base unit. calendar:
    day, kind ("", holiday, workday, window), name_en, name_zh. The days from onset to night, both inclusive,
    are the stretch in question.
    """

    series: Mapping[str, pl.DataFrame]
    units: Mapping[str, str]
    calendar: pl.DataFrame
    onset: date
    night: date


def case_figure(chart: CaseChart, language: str, font_file: FontFile | None) -> Figure:
    """Return the chart as a figure with Axes for each signal, from the top.

    The Axes are labelled by signal, their artists by what they show.

    font_file: from `chinese_font`, or None, with which every label is English: never a box in place of a
    character.
    """
    labels = labels_in(language, font_file)
    with chart_style():
        figure = background_figure(choose_background(chart.series, chart.calendar, chart.night, labels))
        _draw_home(figure, chart, labels)
    return figure


def case_pixels(chart: CaseChart, language: str, font_file: FontFile | None) -> np.ndarray:
    """Return the chart as pixels, (height, width, 4) of 0 to 255; parameters as for `case_figure`."""
    labels = labels_in(language, font_file)
    with chart_style():
        background = choose_background(chart.series, chart.calendar, chart.night, labels)
        return _reusable_canvas(background).draw(chart, labels)


class _ReusableCanvas:
    """A canvas that keeps its background and draws one home after the other on it."""

    def __init__(self, background: Background) -> None:
        self.figure = background_figure(background)
        self.canvas = FigureCanvasAgg(self.figure)
        for axes in self.figure.axes:
            for artist in (axes.yaxis, *axes.spines.values(), axes.set_title("")):
                artist.set_animated(True)  # belongs to the home: not to be drawn with the background
        self.canvas.draw()
        self.pixels = self.canvas.copy_from_bbox(self.figure.bbox)
        self.background_artists = {
            artist for axes in self.figure.axes for artist in axes.get_children() if not artist.get_animated()
        }

    def draw(self, chart: CaseChart, labels: Labels) -> np.ndarray:
        self.canvas.restore_region(self.pixels)
        _draw_home(self.figure, chart, labels)
        for axes in self.figure.axes:
            of_home = [artist for artist in axes.get_children() if artist not in self.background_artists]
            for artist in sorted(of_home, key=lambda artist: artist.zorder):
                axes.draw_artist(artist)
            for artist in of_home:
                if not artist.get_animated():
                    artist.remove()
        return np.array(self.canvas.buffer_rgba())


_reusable_canvas = lru_cache(maxsize=16)(_ReusableCanvas)  # some 2 MB each


def _draw_home(figure: Figure, chart: CaseChart, labels: Labels) -> None:
    """Draw the home's own artists on a figure that has the background."""
    first = chart.night - timedelta(days=CHART_DAYS - 1)
    for row, (axes, (signal, frame)) in enumerate(zip(figure.axes, chart.series.items(), strict=False)):
        days = DailySeries.read(
            frame.filter(pl.col("day").is_between(first, chart.night)).sort("day"),
            chart.units.get(signal, "count"),
        )
        axes.set_label(signal)
        axes.set_ylim(0, days.top)
        _label_values(axes, days, labels)
        _draw_series(axes, days)
        _mark_stretch(axes, chart.onset, chart.night)
        if row == 0:
            _label_stretch(axes, chart, labels)
        name = labels.signal_name(signal, row + 1)
        unit = messages.translate(labels.language, "units", days.unit)
        title = messages.capitalise(labels.message("chart.axis", signal=name, unit=unit))
        axes.set_title(title, **labels.font_of_size(9))


@dataclass(frozen=True)
class DailySeries:
    """The days of a signal as arrays, (T,) each, in the unit that suits the largest; NaN where unknown.

    at: places on the time axis. values: value, expected, low, high and perhaps peers. is_believed: bool. top:
    where the value axis ends. is_whole: whether the unit has no decimals.
    """

    at: np.ndarray
    values: Mapping[str, np.ndarray]
    is_believed: np.ndarray
    unit: str
    is_whole: bool
    top: float

    @classmethod
    def read(cls, days: pl.DataFrame, base_unit: str) -> "DailySeries":
        """Return the days of a frame as in `CaseChart.series`, sorted."""
        names = [name for name in ("value", "expected", "low", "high", "peers") if name in days.columns]
        numbers = days.select(pl.col(names).cast(pl.Float64).fill_null(np.nan)).to_numpy().T
        values = dict(zip(names, numbers, strict=True))
        in_picture = np.concatenate([values[name] for name in names if name not in ("expected", "low")])
        largest = float(np.nanmax(in_picture)) if np.isfinite(in_picture).any() else 0.0
        unit = messages.display_unit(base_unit, largest)
        return cls(
            at=date2num(days["day"].to_numpy()),
            values={name: column / unit.size for name, column in values.items()},
            is_believed=days["quality"].is_in(JUDGED_QUALITIES).to_numpy(),
            unit=unit.name,
            is_whole=unit.size == 1,
            top=1.12 * largest / unit.size or 1.0,
        )


def _draw_series(axes: Axes, days: DailySeries) -> None:
    at, values, doubted = days.at, days.values, ~days.is_believed
    axes.fill_between(at, values["low"], values["high"], color=PALE, linewidth=0, label="range")
    if "peers" in values:
        axes.plot(at, values["peers"], color=GREY, linestyle=(0, (1, 1.2)), linewidth=1.4, label="peers")
    axes.plot(at, values["expected"], color=BLUE, linestyle=(0, (4, 2)), label="expected")
    axes.plot(at, np.where(doubted, np.nan, values["value"]), color=INK, marker="o", label="observed")
    if doubted.any():
        axes.plot(
            at[doubted],
            values["value"][doubted],
            linestyle="none",
            marker="o",
            markerfacecolor="white",
            markeredgecolor=GREY,
            markersize=3.2,
            label="doubtful",
        )
        axes.plot(
            at[doubted],
            np.zeros(doubted.sum()),
            linestyle="none",
            marker="|",
            color=GREY,
            markersize=6,
            markeredgewidth=1.3,
            clip_on=False,
            label="not judged",
        )


def _mark_stretch(axes: Axes, onset: date, night: date) -> None:
    """Hatch and bracket the days from onset to night; what began before the chart, over its whole width."""
    last = date2num(night) + 0.5
    first = max(date2num(onset) - 0.5, last - CHART_DAYS)
    hatching: dict[str, Any] = {"facecolor": "none", "edgecolor": HATCH_GREY, "hatch": "////", "linewidth": 0}
    axes.axvspan(first, last, **hatching, zorder=0.5, label="stretch")
    axes.plot(
        [first, first, last, last],
        [0.96, 1.02, 1.02, 0.96],
        transform=axes.get_xaxis_transform(),
        clip_on=False,
        color=INK,
        linewidth=1.3,
        label="bracket",
    )


def _label_stretch(axes: Axes, chart: CaseChart, labels: Labels) -> None:
    """Write the number of days above the bracket."""
    days = (chart.night - chart.onset).days + 1
    text = labels.message("chart.one_day" if days == 1 else "chart.days", days=days)
    last, above = date2num(chart.night) + 0.5, axes.get_xaxis_transform()
    axes.text(last, 1.06, text, transform=above, ha="right", va="bottom", **labels.font_of_size(9))


def _label_values(axes: Axes, days: DailySeries, labels: Labels) -> None:
    """Label a few round numbers from 0 to the top, all with as many decimals as the finest needs."""
    locator = MaxNLocator(4, integer=days.is_whole, steps=[1, 2, 2.5, 5, 10])
    ticks = [tick for tick in locator.tick_values(0, days.top) if 0 <= tick <= days.top]
    decimals = next((d for d in range(9) if all(math.isclose(tick, round(tick, d)) for tick in ticks)), 9)
    axes.set_yticks(ticks, [messages.format_number(labels.language, tick, decimals) for tick in ticks])
