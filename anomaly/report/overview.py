"""The page over all nights: what was judged, what came of it, what could be found, how good readings are."""

from calendar import Calendar
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import polars as pl

from anomaly import tables
from anomaly.messages import (
    capitalise,
    format_day,
    format_month,
    format_number,
    format_percent,
    message,
    message_list,
    translate,
    translate_note,
    translate_signature,
)
from anomaly.report.account import account_view
from anomaly.report.evaluation import found_sentence
from anomaly.report.page import Site, file_name, language_links, render, shown_districts

MAX_NIGHTS = 31
MAX_MONTHS = 13
NIGHT_COLUMNS = ("judged", "not_judged", "open", "new", "wrong", "seconds")


@dataclass(frozen=True)
class OverviewPage:
    """All nights.

    runs, cases, outcomes: as in `tables`. reported: the nights that have a folder of their own. quality:
    district (null: the whole site), signal, homes, largest_share (one home's part of the use), days, good (of
    these, days fit to be judged), or None. found: `last` (a date) and `card`, rows of an evaluation's score
    card at the settings' own threshold, or None. account, misses: as in `tables`, or None.
    """

    site: Site
    runs: pl.DataFrame
    cases: pl.DataFrame
    outcomes: pl.DataFrame = field(default_factory=lambda: tables.empty(tables.Outcomes))
    reported: frozenset[date] = frozenset()
    quality: pl.DataFrame | None = None
    found: Mapping[str, Any] | None = None
    account: pl.DataFrame | None = None
    misses: pl.DataFrame | None = None


def overview_html(page: OverviewPage, language: str) -> str:
    """Return the page over all nights, the latest first."""
    site = page.site
    # A night that was run again counts once, by its last run.
    ordered = page.runs.sort("night", "finished_utc", "run")
    runs = ordered.unique("night", keep="last", maintain_order=True).reverse()
    limited = message(language, "overview.limited", nights=MAX_NIGHTS) if runs.height > MAX_NIGHTS else ""
    account = None
    if page.account is not None and page.misses is not None:
        account = account_view(page.account, page.misses, language)
    return render(
        "overview.html.j2",
        site,
        language,
        title=message(language, "overview.title"),
        links=language_links(site, language, "index"),
        months=_calendar(page, runs, language),
        weekdays=message_list(language, "level.weekdays"),
        course=_month_rows(page, runs, language),
        outcomes=[message(language, f"outcomes.{outcome}") for outcome in tables.OUTCOMES],
        account=account,
        kinds=_kind_rows(page.cases, language),
        statuses=[message(language, f"statuses.{status}") for status in tables.STATUSES],
        found=_found_sentences(page, language),
        found_href="evaluation/" + file_name("index", language, site.languages),
        quality=_quality_table(page.quality, language),
        heads=[message(language, f"overview.{name}") for name in NIGHT_COLUMNS],
        nights=[_night_row(page, run, language) for run in runs.head(MAX_NIGHTS).iter_rows(named=True)],
        limited=limited,
    )


def _night_href(page: OverviewPage, night: date, language: str) -> str | None:
    """Return where a night's report is, None where it has none."""
    return f"{night}/{file_name('index', language, page.site.languages)}" if night in page.reported else None


def _calendar(page: OverviewPage, runs: pl.DataFrame, language: str) -> list[dict[str, Any]]:
    """Return the latest months as weeks of days, None for a day of another month.

    A day has its number, new cases where it was judged, its address, and whether its inputs were degraded.
    """
    run_of = {run["night"]: run for run in runs.iter_rows(named=True)}
    months = sorted({(night.year, night.month) for night in run_of}, reverse=True)[:MAX_MONTHS]

    def cell(day: date, month: int) -> dict[str, Any] | None:
        if day.month != month:
            return None
        run = run_of.get(day)
        return {
            "day": day.day,
            "new": "" if run is None else format_number(language, run["cases_new"]),
            "href": _night_href(page, day, language),
            "degraded": bool(run and run["notes"]),
        }

    return [
        {
            "name": format_month(language, date(year, month, 1)),
            "weeks": [
                [cell(day, month) for day in week] for week in Calendar().monthdatescalendar(year, month)
            ],
        }
        for year, month in months
    ]


