"""The page over all nights."""

from dataclasses import dataclass
from datetime import date
from functools import partial

import polars as pl

from anomaly import words
from anomaly.report.page import Site, file_name, other_languages, render
from anomaly.tables import STATUSES

NIGHTS_SHOWN = 366


@dataclass(frozen=True)
class OverviewPage:
    """All nights. runs: `tables.Runs`. cases: `tables.Cases`. reported: the nights that have a folder of their own."""

    site: Site
    runs: pl.DataFrame
    cases: pl.DataFrame
    reported: frozenset[date] = frozenset()


def overview_html(page: OverviewPage, language: str) -> str:
    """The page over all nights, the latest first, with the cases by kind and status."""
    say, site = partial(words.say, language), page.site
    # A night that was run again counts once, by its last run.
    runs = page.runs.sort("night", "finished_utc", "run").unique("night", keep="last", maintain_order=True).reverse()
    columns = {"judged": "judged", "not_judged": "not_judged", "cases_open": "open", "cases_new": "new"}
    nights = [
        {
            "night": words.day(language, row["night"]),
            "href": f"{row['night']}/{file_name('index', language, site.languages)}" if row["night"] in page.reported else None,
            "cells": [words.number(language, row[name]) for name in columns] + [words.number(language, row["expected_wrong_doors"], 1)],
            "notes": words.note(language, row["notes"]),
        }
        for row in runs.head(NIGHTS_SHOWN).iter_rows(named=True)
    ]
    counted = {(kind, status): n for kind, status, n in page.cases.group_by("signature", "status").len().iter_rows()}
    kinds = sorted({kind for kind, _ in counted})
    return render(
        "overview.html.j2", site, language, title=say("overview.title"), links=other_languages(site, language, "index"),
        nights=nights, heads=[say(f"overview.{key}") for key in (*columns.values(), "wrong")],
        limited=say("overview.limited", nights=NIGHTS_SHOWN) if runs.height > NIGHTS_SHOWN else "",
        statuses=[say(f"statuses.{status}") for status in STATUSES],
        kinds=[[words.signature(language, kind), *(words.number(language, counted.get((kind, s), 0)) for s in STATUSES)] for kind in kinds],
    )  # fmt: skip
