"""Small drawings that stand in a page itself: the text of an SVG, which needs no asset, no style and no font of its own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import polars as pl
from markupsafe import escape

from anomaly import messages
from anomaly.charts.style import BLUE, GREY, INK, Marks

TAKEN_APART_DAYS = 180
WIDE, ROW, TITLE, TALL = (
    720,
    84,
    18,
    50,
)  # units: the drawing's width, a row, and the title and the panel in it
LEVEL, WEEK, REMAINDER = (46, 300), (352, 436), (484, 700)  # where the three panels of a row begin and end
HATCH = (
    '<defs><pattern id="hatch" width="5" height="5" patternUnits="userSpaceOnUse">'
    '<path d="M-1 1l2-2M0 5l5-5M4 6l2-2" stroke="#9a9a9a" stroke-width=".7"/></pattern></defs>'
)


def _points(values: Sequence[float | None], top: float) -> list[list[str]]:
    """Unbroken pieces of a series as "x,y" in the little chart's 2 × 24 grid; a gap ends a piece."""
    pieces: list[list[str]] = [[]]
    for place, value in enumerate(values):
        if value is None or not np.isfinite(value):
            pieces.append([])
        else:
            pieces[-1].append(f"{2 * place + 2},{23 - round(21 * max(0.0, value) / top)}")
    return [piece for piece in pieces if piece]


def spark_svg(values: Sequence[float | None], expected: Sequence[float | None]) -> str:
    """A small course for a list: observed as a line, expected dashed; empty days are gaps. Needs no asset, no style.

    values, expected: one number a day in the same unit, oldest first, at most some 60 days to stay small.
    """
    seen = [v for v in (*values, *expected) if v is not None and np.isfinite(v)]
    top = max(seen, default=0.0) or 1.0
    width = 2 * max(len(values), len(expected)) + 2

    def drawn(series: Sequence[float | None], look: str) -> str:
        return "".join(
            f'<polyline points="{" ".join(p if len(p) > 1 else p * 2)}" {look}/>'
            for p in _points(series, top)
        )

    return (
        f'<svg viewBox="0 0 {width} 25" width="{width}" height="25" aria-hidden="true" fill="none">'
        + drawn(expected, f'stroke="{BLUE}" stroke-dasharray="3 2"')
        + drawn(values, f'stroke="{INK}" stroke-width="1.2" stroke-linecap="round"')
        + "</svg>"
    )


@dataclass(frozen=True)
class _Panel:
    """A part of a drawing, `span` wide, its top at `top`, for x from 0 to `last` and y from `low` to `high`."""

    span: tuple[float, float]
    top: float
    last: float
    low: float
    high: float

    def x(self, x: float) -> float:
        return round(self.span[0] + (self.span[1] - self.span[0]) * x / self.last, 1)

    def y(self, y: float) -> float:
        return round(self.top + TALL * (self.high - y) / (self.high - self.low), 1)

    def frame(self, title: str, ticks: Mapping[float, str]) -> str:
        """The title, the axes, and a line across at each of the labelled ticks."""
        left, right = self.span
        lines = "".join(f"M{left} {self.y(at)}H{right}" for at in ticks)
        labels = "".join(_text(left - 4, self.y(at) + 4, told, "end") for at, told in ticks.items())
        axes = f'<path d="{lines}" stroke="#e3e3e3"/><path d="M{left} {self.top}V{self.top + TALL}H{right}" stroke="#555"/>'
        return _text(left, self.top - 6, title) + axes + labels

    def stretch(self, first: float) -> str:
        """The days from `first` to the last, hatched and bracketed."""
        left, right = self.x(max(first - 0.5, 0.0)), self.span[1]
        box = (
            f'<rect x="{left}" y="{self.top}" width="{right - left:.1f}" height="{TALL}" fill="url(#hatch)"/>'
        )
        return box + f'<path d="M{left} {self.top + 3}v-4H{right}v4" stroke="{INK}" stroke-width="1.3"/>'


def _text(x: float, y: float, told: str, anchor: str = "start") -> str:
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}" fill="#333">{escape(told)}</text>'


def decomposition_svg(parts: pl.DataFrame, marks: Marks, language: str) -> str:
    """One row a signal, taken apart over half a year: level behind the observed days, shape of the week, remainder.

    parts: signal, day, value and level (base units), week and remainder (factors), as `anomaly.expected.decompose` gives
    them; days without a row are gaps. Not a figure: nine panels of one take ten times as long.
    """
    first = marks.night - timedelta(days=TAKEN_APART_DAYS - 1)
    shown = (
        parts.filter(pl.col("day").is_between(first, marks.night))
        .sort("signal", "day")
        .partition_by("signal", maintain_order=True)
    )
    drawn = []
    for row, own in enumerate(_Parts(frame, first) for frame in shown):
        top = row * ROW + TITLE
        for panel, told in (
            _level(own, marks.units.get(own.signal, "count"), top, language),
            _remainder(own, top, language),
        ):
            drawn.append(told + panel.stretch((marks.onset - first).days))
        drawn.append(_week(own, top, language))
    foot = (len(shown) - 1) * ROW + TITLE + TALL + 13
    for span, step in ((LEVEL, 42), (REMAINDER, 56)):
        panel = _Panel(span, 0, TAKEN_APART_DAYS - 1, 0, 1)
        backs = range(0, TAKEN_APART_DAYS - 14, step)
        drawn += [
            _text(
                panel.x(panel.last - back),
                foot,
                messages.format_day(language, marks.night - timedelta(days=back), short=True),
                "middle",
            )
            for back in backs
        ]
    drawn += [
        _text(_day_of_week(n), foot, name, "middle")
        for n, name in enumerate(messages.message_list(language, "level.weekdays"))
    ]
    return f'<svg viewBox="0 0 {WIDE} {foot + 5}" aria-hidden="true" fill="none" font-size="11">{HATCH}{"".join(drawn)}</svg>'


