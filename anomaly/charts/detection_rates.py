"""The charts of an evaluation: what share of planted surges is found."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from matplotlib.figure import Figure

from anomaly import messages
from anomaly.charts.style import BLUE, GREY, INK, PALE, FontFile, chart_style, labels_in

# Of the curves, the last ones where there are fewer: told apart by colour, marker and dash alike.
LOOKS: tuple[dict[str, Any], ...] = (
    {"color": BLUE, "markerfacecolor": PALE, "marker": "s", "linestyle": ":"},
    {"color": BLUE, "markerfacecolor": BLUE, "marker": "o", "linestyle": (0, (4, 2))},
    {"color": GREY, "markerfacecolor": GREY, "marker": "^", "linestyle": (0, (6, 1, 1, 1))},
    {"color": INK, "markerfacecolor": INK, "marker": "D", "linestyle": "-"},
)


def detection_rates_figure(
    curves: Mapping[float, tuple[Sequence[float], Sequence[float]]],
    axis: Literal["capacity", "day"],
    ticks: Sequence[float],
    language: str,
    font_file: FontFile | None,
) -> Figure:
    """Return the share found as a figure, one curve a size.

    curves: size → (x, share of 1). axis: what x is; `capacity` is drawn in logarithms. ticks: of x.
    font_file: as for `case_figure`.
    """
    labels = labels_in(language, font_file)
    with chart_style():
        figure = Figure(figsize=(7.2, 2.9), layout="constrained")
        axes = figure.subplots()
        axes.grid(axis="y")
        for number, (size, (x, share)) in enumerate(curves.items(), start=len(LOOKS) - len(curves)):
            look = LOOKS[number % len(LOOKS)] | {"linewidth": 1.4, "markersize": 4, "label": f"×{size:g}"}
            axes.plot(x, 100 * np.array(share), markevery=max(1, len(x) // 10), **look)
        if axis == "capacity":
            axes.set_xscale("log")
        axes.set_xticks(list(ticks), [f"{tick:g}" for tick in ticks])
        axes.set_xticks([], minor=True)
        axes.set_ylim(-3, 103)
        axes.set_xlabel(labels.message(f"evaluation.axis_{axis}"), **labels.font_of_size(8.5))
        title = messages.capitalise(labels.message("evaluation.axis_share"))
        axes.set_title(title, **labels.font_of_size(9))
        if curves:
            figure.legend(loc="outside right center", reverse=True, handlelength=3)
    return figure
