"""The small course of the last weeks beside a door in the night's list."""

from collections.abc import Sequence

import numpy as np

from anomaly.charts.style import BLUE, INK

STEP, HEIGHT = 2, 25  # units a day, and of the drawing
BASE, TOP = 23, 2  # y of nothing and of the largest value


def spark_svg(values: Sequence[float | None], expected: Sequence[float | None]) -> str:
    """Return observed as a line and expected dashed, as the text of an SVG; days without a value are gaps.

    values, expected: one number a day in the same unit, oldest first, at most some 60 days to stay small.
    """
    known = [value for value in (*values, *expected) if value is not None and np.isfinite(value)]
    largest = max(known, default=0.0) or 1.0
    width = STEP * max(len(values), len(expected)) + 2
    dashed = f'stroke="{BLUE}" stroke-dasharray="3 2"'
    solid = f'stroke="{INK}" stroke-width="1.2" stroke-linecap="round"'
    return (
        f'<svg viewBox="0 0 {width} {HEIGHT}" width="{width}" height="{HEIGHT}" aria-hidden="true" '
        f'fill="none">'
        f"{_polylines(expected, largest, dashed)}{_polylines(values, largest, solid)}</svg>"
    )


def _polylines(series: Sequence[float | None], largest: float, look: str) -> str:
    """Return a line for each unbroken piece of a series; of a single day a point."""
    pieces: list[list[str]] = [[]]
    for day, value in enumerate(series):
        if value is None or not np.isfinite(value):
            pieces.append([])
        else:
            y = BASE - round((BASE - TOP) * max(0.0, value) / largest)
            pieces[-1].append(f"{STEP * day + 2},{y}")
    return "".join(
        f'<polyline points="{" ".join(points if len(points) > 1 else points * 2)}" {look}/>'
        for points in pieces
        if points
    )
