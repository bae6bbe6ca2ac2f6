"""Time a case's page with its chart drawn the plain way, and over a background that homes share.

`python -m tests.benchmarks.charts` prints both and their ratio, in a few seconds. It is why
`anomaly.charts.case_pixels` exists beside `case_figure`: both give the same picture.
"""

import statistics
import time
from collections.abc import Callable

import numpy as np

from anomaly import charts, report
from pipelines.reporting.writer import encode_png
from tests.support.report_pages import case_page

ROUNDS = 20


def draw_plainly(chart: charts.CaseChart, language: str, font: charts.FontFile | None) -> np.ndarray:
    """Draw a chart on a figure of its own."""
    return charts.pixels_of(charts.case_figure(chart, language, font))


def seconds_of_page(draw: Callable[[charts.CaseChart, str, str | None], np.ndarray]) -> float:
    """Return the processor time of all files of a case, once, its charts drawn by `draw`."""
    page, font = case_page(), charts.chinese_font()
    onset = page.case["onset"]
    chart = charts.CaseChart(page.series, page.units, page.calendar, onset, page.night)
    begun = time.process_time()
    for language in page.site.languages:
        encode_png(draw(chart, language, font))
        drawing = charts.decomposition_svg(page.parts, page.units, onset, page.night, language)
        report.case_html(page, language, "case.png", drawing)
    return time.process_time() - begun


def main() -> None:
    """Print the median of both ways, taken in turn."""
    ways = {"plain": draw_plainly, "shared background": charts.case_pixels}
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(ROUNDS + 1):
        for name, draw in ways.items():
            times[name].append(seconds_of_page(draw))
    medians = {name: statistics.median(taken[1:]) for name, taken in times.items()}  # the first warms up
    for name, median in medians.items():
        print(f"{name:20} {1000 * median:5.0f} ms a page")
    print(f"plain / shared       {medians['plain'] / medians['shared background']:5.2f} ×")


if __name__ == "__main__":
    main()
