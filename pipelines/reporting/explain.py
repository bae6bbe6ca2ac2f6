"""Explain a case or a home as one night knew it, and write the letter to its resident.

A case is told from its night's snapshot (pipelines/cases/snapshots.py). For a home without a case the
expectations are worked out from the readings stored now.
"""

import datetime as dt
from typing import NamedTuple

import polars as pl

from anomaly import __version__, messages, report
from pipelines.cases.snapshots import find_case, last_night_with_case, read_snapshot, readings_with_expected
from pipelines.config.settings import Settings
from pipelines.errors import NotFound
from pipelines.ingest.inputs import stored_inputs
from pipelines.publish.frames import evidence_with_reasons
from pipelines.reporting.night_report import report_site
from pipelines.reporting.queries import night_or_latest, query_published
from pipelines.scoring.night import expect_homes
from pipelines.storage.state import Store

METHOD = (
    "expected: median of the last 84 occupied days older than a fortnight (11 to 17 days),"
    " with the weekday's own departure, times what the peers did that day;",
    "          never below a level lived at within the past year. low–high: 90 % of such days."
    " surprise: distance in robust deviations of the log.",
    "score:    sum of surprise over the window / sqrt(days), scaled by the night's peers."
    " rarity: one such new episode in so many past household-nights.",
)
"""How the numbers are made: in anomaly/expected, anomaly/detectors and anomaly/evidence.py."""


class RecentDays(NamedTuple):
    """A home's last weeks (`snapshots.SERIES_COLUMNS`), and a line on when and how they were made."""

    days: pl.DataFrame
    origin: str


def explain(settings: Settings, name: str, night: dt.date | None, language: str) -> str:
    """Return the case, its evidence, all its numbers of the last four weeks and how each was made.

    name: of a case or a home. night: None for the latest of a home, or the last that had the case open.
    Raises NotFound for a name that is neither.
    """
    night = _night_of(settings, name, night)
    store = Store(settings.store)
    case = find_case(store, name, night)
    home = case["household"] if case else _home_named(store, name, night)
    lines = [f"home {home}, night {night}"]
    if case:
        kind = messages.translate_signature(language, case["signature"])
        dates = f"onset {case['onset']}, opened {case['opened']}"
        because, people = case[f"because_{language}"], messages.more_people_sentence(language, case)
        lines += [
            f"case {case['case_id']}: {kind}, {dates}, {case['status']}",
            messages.join_sentences(language, because, people),
        ]
    lines += ["", "evidence of this night (detector, signal, window, observed/expected, score, rarity)"]
    evidence = evidence_with_reasons(settings, store, [night], language, [home])
    lines += [_evidence_line(row) for row in evidence.iter_rows(named=True)] or ["  none"]
    not_judged = store.read(f"nights/{night}/not_judged.parquet").filter(pl.col("household") == home)
    lines += [f"not judged: {row['signal']}: {row['reason']}" for row in not_judged.iter_rows(named=True)]
    recent = _recent_days(settings, store, home, night)
    lines += _day_lines(recent.days)
    lines += ["", *METHOD, recent.origin, "A case is a reason to look, not evidence of wrongdoing."]
    return _printable_lines("\n".join(lines) + "\n")


def resident_letter(settings: Settings, name: str, night: dt.date | None, language: str) -> str:
    """Return the one-page letter to the resident, in the numbers of that night.

    name and night: as for `explain`. Raises NotFound for a home without a case then.
    """
    night = _night_of(settings, name, night)
    store = Store(settings.store)
    case = find_case(store, name, night)
    if case is None:
        raise NotFound(
            f"{name} has no case on the night of {night}; name a case that was open then, or another --night"
            " (see `anomaly worklist`)"
        )
    days = read_snapshot(store, night, "series").filter(pl.col("household") == case["household"])
    signals = days["signal"].unique(maintain_order=True).to_list()
    nothing = pl.DataFrame()  # the letter names the signals and shows none of their days
    page = report.CasePage(
        site=report_site(settings),
        night=night,
        case=case,
        building=None,
        district=case.get("district"),
        series=dict.fromkeys(signals, nothing),
        units={},
        calendar=nothing,
        evidence=nothing,
        notes=(),
        history_days={},
    )
    return _printable_lines(report.resident_letter(page, language))


def _night_of(settings: Settings, name: str, night: dt.date | None) -> dt.date:
    """Return the night asked for, or a home's latest one, or the last that had the case open."""
    if night is None:
        is_home = query_published(settings, "SELECT 1 FROM v1.households WHERE household = $name", name=name)
        night = None if is_home.height else last_night_with_case(Store(settings.store), name)
    return night_or_latest(settings, night)


def _home_named(store: Store, name: str, night: dt.date) -> str:
    """Return the name as a home's; raise NotFound where it is a case that was not open on the night."""
    last = last_night_with_case(store, name)
    case = find_case(store, name, last) if last else None
    if case and case["case_id"] == name:
        raise NotFound(
            f"{name} was not open on the night of {night}, last on {last}:"
            f" ask with --night {last}, or for its home {case['household']}"
        )
    return name


def _recent_days(settings: Settings, store: Store, home: str, night: dt.date) -> RecentDays:
    """Return the home's last weeks: as the night kept them where it had reason to, else worked out now."""
    days = read_snapshot(store, night, "series").filter(pl.col("household") == home)
    if days.height:
        made = store.read_json(f"nights/{night}/frozen.json", {})
        settings_code = str(made.get("settings_sha256"))[:12]
        return RecentDays(
            days, f"frozen with the night: version {made.get('version')}, settings {settings_code}"
        )
    inputs = stored_inputs(settings, store)
    if inputs.stored.find_span() is None:
        raise NotFound(f"{store.folder}: holds no readings; run `anomaly nightly --settings …` first")
    if home not in set(inputs.register["household"]):
        raise NotFound(
            f"{home}: neither a case nor a household of this site; `anomaly worklist` lists the cases"
        )
    expected = expect_homes(settings, inputs, [home], night)
    if home in expected.grid.households:
        days = readings_with_expected(inputs, expected, [home], night)
    else:
        days = pl.DataFrame(schema={"signal": pl.String, "unit": pl.String})
    return RecentDays(
        days,
        "no case that night: worked out now from the readings stored now:"
        f" version {__version__}, settings {settings.sha256[:12]}",
    )


def _evidence_line(row: dict) -> str:
    return (
        f"  {row['detector']:<9} {row['signal']:<9} {row['window_days']:>2} days  ×{row['ratio']:.2f}"
        f"  {row['score']:6.2f}  1 in {row['rarity']:,.0f} household-nights"
    )


def _day_lines(days: pl.DataFrame) -> list[str]:
    lines = []
    for (signal, unit), frame in days.group_by("signal", "unit", maintain_order=True):
        lines += [
            "",
            f"{signal} ({unit} a day)",
            "  day         observed  expected       low      high  surprise  quality",
        ]
        for row in frame.iter_rows(named=True):
            values = [row["value"], row["expected"], row["low"], row["high"]]
            numbers = "".join(f"{'-' if value is None else format(value, ',.0f'):>10}" for value in values)
            surprise = "-" if row["surprise"] is None else f"{row['surprise']:.1f}"
            note = f": {row['note']}" if row["note"] else ""
            lines.append(f"  {row['day']}{numbers}{surprise:>10}  {row['quality']}{note}")
    return lines


def _printable_lines(text: str) -> str:
    return "\n".join(map(messages.printable, text.split("\n")))
