"""The drawing of each signal taken apart: level, shape of the week, and what is left over.

Written as the text of an SVG: as a matplotlib figure its nine panels would take ten times as long.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import NamedTuple

import numpy as np
import polars as pl
from markupsafe import escape

from anomaly import messages
from anomaly.charts.style import BLUE, GREY, HATCH_GREY, INK

DAYS = 180
GRID, AXIS, TEXT = "#e3e3e3", "#555", "#333"

# Units of the drawing: its width, the height of a row, and of the title and the panels in it.
WIDTH, ROW_HEIGHT, TITLE_HEIGHT, PANEL_HEIGHT = 720, 84, 18, 50


class Span(NamedTuple):
    """Where a panel begins and ends from left to right."""

    left: float
    right: float


LEVEL, WEEK, REMAINDER = Span(46, 300), Span(352, 436), Span(484, 700)
HATCH = (
    '<defs><pattern id="hatch" width="5" height="5" patternUnits="userSpaceOnUse">'
    f'<path d="M-1 1l2-2M0 5l5-5M4 6l2-2" stroke="{HATCH_GREY}" stroke-width=".7"/></pattern></defs>'
)


def decomposition_svg(
    parts: pl.DataFrame, units: Mapping[str, str], onset: date, night: date, language: str
) -> str:
    """Return the drawing as text: one row a signal, the last half year up to the night.

    parts: signal, day, value and level (base units), week and remainder (factors), as
    `anomaly.expected.decompose` gives them; days without a row are gaps. units: signal → base unit. The days
    from onset to night are marked.
    """
    first = night - timedelta(days=DAYS - 1)
    shown = parts.filter(pl.col("day").is_between(first, night)).sort("signal", "day")
    signals = [_SignalParts.read(frame, first) for frame in shown.partition_by("signal", maintain_order=True)]
    drawing = []
    for row, signal in enumerate(signals):
        top = row * ROW_HEIGHT + TITLE_HEIGHT
        marked_from = (onset - first).days
        drawing.append(_draw_level(signal, units.get(signal.name, "count"), top, marked_from, language))
        drawing.append(_draw_remainder(signal, top, marked_from, language))
        drawing.append(_draw_week(signal, top, language))
    foot = (len(signals) - 1) * ROW_HEIGHT + TITLE_HEIGHT + PANEL_HEIGHT + 13
    drawing.append(_draw_dates(LEVEL, night, 42, foot, language))
    drawing.append(_draw_dates(REMAINDER, night, 56, foot, language))
    for number, name in enumerate(messages.message_list(language, "level.weekdays")):
        drawing.append(_text(_weekday_x(number), foot, name, "middle"))
    return (
        f'<svg viewBox="0 0 {WIDTH} {foot + 5}" aria-hidden="true" fill="none" font-size="11">'
        f"{HATCH}{''.join(drawing)}</svg>"
    )


@dataclass(frozen=True)
class _SignalParts:
    """The parts of one signal as lists, a day an entry. at: days since the first one of the drawing."""

    name: str
    days: list[date]
    at: list[int]
    value: list[float]
    level: list[float]
    week: list[float]
    remainder: list[float]

    @classmethod
    def read(cls, frame: pl.DataFrame, first: date) -> "_SignalParts":
        days, *parts = (frame[name].to_list() for name in ("day", "value", "level", "week", "remainder"))
        return cls(frame["signal"][0], days, [(day - first).days for day in days], *parts)


@dataclass(frozen=True)
class _Panel:
    """A part of the drawing: x runs from 0 to `last` over the span, y from `low` to `high` below `top`."""

    span: Span
    top: float
    last: float
    low: float
    high: float

    def x(self, x: float) -> float:
        return round(self.span.left + (self.span.right - self.span.left) * x / self.last, 1)

    def y(self, y: float) -> float:
        return round(self.top + PANEL_HEIGHT * (self.high - y) / (self.high - self.low), 1)

    def frame(self, title: str, ticks: Mapping[float, str]) -> str:
        """Return the title, the axes, and a line across at each of the labelled ticks."""
        left, right = self.span
        lines = "".join(f"M{left} {self.y(y)}H{right}" for y in ticks)
        axes = f"M{left} {self.top}V{self.top + PANEL_HEIGHT}H{right}"
        labels = "".join(_text(left - 4, self.y(y) + 4, label, "end") for y, label in ticks.items())
        return (
            f'{_text(left, self.top - 6, title)}<path d="{lines}" stroke="{GRID}"/>'
            f'<path d="{axes}" stroke="{AXIS}"/>{labels}'
        )

    def stretch(self, first: float) -> str:
        """Return the days from `first` to the last, hatched and bracketed."""
        left, right = self.x(max(first - 0.5, 0.0)), self.span.right
        return (
            f'<rect x="{left}" y="{self.top}" width="{right - left:.1f}" height="{PANEL_HEIGHT}" '
            f'fill="url(#hatch)"/>'
            f'<path d="M{left} {self.top + 3}v-4H{right}v4" stroke="{INK}" stroke-width="1.3"/>'
        )


def _text(x: float, y: float, text: str, anchor: str = "start") -> str:
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}" fill="{TEXT}">{escape(text)}</text>'


def _draw_level(signal: _SignalParts, base_unit: str, top: float, marked_from: int, language: str) -> str:
    """Draw the observed days as points and the level beneath them as a line that breaks at gaps."""
    largest = max(*signal.value, *signal.level, 0.0)
    unit = messages.display_unit(base_unit, largest)
    panel = _Panel(LEVEL, top, DAYS - 1, 0.0, 1.12 * largest or 1.0)
    points = "".join(
        f"M{panel.x(at)} {panel.y(value)}h0" for at, value in zip(signal.at, signal.value, strict=True)
    )
    line, before = "", None
    for at, level in zip(signal.at, signal.level, strict=True):
        line += f"{'L' if at - 1 == before else 'M'}{panel.x(at)} {panel.y(level)}"
        before = at
    name = messages.translate(language, "signals", signal.name)
    unit_name = messages.translate(language, "units", unit.name)
    title = messages.capitalise(messages.message(language, "level.level", signal=name, unit=unit_name))
    ticks = {0.0: "0"}
    tick = _round_below(largest / unit.size)
    if tick >= 0.1:
        ticks[tick * unit.size] = messages.format_number(language, tick, 0 if tick >= 1 else 1)
    return (
        f"{panel.frame(title, ticks)}"
        f'<path d="{points}" stroke="{HATCH_GREY}" stroke-width="2.2" stroke-linecap="round"/>'
        f'<path d="{line}" stroke="{BLUE}" stroke-width="1.8"/>{panel.stretch(marked_from)}'
    )


def _draw_week(signal: _SignalParts, top: float, language: str) -> str:
    """Draw the shape of the week as last known, Monday first, as bars from 1, the level."""
    factors = {day.isoweekday(): factor for day, factor in zip(signal.days, signal.week, strict=True)}
    reach = max(0.25, 1.1 * max((abs(factor - 1) for factor in factors.values()), default=0.0))
    panel = _Panel(WEEK, top, 7, 1 - reach, 1 + reach)
    tick = _round_below(reach)
    ticks = {y: messages.format_number(language, y, 1) for y in (1 - tick, 1.0, 1 + tick)}
    bars = ""
    for weekday, factor in sorted(factors.items()):
        high, low = sorted((panel.y(factor), panel.y(1.0)))
        left = _weekday_x(weekday - 1) - 4
        bars += f'<rect x="{left:.1f}" y="{high}" width="8" height="{low - high:.1f}" fill="{BLUE}"/>'
    return panel.frame(messages.message(language, "level.week"), ticks) + bars


def _weekday_x(number: int) -> float:
    """Return the middle of a day of the week, Monday 0."""
    return WEEK.left + (WEEK.right - WEEK.left) * (number + 0.5) / 7


def _draw_remainder(signal: _SignalParts, top: float, marked_from: int, language: str) -> str:
    """Draw what level and week leave over, a stroke a day, as factors in logarithms; 1 is nothing."""
    logs = np.log2(signal.remainder).tolist()
    reach = max([np.log2(2.2), *map(abs, logs)])
    end = max(power for power in (1, 2, 4, 6) if power <= 1.08 * reach)
    panel = _Panel(REMAINDER, top, DAYS - 1, -1.08 * reach, 1.08 * reach)
    strokes = "".join(
        f"M{panel.x(at)} {panel.y(0)}V{panel.y(log)}" for at, log in zip(signal.at, logs, strict=True)
    )
    zero = f"M{REMAINDER.left} {panel.y(0)}H{REMAINDER.right}"
    title = messages.message(language, "level.remainder")
    return (
        f"{panel.frame(title, {-end: f'1/{2**end}', 0: '1', end: str(2**end)})}"
        f'<path d="{zero}" stroke="{GREY}" stroke-width=".6"/>'
        f'<path d="{strokes}" stroke="{INK}" stroke-width=".9"/>{panel.stretch(marked_from)}'
    )


def _draw_dates(span: Span, night: date, step: int, y: float, language: str) -> str:
    """Label every so many days, counted back from the night."""
    panel = _Panel(span, 0, DAYS - 1, 0, 1)
    labels = ""
    for back in range(0, DAYS - 14, step):
        day = messages.format_day(language, night - timedelta(days=back), short=True)
        labels += _text(panel.x(panel.last - back), y, day, "middle")
    return labels


def _round_below(x: float) -> float:
    """Return the largest of 1, 2, 5, 10, 20, 50 … that is not above x; 0 for 0."""
    if x <= 0:
        return 0.0
    step = 10.0 ** np.floor(np.log10(x))
    return float(step * max(n for n in (1, 2, 5) if n * step <= x))
