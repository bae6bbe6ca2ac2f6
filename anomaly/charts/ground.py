"""What the charts of a night have in common, drawn once for many of them: shaded days, holidays by name, dates and the legend."""

from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache

import numpy as np
from matplotlib import style
from matplotlib.artist import Artist
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from anomaly import messages
from anomaly.charts.panel import Panel, midday, place, sheet
from anomaly.charts.style import BLUE, GREY, HAZE, INK, PALE, SAND, STYLE, TEXT, Pen, has_han, runs

SHOWN_DAYS = 120


@dataclass(frozen=True)
class Ground:
    """What lies under a chart. days: (day, kind, name) of the days shown, in order; told: what the legend names that only some homes have."""

    rows: int
    night: date
    days: tuple[tuple[date, str, str], ...]
    told: frozenset[str]
    pen: Pen

    @property
    def span(self) -> tuple[float, float]:
        """Where the time axis begins and ends."""
        return midday(self.night) - SHOWN_DAYS, midday(self.night) + 1.5

    def of_kind(self, kind: str) -> list[tuple[date, date]]:
        """Unbroken stretches of such days."""
        return runs([day for day, of, _ in self.days if of == kind])


def ground_figure(ground: Ground) -> Figure:
    """The ground as a figure."""
    with style.context(STYLE):
        figure = sheet(ground.rows)
        panels = [Panel(figure, place(row, ground.rows), ground.span) for row in range(ground.rows)]
        for panel in panels:
            for kind, colour in (("window", HAZE), ("holiday", SAND)):
                for first, last in ground.of_kind(kind):
                    panel.shade(
                        kind,
                        midday(first) - 0.5,
                        midday(last) + 0.5,
                        facecolor=colour,
                        edgecolor="none",
                        zorder=0,
                    )
        _name_holidays(panels[0], ground)
        _date_axis(panels[-1], ground)
        _legend(figure, ground)
    return figure


class Picture(Artist):
    """A ground as it looks, under everything of a figure of its size."""

    zorder = -1

    def __init__(self, ground: Ground) -> None:
        super().__init__()
        self.ground, self._pixels = ground, _pixels(ground)

    def draw(self, renderer) -> None:
        """Called by matplotlib, once for every figure."""
        gc = renderer.new_gc()
        renderer.draw_image(gc, 0, 0, self._pixels)
        gc.restore()


@lru_cache(maxsize=16)  # some 2 MB each
def _pixels(ground: Ground) -> np.ndarray:
    canvas = FigureCanvasAgg(ground_figure(ground))
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[::-1].copy()


def _name_holidays(panel: Panel, ground: Ground) -> None:
    """Holidays by name above the first chart, left out where two names or the bracket's label would collide."""
    names = {day: name for day, kind, name in ground.days if kind == "holiday"}
    pen, night = ground.pen, ground.night
    free_from = night - timedelta(days=SHOWN_DAYS - 35)  # the chart's own title stands above its first days
    for first, last in ground.of_kind("holiday"):
        name = names[first] or ""
        drawable = pen.font is not None or not has_han(name)
        if name and drawable and first >= free_from and (night - last).days > 12:
            panel.text(
                (midday(first) + midday(last)) / 2,
                1.02,
                name.split("; ")[0],
                panel.upright,
                ha="center",
                va="bottom",
                color=GREY,
                **pen.sized(8),
            )
            free_from = last + timedelta(days=21)


def _date_axis(panel: Panel, ground: Ground) -> None:
    """A few dates, counted back from the night so that the night itself always has its label."""
    ticks = [ground.night - timedelta(days=back) for back in range(0, SHOWN_DAYS, 21)][::-1]
    at = [midday(tick) for tick in ticks]
    panel.line(
        "dates",
        np.repeat(at, 3),
        np.tile([0, -0.05, np.nan], len(at)),
        panel.upright,
        clipped=False,
        color=TEXT,
        linewidth=0.7,
    )
    for tick, x in zip(ticks, at, strict=False):
        told = messages.format_day(ground.pen.language, tick, short=True)
        panel.text(x, -0.09, told, panel.upright, ha="center", va="top", color=TEXT, **ground.pen.sized(8.5))


def _legend(figure: Figure, ground: Ground) -> None:
    """Names only what can be seen in this figure."""
    pen, seen = ground.pen, ground.told | {kind for _, kind, _ in ground.days}
    dash, point = {"color": GREY, "linestyle": "none"}, {"markersize": 3.5}
    entries = {
        "observed": Line2D([], [], color=INK, marker="o", **point),
        "expected": Line2D([], [], color=BLUE, linestyle=(0, (4, 2))),
        "range": Patch(facecolor=PALE),
        "peers": Line2D([], [], color=GREY, linestyle=(0, (1, 1.2)), linewidth=1.4)
        if "peers" in seen
        else None,
        "stretch": Patch(facecolor="white", edgecolor="#9a9a9a", hatch="////", linewidth=0),
        "holiday": Patch(facecolor=SAND) if "holiday" in seen else None,
        "window": Patch(facecolor=HAZE, edgecolor=SAND, linewidth=0.5) if "window" in seen else None,
        "not_judged": Line2D([], [], marker="|", markersize=7, markeredgewidth=1.3, **dash)
        if "not_judged" in seen
        else None,
        "doubtful": Line2D([], [], marker="o", markerfacecolor="white", **point, **dash)
        if "doubtful" in seen
        else None,
    }
    present = {key: handle for key, handle in entries.items() if handle is not None}
    size = FontProperties(fname=pen.font.get_file(), size=8.5) if pen.font else FontProperties(size=8.5)
    figure.legend(
        list(present.values()), [pen.text(f"chart.{key}") for key in present],
        loc="lower center", bbox_to_anchor=(0.5, 0), borderaxespad=0.1, ncols=len(present) if len(present) < 6 else (len(present) + 1) // 2, prop=size, handlelength=2.2, columnspacing=1.4,
    )  # fmt: skip
