"""The chart of a case: every signal on a common time axis."""

import math
from collections.abc import Mapping, Sequence
from datetime import date, timedelta

import numpy as np
import polars as pl
from matplotlib import dates as mdates
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from anomaly import words
from anomaly.charts.look import BLUE, GREY, HAZE, INK, LINE, PALE, SAND, STYLE, TEXT, Marks, Pen, has_han, pen_for, runs

SHOWN_DAYS = 120
BELIEVED = ("read", "interpolated")


def case_figure(
    series: Mapping[str, pl.DataFrame], calendar: pl.DataFrame, marks: Marks, language: str, font: str | None
) -> Figure:
    """One small chart a signal on a common time axis: observed against what was expected, the last 120 days.

    series: signal → day, value (base units or null), expected, low, high (or null), quality and, where the home has enough
    peers, peers (their median, or null); one row a day.
    calendar: day, kind ("", holiday, workday, window), name_en, name_zh. font: a file from `chinese_font`, or
    None, with which every label is English: never a box in place of a character.
    """
    pen = pen_for(language, font)
    first = marks.night - timedelta(days=SHOWN_DAYS - 1)
    shown = calendar.filter(pl.col("day").is_between(first, marks.night)).sort("day")
    with style.context(STYLE):
        figure, panels = _panels(len(series))
        for place, (panel, (name, frame)) in enumerate(zip(panels, series.items())):
            days = frame.filter(pl.col("day").is_between(first, marks.night)).sort("day")
            _shade_calendar(panel, shown)
            _draw_series(panel, days, marks.units.get(name, "count"), pen, pen.named(name, place))
            _mark_stretch(panel, marks, pen, labelled=place == 0)
        _name_holidays(panels[0], shown, marks.night, pen)
        _date_axis(panels[-1], first, marks.night, pen)
        _legend(figure, series, shown, pen)
    return figure


def _panels(rows: int) -> tuple[Figure, np.ndarray]:
    """A figure with rows of panels.

    Set by hand: a layout worked out from the extent of every label takes a third of the time of a chart.
    """
    rows, wide, height, below, title = max(1, rows), 7.2, 1.1, 0.72, 0.3  # inches
    tall = rows * height + below
    place = {"left": 0.52 / wide, "right": 1 - 0.27 / wide, "top": 1 - title / tall, "bottom": below / tall, "hspace": title / (height - title)}
    figure = Figure(figsize=(wide, tall))
    panels = figure.subplots(rows, 1, sharex=True, squeeze=False, gridspec_kw=place)[:, 0]
    for panel in panels:  # labelled by `_value_axis` and `_date_axis`: an axis of its own takes half the time of a chart
        panel.xaxis.set_visible(False)
        panel.yaxis.set_visible(False)
    return figure, panels


def _middays(days: Sequence[date] | pl.Series) -> np.ndarray:
    return mdates.date2num(list(days))


def _draw_series(panel: Axes, days: pl.DataFrame, base: str, pen: Pen, name: str) -> None:
    drawn = [c for c in ("value", "expected", "low", "high", "peers") if c in days.columns]
    columns = {c: days[c].cast(pl.Float64).fill_null(np.nan).to_numpy() for c in drawn}
    finite = np.concatenate([columns[c] for c in drawn if c not in ("expected", "low")])
    largest = float(np.nanmax(finite)) if np.isfinite(finite).any() else 0.0
    shown_unit, size, _ = words.scale(base, largest)
    at, believed = _middays(days["day"]), days["quality"].is_in(BELIEVED).to_numpy()
    value = columns["value"] / size
    panel.fill_between(at, columns["low"] / size, columns["high"] / size, color=PALE, linewidth=0, label="range")
    if "peers" in columns:
        panel.plot(at, columns["peers"] / size, color=GREY, linestyle=(0, (1, 1.2)), linewidth=1.4, label="peers")
    panel.plot(at, columns["expected"] / size, color=BLUE, linestyle=(0, (4, 2)), label="expected")
    panel.plot(at, np.where(believed, value, np.nan), color=INK, marker="o", label="observed")
    if not believed.all():  # an empty artist that is not clipped has no extent, and the layout would collapse
        panel.plot(at[~believed], value[~believed], "o", markerfacecolor="white", markeredgecolor=GREY, markersize=3.2, label="doubtful")
        panel.plot(
            at[~believed], np.zeros((~believed).sum()), "|", color=GREY, markersize=6, markeredgewidth=1.3,
            transform=panel.get_xaxis_transform(), clip_on=False, label="not judged",
        )  # fmt: skip
    _value_axis(panel, 1.12 * largest / size or 1.0, size == 1, pen)
    title = pen.text("chart.axis", signal=name, unit=words.unit(pen.language, shown_unit))
    panel.set_title(words.sentence_case(title), **pen.sized(9))


def _shade_calendar(panel: Axes, calendar: pl.DataFrame) -> None:
    for kind, colour in (("window", HAZE), ("holiday", SAND)):
        for first, last in runs(calendar.filter(pl.col("kind") == kind)["day"].to_list()):
            low, high = _middays((first, last))
            panel.axvspan(low - 0.5, high + 0.5, facecolor=colour, edgecolor="none", zorder=0, label=kind)