def _month_rows(page: OverviewPage, runs: pl.DataFrame, language: str) -> list[list[str]]:
    """Return month by month the cases opened, the doors promised to be wrong, and what was found at doors."""
    opened = _by_month(page.cases, "opened", pl.len())
    wrong = _by_month(runs, "night", pl.col("expected_wrong_doors").sum())
    found = [
        _by_month(page.outcomes.filter(pl.col("outcome") == outcome), "day", pl.len())
        for outcome in tables.OUTCOMES
    ]
    months = sorted({month for counts in (opened, wrong, *found) for month in counts}, reverse=True)
    return [
        [
            format_month(language, month),
            format_number(language, opened.get(month, 0)),
            format_number(language, wrong.get(month, 0.0), 1),
            *(format_number(language, counts.get(month, 0)) for counts in found),
        ]
        for month in months[:MAX_MONTHS]
    ]


def _by_month(frame: pl.DataFrame, day: str, count: pl.Expr) -> dict[date, float]:
    """Return first day of the month → count, by a column of days."""
    month = pl.col(day).dt.truncate("1mo")
    return dict(frame.group_by(month).agg(count.alias("count")).iter_rows())


def _kind_rows(cases: pl.DataFrame, language: str) -> list[list[str]]:
    """Return the number of cases of each status, a row a kind."""
    counts = {
        (kind, status): n for kind, status, n in cases.group_by("signature", "status").len().iter_rows()
    }
    rows = []
    for kind in sorted({kind for kind, _ in counts}):
        numbers = [format_number(language, counts.get((kind, status), 0)) for status in tables.STATUSES]
        rows.append([translate_signature(language, kind), *numbers])
    return rows


def _found_sentences(page: OverviewPage, language: str) -> list[str]:
    """Return what an evaluation found; empty where there was none."""
    if page.found is None:
        return []
    measured = message(language, "overview.found", day=format_day(language, page.found["last"]))
    return [measured, *(found_sentence(row, language) for row in page.found["card"])]


def _quality_table(quality: pl.DataFrame | None, language: str) -> dict[str, Any] | None:
    """Return the share of days fit to be judged: a row a district that may be shown, a column a signal."""
    if quality is None or quality.is_empty():
        return None
    signals = quality["signal"].unique().sort().to_list()
    whole_site = quality.filter(pl.col("district").is_null())
    districts = shown_districts(quality.filter(pl.col("district").is_not_null()))
    rows = []
    for (district,), own in pl.concat([whole_site, districts]).group_by("district", maintain_order=True):
        share_of = {row["signal"]: row["good"] / row["days"] for row in own.iter_rows(named=True)}
        homes = max(own["homes"].to_list())
        rows.append(
            [
                district or message(language, "overview.whole_site"),
                format_number(language, homes),
                *(format_percent(language, share_of.get(signal)) for signal in signals),
            ]
        )
    return {"heads": [capitalise(translate(language, "signals", s)) for s in signals], "rows": rows}


def _night_row(page: OverviewPage, run: Mapping[str, Any], language: str) -> dict[str, Any]:
    """Return a night as a row: its date, address, NIGHT_COLUMNS and what was degraded."""
    counts = [run["judged"], run["not_judged"], run["cases_open"], run["cases_new"]]
    seconds = None
    if run["finished_utc"] and run["started_utc"]:
        seconds = (run["finished_utc"] - run["started_utc"]).total_seconds()
    return {
        "night": format_day(language, run["night"]),
        "href": _night_href(page, run["night"], language),
        "cells": [
            *(format_number(language, count) for count in counts),
            format_number(language, run["expected_wrong_doors"], 1),
            format_number(language, seconds),
        ],
        "notes": translate_note(language, run["notes"]),
    }
