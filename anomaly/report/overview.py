"""The page over all nights: when was judged, what came of it, what could be found, how good the data are."""

from calendar import Calendar
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import partial
from typing import Any

import polars as pl

from anomaly import messages, tables
from anomaly.report.evaluation import found_sentence
from anomaly.report.outcomes import account_view
from anomaly.report.page import Site, file_name, other_languages, render, tellable

NIGHTS_SHOWN = 31
MONTHS_SHOWN = 13


@dataclass(frozen=True)
class OverviewPage:
    """All nights.

    runs, cases, outcomes: as in `tables`. reported: the nights that have a folder of their own. quality: district (null: the
    whole site), signal, homes, largest_share (one home's part of the use), days, good (of these, days fit to be judged), or
    None. found: `last` (a date) and `card`, rows of an evaluation's score card at the settings' own threshold, or None.
    account, misses: as in `tables`, or None.
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
    """The page over all nights, the latest first."""
    say, site = partial(messages.message, language), page.site
    # A night that was run again counts once, by its last run.
    runs = (
        page.runs.sort("night", "finished_utc", "run")
        .unique("night", keep="last", maintain_order=True)
        .reverse()
    )
    return render(
        "overview.html.j2", site, language, title=say("overview.title"), links=other_languages(site, language, "index"),
        months=_calendar(page, runs, language), weekdays=messages.message_list(language, "level.weekdays"),
        nights=[_night(page, row, language) for row in runs.head(NIGHTS_SHOWN).iter_rows(named=True)], heads=[say(f"overview.{key}") for key in COLUMNS],
        limited=say("overview.limited", nights=NIGHTS_SHOWN) if runs.height > NIGHTS_SHOWN else "",
        course=_course(page, runs, language), outcomes=[say(f"outcomes.{outcome}") for outcome in tables.OUTCOMES],
        statuses=[say(f"statuses.{status}") for status in tables.STATUSES], kinds=_kinds(page.cases, language),
        found=_found(page, language), found_href=f"evaluation/{file_name('index', language, site.languages)}",
        quality=_quality(page.quality, language), account=None if page.account is None else account_view(page.account, page.misses, language),
    )  # fmt: skip


COLUMNS = ("judged", "not_judged", "open", "new", "wrong", "seconds")


def _night(page: OverviewPage, row: Mapping[str, Any], language: str) -> dict:
    counts = [
        messages.format_number(language, row[name])
        for name in ("judged", "not_judged", "cases_open", "cases_new")
    ]
    took = (
        (row["finished_utc"] - row["started_utc"]).total_seconds()
        if row["finished_utc"] and row["started_utc"]
        else None
    )
    return {
        "night": messages.format_day(language, row["night"]),
        "href": _href(page, row["night"], language),
        "cells": [
            *counts,
            messages.format_number(language, row["expected_wrong_doors"], 1),
            messages.format_number(language, took),
        ],
        "notes": messages.translate_note(language, row["notes"]),
    }


def _href(page: OverviewPage, night: date, language: str) -> str | None:
    return f"{night}/{file_name('index', language, page.site.languages)}" if night in page.reported else None


def _calendar(page: OverviewPage, runs: pl.DataFrame, language: str) -> list[dict]:
    """The latest months, each as weeks of days: number, new cases where judged, address, and whether inputs were degraded."""
    judged = {row["night"]: row for row in runs.iter_rows(named=True)}
    months = sorted({(night.year, night.month) for night in judged}, reverse=True)[:MONTHS_SHOWN]

    def cell(day: date, month: int) -> dict | None:
        run = judged.get(day)
        if day.month != month:
            return None
        told = "" if run is None else messages.format_number(language, run["cases_new"])
        return {
            "day": day.day,
            "new": told,
            "href": _href(page, day, language),
            "degraded": bool(run and run["notes"]),
        }

    return [
        {
            "name": messages.format_month(language, date(year, month, 1)),
            "weeks": [
                [cell(day, month) for day in week] for week in Calendar().monthdatescalendar(year, month)
            ],
        }
        for year, month in months
    ]


def _course(page: OverviewPage, runs: pl.DataFrame, language: str) -> list[list[str]]:
    """Month by month: cases opened, doors promised to be wrong, and what was found at doors."""
    opened = _monthly(page.cases, "opened", pl.len())
    wrong = _monthly(runs, "night", pl.col("expected_wrong_doors").sum())
    found = {
        outcome: _monthly(page.outcomes.filter(pl.col("outcome") == outcome), "day", pl.len())
        for outcome in tables.OUTCOMES
    }
    months = sorted(
        {*opened, *wrong, *(month for counted in found.values() for month in counted)}, reverse=True
    )[:MONTHS_SHOWN]
    return [
        [
            messages.format_month(language, month),
            messages.format_number(language, opened.get(month, 0)),
            messages.format_number(language, wrong.get(month, 0.0), 1),
            *(messages.format_number(language, counted.get(month, 0)) for counted in found.values()),
        ]
        for month in months
    ]


def _monthly(frame: pl.DataFrame, day: str, counted: pl.Expr) -> dict[date, float]:
    return dict(frame.group_by(pl.col(day).dt.truncate("1mo")).agg(counted.alias("counted")).iter_rows())


def _kinds(cases: pl.DataFrame, language: str) -> list[list[str]]:
    counted = {
        (kind, status): n for kind, status, n in cases.group_by("signature", "status").len().iter_rows()
    }
    kinds = sorted({kind for kind, _ in counted})
    return [
        [
            messages.translate_signature(language, kind),
            *(messages.format_number(language, counted.get((kind, s), 0)) for s in tables.STATUSES),
        ]
        for kind in kinds
    ]


def _found(page: OverviewPage, language: str) -> list[str]:
    """What an evaluation found, in sentences; empty where there was none."""
    if page.found is None:
        return []
    measured = messages.message(
        language, "overview.found", day=messages.format_day(language, page.found["last"])
    )
    return [measured, *(found_sentence(row, language) for row in page.found["card"])]


def _quality(frame: pl.DataFrame | None, language: str) -> dict | None:
    """Share of days fit to be judged, a row a district, a column a signal; small districts and those one home dominates left out."""
    if frame is None or frame.is_empty():
        return None
    signals = frame["signal"].unique().sort().to_list()
    whole, areas = (
        frame.filter(pl.col("district").is_null()),
        tellable(frame.filter(pl.col("district").is_not_null())),
    )
    rows = []
    for (district,), own in pl.concat([whole, areas]).group_by("district", maintain_order=True):
        shares = {
            signal: good / days for signal, good, days in own.select("signal", "good", "days").iter_rows()
        }
        told = (
            messages.message(
                language, "format.percent", number=messages.format_number(language, 100 * shares[s])
            )
            if s in shares
            else messages.format_number(language, None)
            for s in signals
        )
        rows.append(
            [
                district or messages.message(language, "overview.whole_site"),
                messages.format_number(language, own["homes"].max()),
                *told,
            ]
        )
    return {
        "heads": [messages.capitalise(messages.translate(language, "signals", s)) for s in signals],
        "rows": rows,
    }
