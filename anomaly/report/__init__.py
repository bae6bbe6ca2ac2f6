"""The pages people read, and the letter to a resident: a data class and a language in, a text out.

Nothing is queried, judged or saved here; what a page is given is gathered in `pipelines.reporting`, which
also writes the files. Pages load nothing from elsewhere, and name the only style and script they allow by
their hashes.

One module a page, each with the page's data class and its function, read from top to bottom:

- `case.py`, `letter.py`: a case, and the letter to its resident
- `night.py`, `round.py`, `cases_csv.py`: a night's list, its sheets for a round, the list for a spreadsheet
- `overview.py`: all nights
- `evaluation.py`, `fairness.py`, `record.py`: what could be found, rates by group, the public record

Parts of several pages are `account.py` and `rejudged.py`; `page.py` is the frame around all of them.

To add a page: write a module with a frozen data class and a function that calls `render` with a template of
the same name in `anomaly/templates` (it extends `base.html.j2`), name both here, gather its data and write
its file in `pipelines.reporting`, and test it in `tests/unit/anomaly/report/test_<module>.py`. To add a
sentence: add its key to every catalogue in `anomaly/locale`, then name it in a template as `t('case.title')`
or in the code as `message(language, "case.title")`.
"""

from anomaly.report.case import CasePage, case_html
from anomaly.report.cases_csv import cases_csv
from anomaly.report.evaluation import EvaluationPage, evaluation_html
from anomaly.report.fairness import FairnessPage, fairness_html, fairness_view
from anomaly.report.letter import resident_letter
from anomaly.report.night import NightPage, night_html, night_parts
from anomaly.report.overview import OverviewPage, overview_html
from anomaly.report.page import Site, file_name, part_stem
from anomaly.report.record import RecordPage, record_html
from anomaly.report.round import round_html, round_parts

__all__ = [
    "CasePage",
    "EvaluationPage",
    "FairnessPage",
    "NightPage",
    "OverviewPage",
    "RecordPage",
    "Site",
    "case_html",
    "cases_csv",
    "evaluation_html",
    "fairness_html",
    "fairness_view",
    "file_name",
    "night_html",
    "night_parts",
    "overview_html",
    "part_stem",
    "record_html",
    "resident_letter",
    "round_html",
    "round_parts",
]
