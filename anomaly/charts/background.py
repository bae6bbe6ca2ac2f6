"""The background of case charts, the same for many homes of a night: holidays, dates and the legend."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, NamedTuple

import polars as pl
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.dates import date2num
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from anomaly import messages
from anomaly.charts.style import BLUE, GREY, HATCH_GREY, HAZE, INK, PALE, SAND, Labels
from anomaly.tables import JUDGED_QUALITIES

CHART_DAYS = 120

# Inches: the width of a figure, the height of a row and of the title in it, and of the dates and legend
# below.
WIDTH, ROW_HEIGHT, TITLE_HEIGHT, FOOT_HEIGHT = 7.2, 1.1, 0.3, 0.72
LEFT, RIGHT = 0.52, 0.27


class CalendarDay(NamedTuple):
    """One day of the calendar. kind: "", holiday, workday or window; name: the holiday's, as it is drawn."""

    day: date
    kind: str
    name: str | None


@dataclass(frozen=True)
class Background:
    """All that a background depends on. rows: of signals; days: in order; legend: the keys it names."""

    rows: int
    night: date
    days: tuple[CalendarDay, ...]
    legend: tuple[str, ...]
    labels: Labels


def choose_background(
    series: Mapping[str, pl.DataFrame], calendar: pl.DataFrame, night: date, labels: Labels
) -> Background:
    """Return the background of a home's chart; parameters as for `case_figure`."""
    first = night - timedelta(days=CHART_DAYS - 1)
    name = f"name_{labels.language}" if f"name_{labels.language}" in calendar.columns else "name_en"
    shown = calendar.filter(pl.col("day").is_between(first, night)).sort("day")
    days = tuple(CalendarDay(*row) for row in shown.select("day", "kind", name).iter_rows())
    kinds = {day.kind for day in days}
    qualities = {quality for frame in series.values() for quality in frame["quality"].unique()}
    has_peers = any("peers" in frame.columns and frame["peers"].count() for frame in series.values())
    in_picture = {
        "observed": True,
        "expected": True,
        "range": True,
        "peers": has_peers,
        "stretch": True,
        "holiday": "holiday" in kinds,
        "window": "window" in kinds,
        "not_judged": bool(qualities - set(JUDGED_QUALITIES)),
        "doubtful": "doubtful" in qualities,
    }
    legend = tuple(key for key, is_there in in_picture.items() if is_there)
    return Background(max(1, len(series)), night, days, legend, labels)


def background_figure(background: Background) -> Figure:
    """Return a figure with the background on it, and Axes for each row (`figure.axes`, from the top)."""
    rows = background.rows
    height = rows * ROW_HEIGHT + FOOT_HEIGHT
    figure = Figure(figsize=(WIDTH, height))
    grid = figure.add_gridspec(
        rows,
        left=LEFT / WIDTH,
        right=1 - RIGHT / WIDTH,
        bottom=FOOT_HEIGHT / height,
        top=1 - TITLE_HEIGHT / height,
        hspace=TITLE_HEIGHT / (ROW_HEIGHT - TITLE_HEIGHT),
    )
    for row in range(rows):
        axes = figure.add_subplot(grid[row])
        axes.set_xlim(date2num(background.night) - CHART_DAYS, date2num(background.night) + 1.5)
        axes.grid(axis="y")
        axes.tick_params(axis="y", length=0, pad=4.5)
        axes.yaxis.set_label_coords(0, 0.5)  # it has no label; a fixed place saves looking for one
        _shade_days(axes, background.days)
        if row == 0:
            _name_holidays(axes, background)
        if row == rows - 1:
            _label_dates(axes, background)
        else:
            axes.xaxis.set_visible(False)
    _add_legend(figure, background)
    return figure


def runs_of_days(days: list[date]) -> list[tuple[date, date]]:
    """Return sorted days as unbroken runs, (first, last) inclusive."""
    runs: list[tuple[date, date]] = []
    for day in days:
        if runs and day - runs[-1][1] == timedelta(days=1):
            runs[-1] = (runs[-1][0], day)
        else:
            runs.append((day, day))
    return runs


def _runs_of_kind(days: tuple[CalendarDay, ...], kind: str) -> list[tuple[date, date]]:
    return runs_of_days([day.day for day in days if day.kind == kind])


def _shade_days(axes: Axes, days: tuple[CalendarDay, ...]) -> None:
    for kind, colour in (("window", HAZE), ("holiday", SAND)):
        for first, last in _runs_of_kind(days, kind):
            axes.axvspan(
                date2num(first) - 0.5, date2num(last) + 0.5, color=colour, linewidth=0, zorder=0, label=kind
            )


def _name_holidays(axes: Axes, background: Background) -> None:
    """Name the holidays above the chart; leave out a name that would touch another or the chart's labels."""
    names = {day.day: day.name for day in background.days}
    labels, night = background.labels, background.night
    free_from = night - timedelta(days=CHART_DAYS - 35)  # the chart's title stands above its first days
    free_until = night - timedelta(days=13)  # the length of the stretch stands above its last ones
    for first, last in _runs_of_kind(background.days, "holiday"):
        name = (names[first] or "").split("; ")[0]
        if not name or first < free_from or last > free_until or not labels.can_draw(name):
            continue
        middle = (date2num(first) + date2num(last)) / 2
        axes.text(
            middle, 1.02, name, transform=axes.get_xaxis_transform(), ha="center", va="bottom", color=GREY,
            **labels.font_of_size(8),
        )  # fmt: skip
        free_from = last + timedelta(days=21)


def _label_dates(axes: Axes, background: Background) -> None:
    """Label every third week, counted back from the night, so that the night itself always has its label."""
    days = [background.night - timedelta(days=back) for back in range(0, CHART_DAYS, 21)]
    labels = background.labels
    texts = [messages.format_day(labels.language, day, short=True) for day in days]
    axes.set_xticks(date2num(days), texts, **labels.font_of_size(8.5))


def _add_legend(figure: Figure, background: Background) -> None:
    point: dict[str, Any] = {"marker": "o", "markersize": 3.5}
    no_line: dict[str, Any] = {"color": GREY, "linestyle": "none"}
    handles: dict[str, Artist] = {
        "observed": Line2D([], [], color=INK, **point),
        "expected": Line2D([], [], color=BLUE, linestyle=(0, (4, 2))),
        "range": Patch(facecolor=PALE),
        "peers": Line2D([], [], color=GREY, linestyle=(0, (1, 1.2)), linewidth=1.4),
        "stretch": Patch(facecolor="white", edgecolor=HATCH_GREY, hatch="////", linewidth=0),
        "holiday": Patch(facecolor=SAND),
        "window": Patch(facecolor=HAZE, edgecolor=SAND, linewidth=0.5),
        "not_judged": Line2D([], [], marker="|", markersize=7, markeredgewidth=1.3, **no_line),
        "doubtful": Line2D([], [], markerfacecolor="white", **point, **no_line),
    }
    keys, labels = background.legend, background.labels
    figure.legend(
        [handles[key] for key in keys],
        [labels.message(f"chart.{key}") for key in keys],
        loc="lower center",
        bbox_to_anchor=(0.5, 0),
        borderaxespad=0.1,
        ncols=len(keys) if len(keys) < 6 else (len(keys) + 1) // 2,
        prop=labels.font_properties(8.5),
        handlelength=2.2,
        columnspacing=1.4,
    )