class _Parts:
    """The parts of one signal as lists, a day an entry; at: days since the first one shown."""

    def __init__(self, frame: pl.DataFrame, first: date) -> None:
        self.signal = frame["signal"][0]
        self.days, self.value, self.level, self.week, self.remainder = (
            frame[name].to_list() for name in ("day", "value", "level", "week", "remainder")
        )
        self.at = [(day - first).days for day in self.days]


def _level(own: _Parts, base: str, top: float, language: str) -> tuple[_Panel, str]:
    """Observed days as points, the level beneath them as a line that breaks at gaps."""
    largest = max(*own.value, *own.level, 0.0)
    unit, size, _ = messages.display_unit(base, largest)
    tick = _round_below(largest / size)
    panel = _Panel(LEVEL, top, TAKEN_APART_DAYS - 1, 0.0, 1.12 * largest or 1.0)
    points = "".join(f"M{panel.x(at)} {panel.y(y)}h0" for at, y in zip(own.at, own.value, strict=False))
    line, before = "", None
    for at, y in zip(own.at, own.level, strict=False):
        line += f"{'L' if at - 1 == before else 'M'}{panel.x(at)} {panel.y(y)}"
        before = at
    title = messages.message(
        language,
        "level.level",
        signal=messages.translate(language, "signals", own.signal),
        unit=messages.translate(language, "units", unit),
    )
    ticks = {0.0: "0"} | (
        {tick * size: messages.format_number(language, tick, 0 if tick >= 1 else 1)} if tick >= 0.1 else {}
    )
    drawn = f'<path d="{points}" stroke="#9a9a9a" stroke-width="2.2" stroke-linecap="round"/><path d="{line}" stroke="{BLUE}" stroke-width="1.8"/>'
    return panel, panel.frame(messages.capitalise(title), ticks) + drawn


def _round_below(x: float) -> float:
    """The largest of 1, 2, 5, 10, 20, 50 … that is not above x; 0 for 0."""
    if x <= 0:
        return 0.0
    step = 10.0 ** np.floor(np.log10(x))
    return float(step * max(n for n in (1, 2, 5) if n * step <= x))


def _day_of_week(number: int) -> float:
    return WEEK[0] + (WEEK[1] - WEEK[0]) * (number + 0.5) / 7


def _week(own: _Parts, top: float, language: str) -> str:
    """The shape of the week as last known, Monday first, as bars from 1, the level."""
    last = {day.isoweekday(): factor for day, factor in zip(own.days, own.week, strict=False)}
    reach = max(0.25, 1.1 * max((abs(factor - 1) for factor in last.values()), default=0.0))
    panel = _Panel(WEEK, top, 7, 1 - reach, 1 + reach)
    tick = _round_below(reach)
    ticks = {at: messages.format_number(language, at, 1) for at in (1 - tick, 1.0, 1 + tick)}
    bars = ""
    for weekday, factor in sorted(last.items()):
        high, low = sorted((panel.y(factor), panel.y(1.0)))
        bars += f'<rect x="{_day_of_week(weekday - 1) - 4:.1f}" y="{high}" width="8" height="{low - high:.1f}" fill="{BLUE}"/>'
    return panel.frame(messages.message(language, "level.week"), ticks) + bars


def _remainder(own: _Parts, top: float, language: str) -> tuple[_Panel, str]:
    """What level and week leave over, a stroke a day, as factors in logarithms; 1 is nothing."""
    left = list(zip(own.at, np.log2(own.remainder).tolist(), strict=False))
    reach = max([np.log2(2.2), *(abs(y) for _, y in left)])
    end = max(e for e in (1, 2, 4, 6) if e <= 1.08 * reach)
    panel = _Panel(REMAINDER, top, TAKEN_APART_DAYS - 1, -1.08 * reach, 1.08 * reach)
    strokes = "".join(f"M{panel.x(at)} {panel.y(0)}V{panel.y(y)}" for at, y in left)
    axis = f'<path d="M{REMAINDER[0]} {panel.y(0)}H{REMAINDER[1]}" stroke="{GREY}" stroke-width=".6"/>'
    ticks = {-end: f"1/{2**end}", 0: "1", end: str(2**end)}
    return panel, panel.frame(
        messages.message(language, "level.remainder"), ticks
    ) + axis + f'<path d="{strokes}" stroke="{INK}" stroke-width=".9"/>'
