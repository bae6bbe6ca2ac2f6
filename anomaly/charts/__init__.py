"""What a case looks like: frames in, a matplotlib Figure or the text of an SVG out. Nothing is saved here, `pyplot` is never used."""

from anomaly.charts.case import case_figure
from anomaly.charts.detection_rates import share_figure
from anomaly.charts.ground import SHOWN_DAYS
from anomaly.charts.style import Marks, chinese_font, has_han, runs
from anomaly.charts.svg import decomposition_svg, spark_svg

__all__ = [
    "SHOWN_DAYS",
    "Marks",
    "case_figure",
    "chinese_font",
    "decomposition_svg",
    "has_han",
    "runs",
    "share_figure",
    "spark_svg",
]
