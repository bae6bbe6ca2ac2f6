"""The charts of an evaluation: what share of planted surges is found."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib import style
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties

from anomaly import messages
from anomaly.charts.style import BLUE, GREY, INK, PALE, STYLE, Pen, has_han


def share_figure(
    curves: Mapping[float, tuple[Sequence[float], Sequence[float]]],
    axis: str,
    ticks: Sequence[float],
    language: str,
    font: str | None,
) -> Figure:
    """Share found, one curve a size, told apart by colour, dash and point alike.

    curves: size → (x, share of 1). axis: `capacity` (drawn in logarithms) or `day`. font: as for `case_figure`.
    """
    drawable = font is not None or not has_han(messages.message(language, "evaluation.axis_share"))
    pen = Pen(language if drawable else "en", FontProperties(fname=font) if font else None)
    looks = ((PALE, "s", ":"), (BLUE, "o", (0, (4, 2))), (GREY, "^", (0, (6, 1, 1, 1))), (INK, "D", "-"))
    with style.context(STYLE):
        figure = Figure(figsize=(7.2, 2.9), layout="constrained")
        panel = figure.subplots()
        panel.grid(axis="y")
        for place, (size, (at, share)) in enumerate(curves.items()):
            colour, mark, dash = looks[(len(looks) - len(curves) + place) % len(looks)]
            edge = BLUE if colour == PALE else colour
            panel.plot(
                at, 100 * np.array(share), color=edge, marker=mark, markerfacecolor=colour, markersize=4, linestyle=dash, linewidth=1.4,
                markevery=max(1, len(at) // 10), label=f"×{size:g}",
            )  # fmt: skip
        if axis == "capacity":
            panel.set_xscale("log")
        panel.set_xticks(list(ticks), [f"{tick:g}" for tick in ticks])
        panel.set_xticks([], minor=True)
        panel.set_ylim(-3, 103)
        panel.set_xlabel(pen.text(f"evaluation.axis_{axis}"), **pen.sized(8.5))
        panel.set_title(messages.capitalise(pen.text("evaluation.axis_share")), **pen.sized(9))
        if curves:
            figure.legend(loc="outside right center", reverse=True, handlelength=3)
    return figure
