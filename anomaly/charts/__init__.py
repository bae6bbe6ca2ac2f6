"""The drawings of the pages: frames in, a matplotlib figure, its pixels, or the text of an SVG out.

One module a drawing: `case.py` (the chart of a case, on the `background.py` it shares with other homes),
`decomposition.py`, `spark.py` (the small course in the night's list) and `detection_rates.py` (of an
evaluation). `style.py` and `style.mplstyle` hold the look of all of them.

To add a drawing: write a module with one public function that takes frames, a language and a font file (of
`chinese_font`), draw inside `chart_style()` and label through `labels_in(language, font_file)`, so that no
character becomes a box; name the function here. Its sentences go under [chart] in `anomaly/locale`, its test
is `tests/unit/anomaly/charts/test_<module>.py`. Saving is the flow's (`pipelines.reporting.writer`); `pyplot`
is never used, for it keeps every figure.
"""

from anomaly.charts.case import CaseChart, case_figure, case_pixels
from anomaly.charts.decomposition import decomposition_svg
from anomaly.charts.detection_rates import detection_rates_figure
from anomaly.charts.pixels import pixels_of
from anomaly.charts.spark import spark_svg
from anomaly.charts.style import FontFile, chinese_font

__all__ = [
    "CaseChart",
    "FontFile",
    "case_figure",
    "case_pixels",
    "chinese_font",
    "decomposition_svg",
    "detection_rates_figure",
    "pixels_of",
    "spark_svg",
]
