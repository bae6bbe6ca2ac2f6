"""The list of a night as CSV, for a spreadsheet."""

import csv
import io

from anomaly.messages import formula_safe
from anomaly.report.night import NightPage
from anomaly.report.page import ratios_of

COLUMNS = (
    "night",
    "rank",
    "case_id",
    "household",
    "district",
    "signature",
    "status",
    "onset",
    "desk",
    "rarity",
    "chance_wrong",
    "extra_people",
    "extra_people_low",
    "extra_people_high",
)


def cases_csv(page: NightPage) -> str:
    """Return one row a door: COLUMNS, ratios as `signal=ratio`, and the reason in English and Chinese."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow([*COLUMNS, "ratios", "because_en", "because_zh"])
    for door in page.worklist.sort("rank").iter_rows(named=True):
        ratios = "; ".join(f"{signal}={ratio:.2f}" for signal, ratio in ratios_of(door["ratios"]).items())
        cells = [*(door[name] for name in COLUMNS), ratios, door["because_en"], door["because_zh"]]
        writer.writerow([formula_safe(cell) if isinstance(cell, str) else cell for cell in cells])
    return text.getvalue()
