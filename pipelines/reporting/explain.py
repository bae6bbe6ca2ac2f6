"""Explain a case or a home as one night knew it, and write the letter to its resident.

A case is told from its night's snapshot (pipelines/cases/snapshots.py). For a home without a case the
expectations are worked out from the readings stored now.
"""

import datetime as dt
from collections.abc import Mapping
from typing import Any, NamedTuple

import polars as pl

from anomaly import __version__, messages, report
from anomaly.messages import message, message_list, translate
from pipelines.cases.snapshots import find_case, last_night_with_case, read_snapshot, readings_with_expected
from pipelines.config.settings import Settings
from pipelines.errors import NotFound
from pipelines.ingest.inputs import stored_inputs
from pipelines.publish.frames import evidence_with_reasons
from pipelines.reporting.night_report import report_site
from pipelines.reporting.queries import night_or_latest, query_published
from pipelines.scoring.night import expect_homes
from pipelines.storage.state import Store


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
    lines = [message(language, "explained.home", home=home, night=night)]
    if case:
        because, people = case[f"because_{language}"], messages.more_people_sentence(language, case)
        lines += [_case_line(language, case), messages.join_sentences(language, because, people)]
    lines += ["", message(language, "explained.evidence")]
    evidence = evidence_with_reasons(settings, store, [night], language, [home])
    lines += _evidence_lines(language, evidence)
    not_judged = store.read(f"nights/{night}/not_judged.parquet").filter(pl.col("household") == home)
    lines += [_not_judged_line(language, row) for row in not_judged.iter_rows(named=True)]
    recent = _recent_days(settings, store, home, night, language)
    lines += _day_lines(language, recent.days)
    lines += ["", *message_list(language, "explained.method"), recent.origin]
    lines += [message(language, "page.reason_to_look")]
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


def _recent_days(settings: Settings, store: Store, home: str, night: dt.date, language: str) -> RecentDays:
    """Return the home's last weeks: as the night kept them where it had reason to, else worked out now."""
    days = read_snapshot(store, night, "series").filter(pl.col("household") == home)
    if days.height:
        made = store.read_json(f"nights/{night}/frozen.json", {})
        settings_code = str(made.get("settings_sha256"))[:12]
        origin = message(language, "explained.frozen", version=made.get("version"), settings=settings_code)
        return RecentDays(days, origin)
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
    settings_code = settings.sha256[:12]
    origin = message(language, "explained.worked_out_now", version=__version__, settings=settings_code)
    return RecentDays(days, origin)


def _case_line(language: str, case: Mapping[str, Any]) -> str:
    return message(
        language,
        "explained.case",
        case=case["case_id"],
        kind=messages.translate_signature(language, case["signature"]),
        onset=case["onset"],
        opened=case["opened"],
        status=translate(language, "statuses", case["status"]),
    )


def _evidence_lines(language: str, evidence: pl.DataFrame) -> list[str]:
    """Return the evidence in aligned columns, a line each, or a line that says there is none."""
    if evidence.is_empty():
        return ["  " + message(language, "explained.evidence_none")]
    rows = [
        [
            translate(language, "detectors", row["detector"]),
            translate(language, "signals", row["signal"]),
            message(language, "explained.window", days=row["window_days"]),
            f"×{row['ratio']:.2f}",
            f"{row['score']:.2f}",
            message(language, "explained.rarity", number=f"{row['rarity']:,.0f}"),
        ]
        for row in evidence.iter_rows(named=True)
    ]
    return ["  " + line for line in messages.align_columns(rows, to_the_right=(2, 3, 4))]


def _not_judged_line(language: str, row: Mapping[str, Any]) -> str:
    reason = messages.translate_reason(language, row["reason"])
    signal = translate(language, "signals", row["signal"])
    return message(language, "explained.not_assessed", signal=signal, reason=reason)


def _day_lines(language: str, days: pl.DataFrame) -> list[str]:
    """Return each signal's days in aligned columns under a line that names signal and unit."""
    heads = list(message_list(language, "explained.day_heads"))
    lines = []
    for (signal, unit), frame in days.group_by("signal", "unit", maintain_order=True):
        name = translate(language, "signals", str(signal))
        unit_name = translate(language, "base_units", str(unit))
        rows = [_day_row(language, row) for row in frame.iter_rows(named=True)]
        lines += ["", message(language, "chart.axis", signal=name, unit=unit_name)]
        lines += ["  " + line for line in messages.align_columns([heads, *rows], to_the_right=range(1, 6))]
    return lines


def _day_row(language: str, row: Mapping[str, Any]) -> list[str]:
    values = [row["value"], row["expected"], row["low"], row["high"]]
    numbers = ["-" if value is None else f"{value:,.0f}" for value in values]
    surprise = "-" if row["surprise"] is None else f"{row['surprise']:.1f}"
    quality = translate(language, "qualities", row["quality"])
    if row["note"]:
        note = translate(language, "day_notes", row["note"])
        quality = message(language, "explained.day_note", quality=quality, note=note)
    return [str(row["day"]), *numbers, surprise, quality]


def _printable_lines(text: str) -> str:
    return "\n".join(map(messages.printable, text.split("\n")))
