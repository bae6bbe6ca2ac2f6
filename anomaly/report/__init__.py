"""What a reader reads, in order: a case, a night, a round, all nights, and the letter to a resident.

Every page is a pure function of its data class and a language. Nothing is queried and nothing is judged here.
Pages load nothing from elsewhere and name the only style and script allowed by their hashes.
"""

from anomaly.report.case import CasePage, case_html, resident_letter
from anomaly.report.evaluation import EvaluationPage, evaluation_html
from anomaly.report.night import (
    NightPage,
    cases_csv,
    night_html,
    night_parts,
    part_stem,
    round_html,
    round_parts,
)
from anomaly.report.outcomes import FairnessPage, RecordPage, fairness_html, fairness_view, record_html
from anomaly.report.overview import OverviewPage, overview_html
from anomaly.report.page import Site, file_name

__all__ = [
    "CasePage", "EvaluationPage", "FairnessPage", "NightPage", "OverviewPage", "RecordPage", "Site", "case_html", "cases_csv", "evaluation_html",
    "fairness_html", "fairness_view", "file_name", "night_html", "night_parts", "overview_html", "part_stem", "record_html", "resident_letter",
    "round_html", "round_parts",
]  # fmt: skip
