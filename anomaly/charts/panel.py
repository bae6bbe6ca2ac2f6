"""A part of a figure with a scale of its own.

What stands in it are artists of the figure: an `Axes` takes longer to be made and drawn than all that it holds.
"""

from collections.abc import Sequence
from datetime import date

import numpy as np
from matplotlib.artist import Artist
from matplotlib.collections import FillBetweenPolyCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.text import Text
from matplotlib.transforms import Bbox, BboxTransform, Transform

from anomaly.charts.style import EDGE

# inches: a figure, the height of a row with its title, the dates and the legend below, a title and what lies under it
WIDE, ROW, BELOW, TITLE, TITLE_GAP = 7.2, 1.1, 0.72, 0.3, 6 / 72
LEFT, RIGHT = 0.52, 0.27
EPOCH = date(1970, 1, 1).toordinal()


def midday(day: date) -> float:
    """Where a day lies on the time axis."""
    return float(day.toordinal() - EPOCH)


def sheet(rows: int) -> Figure:
    """An empty figure for so many rows."""
    return Figure(figsize=(WIDE, rows * ROW + BELOW))


def place(row: int, rows: int) -> tuple[float, float, float, float]:
    """Left, bottom, width and height of a row's panel in inches, the first row on top."""
    return LEFT, BELOW + (rows - 1 - row) * ROW, WIDE - LEFT - RIGHT, ROW - TITLE


class Panel:
    """A rectangle of a figure, for x over `span` and y from 0 to `top`; its artists are found again by `name` and label.

    place: left, bottom, width and height in inches.
    """

    def __init__(
        self,
        figure: Figure,
        place: tuple[float, float, float, float],
        span: tuple[float, float],
        top: float = 1.0,
        name: str = "",
    ) -> None:
        self.figure, self.name = figure, name
        self.box = Bbox.from_bounds(*(figure.dpi * inches for inches in place))
        (first, last), box = span, self.box
        self.data = BboxTransform(Bbox.from_extents(first, 0, last, top), box)
        self.upright = BboxTransform(Bbox.from_extents(first, 0, last, 1), box)  # y as a part of the height
        self.across = BboxTransform(Bbox.from_extents(0, 0, 1, top), box)  # x as a part of the width
        self.whole = BboxTransform(Bbox.unit(), box)

    def line(
        self,
        label: str,
        x: Sequence[float],
        y: Sequence[float],
        on: Transform | None = None,
        *,
        clipped: bool = True,
        **look: object,
    ) -> None:
        """A line or points; a NaN is a gap."""
        self._add(label, Line2D(x, y, transform=on or self.data, **look), clipped)

    def band(self, label: str, x: np.ndarray, low: np.ndarray, high: np.ndarray, **look: object) -> None:
        """The area between two lines; a NaN is a gap."""
        self._add(
            label, FillBetweenPolyCollection("x", x, low, high, transform=self.data, linewidth=0, **look)
        )

    def shade(self, label: str, first: float, last: float, **look: object) -> None:
        """The whole height from one x to another."""
        self._add(label, Rectangle((first, 0), last - first, 1, transform=self.upright, **look))

    def text(self, x: float, y: float, told: str, on: Transform, **look: object) -> None:
        """A text, which may stand outside."""
        self._add("text", Text(x, y, told, transform=on, **look), clipped=False)

    def frame(self, title: str, **look: object) -> None:
        """The left and the lower edge, and a title above."""
        edge = {
            "color": EDGE,
            "linewidth": 0.7,
            "solid_capstyle": "projecting",
            "zorder": 2.5,
            "clipped": False,
        }
        self.line("edge", [0, 0], [0, 1], self.whole, **edge)
        self.line("edge", [0, 1], [0, 0], self.whole, **edge)
        self.text(0, 1 + TITLE_GAP * self.figure.dpi / self.box.height, title, self.whole, **look)

    def _add(self, label: str, artist: Artist, clipped: bool = True) -> None:
        artist.set_label(f"{self.name} {label}".strip())
        if clipped:
            artist.set_clip_box(self.box)
        self.figure.add_artist(artist)
