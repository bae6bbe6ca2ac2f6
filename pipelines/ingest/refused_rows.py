"""Say on the terminal which rows of a file were refused: their values, and the form to try.

Only the run that reads a file says it: what stood in the file is kept nowhere.
"""

import re

import polars as pl

from anomaly.messages import printable
from anomaly.readings import SignalRule
from anomaly.readings.units import UNITS_AS_WRITTEN
from pipelines.config.sections import Source
from pipelines.ingest.repeated_rows import REASON as CONTRADICTS

MAX_REASONS = 4
MAX_EXAMPLES = 3
"""Different cells of a reason that are shown."""
_ROLE_OF_REASON = {"time": "time", "length": "time", "in": "time", "exits": "exits", "periods": "periods"}
_TIME_FORMS = (
    "%d/%m/%Y", "%d.%m.%Y", "%d-%m-%Y", "%m/%d/%Y", "%d/%m/%y", "%d.%m.%y", "%Y%m%d", "%d %b %Y", "%d-%b-%Y",
    "%b %d, %Y",
)  # fmt: skip
_CLOCK_FORMS = ("", " %H:%M", " %H:%M:%S", " %I:%M %p", " %I:%M:%S %p", "T%H:%M:%S", " %H.%M", " %H%M")


def describe_refused_rows(
    refused: pl.DataFrame, cells: pl.DataFrame, rule: SignalRule, source: Source, file: str
) -> list[str]:
    """Return a line for each of the commonest reasons: how many rows, their cells, and what to try.

    refused: row, reason; cells: the columns of the file by role, and `row`.
    """
    lines = []
    counts = refused.group_by("reason").agg(n=pl.len(), rows=pl.col("row").head(50))
    for reason, count, rows in (
        counts.sort("n", "reason", descending=[True, False]).head(MAX_REASONS).iter_rows()
    ):
        role = _role(reason)
        of_reason = cells.filter(pl.col("row").is_in(rows))
        is_known = role in cells.columns and source.shape == "long"  # else many cells share a row
        words = [] if not is_known else of_reason[role].cast(pl.String).drop_nulls().to_list()
        distinct = list(dict.fromkeys(words))
        shown = ", ".join(map(repr, distinct[:MAX_EXAMPLES]))
        column = f" in `{source.columns[role]}`" if shown and role in source.columns else ""
        what = f"{source.name}: {file} row {rows[0]}: {reason}{f' ({shown}{column})' if shown else ''}"
        more = f", and {count - 1:,} more" if count > 1 else ""
        remedy = form_to_try(reason, distinct[0] if distinct else "", rule)
        setting = f"; {remedy} in [signals.{source.name}]" if remedy.startswith("set ") else f"; {remedy}"
        lines.append(printable(what + more + (setting if remedy else "")))
    return lines


def form_to_try(reason: str, cell: str, rule: SignalRule) -> str:
    """Return what may make a refused cell readable, "" where nothing is known to."""
    if reason == "value not a number":
        return _form_of_number(cell.strip(), rule)
    if reason == "time not readable":
        form = guess_time_format(cell)
        return f'set time_format = "{form}"' if form else "check `columns` and `time_format`"
    if reason == "value not whole":
        return 'passages are whole numbers: set kind = "usage" for what is measured'
    if reason == "value negative":
        return "export what is given back apart from what is used"
    if reason.startswith("unit "):
        return f"a unit is one of {', '.join(UNITS_AS_WRITTEN)}"
    if reason.startswith("length "):
        return "set periods_per_day"
    if reason == CONTRADICTS:
        return "set columns.meter with combine or keep"
    return ""


def _form_of_number(cell: str, rule: SignalRule) -> str:
    other = "," if rule.decimal == "." else "."
    if re.fullmatch(rf"[+-]?[\d\s\{rule.decimal}]*\d\{other}\d+", cell):
        return f'set decimal = "{other}"'
    if re.fullmatch(r"[+-]?[\d.,]+\s*[^\W\d]+\d?", cell):
        return "export the number without its unit, and name that as `unit`"
    if not re.search(r"\d", cell):
        return f'set absent = ["{cell}"], where it says that there was no reading'
    return "export plain numbers"


def guess_time_format(cell: str) -> str | None:
    """Return the form in which a time can be read: the first of the usual ones that does, days first."""
    text = pl.Series([cell.strip()])
    for clock in _CLOCK_FORMS:
        for day in _TIME_FORMS:
            form = day + clock
            parsed = (
                text.str.to_datetime(form, strict=False) if clock else text.str.to_date(form, strict=False)
            )
            if parsed.null_count() == 0 and 2000 < parsed.dt.year()[0] < 2200:
                return form
    return None


def _role(reason: str) -> str:
    """Return the role of the column that a reason is about."""
    if reason in ("no household", CONTRADICTS):
        return "household" if reason == "no household" else "time"
    if reason.startswith("unit "):
        return "unit"
    return _ROLE_OF_REASON.get(reason.split()[0], "value")