def _mark_stretch(panel: Axes, marks: Marks, pen: Pen, *, labelled: bool) -> None:
    onset, night = _middays((marks.onset, marks.night)) + np.array([-0.5, 0.5])
    onset = max(onset, night - SHOWN_DAYS)
    panel.axvspan(onset, night, facecolor="none", edgecolor="#9a9a9a", hatch="////", linewidth=0, zorder=0.5, label="stretch")
    panel.plot(
        [onset, onset, night, night], [0.96, 1.02, 1.02, 0.96], color=INK, linewidth=1.3,
        transform=panel.get_xaxis_transform(), clip_on=False, label="bracket",
    )  # fmt: skip
    if labelled:
        length = (marks.night - marks.onset).days + 1
        text = pen.text("chart.one_day" if length == 1 else "chart.days", days=length)
        panel.text(night, 1.06, text, transform=panel.get_xaxis_transform(), ha="right", va="bottom", **pen.sized(9))


def _name_holidays(panel: Axes, calendar: pl.DataFrame, night: date, pen: Pen) -> None:
    """Holidays by name above the first chart, left out where two names or the bracket's label would collide."""
    column = f"name_{pen.language}" if f"name_{pen.language}" in calendar.columns else "name_en"
    holidays = calendar.filter(pl.col("kind") == "holiday")
    names = dict(holidays.select("day", column).iter_rows())
    free_from = night - timedelta(days=SHOWN_DAYS - 35)  # the chart's own title stands above its first days
    for first, last in runs(holidays["day"].to_list()):
        name = names[first] or ""
        drawable = pen.font is not None or not has_han(name)
        if name and drawable and first >= free_from and (night - last).days > 12:
            middle = float(np.mean(_middays((first, last))))
            at = {"transform": panel.get_xaxis_transform(), "ha": "center", "va": "bottom"}
            panel.text(middle, 1.02, name.split("; ")[0], color=GREY, **at, **pen.sized(8))
            free_from = last + timedelta(days=21)


def _value_axis(panel: Axes, top: float, whole: bool, pen: Pen) -> None:
    """From 0 to `top`, with a few round numbers and a line across at each."""
    ticks = [tick for tick in MaxNLocator(4, integer=whole, steps=[1, 2, 2.5, 5, 10]).tick_values(0, top) if 0 <= tick <= top]
    digits = next((d for d in range(9) if all(math.isclose(tick, round(tick, d)) for tick in ticks)), 9)
    across = {"transform": panel.get_yaxis_transform()}
    panel.set_ylim(0, top)
    panel.plot(np.tile([0, 1, np.nan], len(ticks)), np.repeat(ticks, 3), color=LINE, linewidth=0.6, zorder=0.2, label="grid", **across)
    for tick in ticks:
        panel.text(-0.01, tick, words.number(pen.language, tick, digits), ha="right", va="center_baseline", color=TEXT, fontsize=8.5, **across)


def _date_axis(panel: Axes, first: date, night: date, pen: Pen) -> None:
    """A few dates, counted back from the night so that the night itself always has its label."""
    ticks = [night - timedelta(days=back) for back in range(0, (night - first).days + 1, 21)][::-1]
    below = {"transform": panel.get_xaxis_transform(), "clip_on": False}
    panel.set_xlim(*(_middays((first, night)) + np.array([-1.0, 1.5])))
    panel.plot(np.repeat(_middays(ticks), 3), np.tile([0, -0.05, np.nan], len(ticks)), color=TEXT, linewidth=0.7, label="dates", **below)
    for tick, at in zip(ticks, _middays(ticks)):
        panel.text(at, -0.09, words.day(pen.language, tick, short=True), ha="center", va="top", color=TEXT, **below, **pen.sized(8.5))


def _legend(figure: Figure, series: Mapping[str, pl.DataFrame], calendar: pl.DataFrame, pen: Pen) -> None:
    """Names only what can be seen in this figure."""
    qualities = set().union(*(frame["quality"].to_list() for frame in series.values())) if series else set()
    kinds = set(calendar["kind"].to_list())
    peers = any("peers" in frame.columns and frame["peers"].count() for frame in series.values())
    dash, point = {"color": GREY, "linestyle": "none"}, {"markersize": 3.5}
    entries = {
        "observed": Line2D([], [], color=INK, marker="o", **point),
        "expected": Line2D([], [], color=BLUE, linestyle=(0, (4, 2))),
        "range": Patch(facecolor=PALE),
        "peers": Line2D([], [], color=GREY, linestyle=(0, (1, 1.2)), linewidth=1.4) if peers else None,
        "stretch": Patch(facecolor="white", edgecolor="#9a9a9a", hatch="////", linewidth=0),
        "holiday": Patch(facecolor=SAND) if "holiday" in kinds else None,
        "window": Patch(facecolor=HAZE, edgecolor=SAND, linewidth=0.5) if "window" in kinds else None,
        "not_judged": Line2D([], [], marker="|", markersize=7, markeredgewidth=1.3, **dash) if qualities - set(BELIEVED) else None,
        "doubtful": Line2D([], [], marker="o", markerfacecolor="white", **point, **dash) if "doubtful" in qualities else None,
    }
    present = {key: handle for key, handle in entries.items() if handle is not None}
    size = FontProperties(fname=pen.font.get_file(), size=8.5) if pen.font else FontProperties(size=8.5)
    figure.legend(
        list(present.values()), [pen.text(f"chart.{key}") for key in present],
        loc="lower center", bbox_to_anchor=(0.5, 0), borderaxespad=0.1, ncols=len(present) if len(present) < 6 else (len(present) + 1) // 2, prop=size, handlelength=2.2, columnspacing=1.4,
    )  # fmt: skip
