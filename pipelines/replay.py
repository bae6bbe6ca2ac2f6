"""A case as one night knew it, worked out again from the stored state."""

import datetime as dt

import numpy as np
import polars as pl

from anomaly import report, words
from anomaly.expected import expected_frame
from pipelines.collect import evidence_of
from pipelines.judge import Verdicts, expect_all
from pipelines.load import Inputs, stored_inputs
from pipelines.reports import case_page, doors_of
from pipelines.settings import Settings
from pipelines.store import NotThere, Store

SHOWN_DAYS = 28


def replay(settings: Settings, home: str, case: dict | None, night: dt.date, language: str) -> str:
    """Plain text: the case, its evidence, every number of the last four weeks and how each was made."""
    store, inputs, verdicts = _stored(settings, night)
    lines = [f"home {home}, night {night}"]
    if case:
        lines += [f"case {case['case_id']}: {words.signature(language, case['signature'])}, onset {case['onset']}, opened {case['opened']}, {case['status']}"]
        lines += [words.paragraph(language, case[f"because_{language}"], words.more_people(language, case))]
    lines += ["", "evidence of this night (detector, signal, window, observed/expected, score, rarity)"]
    seen = evidence_of(settings, store, [night], language).filter(pl.col("household") == home)
    for row in seen.iter_rows(named=True):
        lines.append(
            f"  {row['detector']:<9} {row['signal']:<9} {row['window_days']:>2} days  ×{row['ratio']:.2f}  {row['score']:6.2f}  1 in {row['rarity']:,.0f} household-nights"
        )
    if seen.is_empty():
        lines.append("  none")
    barred = store.read(f"nights/{night}/not_judged.parquet").filter(pl.col("household") == home)
    lines += [f"not judged: {row['signal']}: {row['reason']}" for row in barred.iter_rows(named=True)]
    if home in verdicts.expected.grid.households:
        lines += _days(inputs, verdicts, home, night)
    lines += ["", *METHOD, "A case is a reason to look, not evidence of wrongdoing."]
    return "\n".join(lines) + "\n"


METHOD = (
    "expected: median of the last 84 occupied days older than 14, with the weekday's own departure, times what the peers did that day;",
    "          never below a level lived at within the past year. low–high: 90 % of such days. surprise: distance in robust deviations of the log.",
    "score:    sum of surprise over the window / sqrt(days), scaled by the night's peers. rarity: one such new episode in so many past household-nights.",
)


def letter_of(settings: Settings, case: dict, night: dt.date, language: str) -> str:
    """The resident's letter, in the numbers of that night."""
    store, inputs, verdicts = _stored(settings, night)
    doors = doors_of(settings, store, inputs, night).filter(pl.col("case_id") == case["case_id"])
    row = doors.row(0, named=True) if doors.height else case | {"rank": None, "desk": None, "chance_wrong": 1.0, "rarity_night": None}
    return report.resident_letter(case_page(settings, store, inputs, verdicts, row, night), language)


def _stored(settings: Settings, night: dt.date) -> tuple[Store, Inputs, Verdicts]:
    store = Store(settings.store)
    inputs = stored_inputs(settings, store)
    if inputs.readings.is_empty():
        raise NotThere(f"{store.folder}: holds no readings; run `anomaly nightly --settings …` first")
    return store, inputs, expect_all(settings, inputs, night)


def _days(inputs: Inputs, verdicts: Verdicts, home: str, night: dt.date) -> list[str]:
    grid = verdicts.expected.grid
    told = expected_frame(verdicts.expected, grid.index(night), np.array([grid.households.index(home)]), SHOWN_DAYS).drop("value")
    read = inputs.of([home], night - dt.timedelta(days=SHOWN_DAYS - 1), night)
    both = read.join(told, on=["household", "signal", "day"], how="left").sort("signal", "day")
    lines = []
    for (signal, unit), frame in both.group_by("signal", "unit", maintain_order=True):
        lines += ["", f"{signal} ({unit} a day)", "  day         observed  expected       low      high  surprise  quality"]
        for row in frame.iter_rows(named=True):
            cells = [row["value"], row["expected"], row["low"], row["high"]]
            shown = "".join(f"{'-' if c is None else format(c, ',.0f'):>10}" for c in cells)
            surprise = "-" if row["surprise"] is None else f"{row['surprise']:.1f}"
            lines.append(f"  {row['day']}{shown}{surprise:>10}  {row['quality']}{': ' + row['note'] if row['note'] else ''}")
    return lines
