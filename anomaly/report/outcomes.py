"""What came of the doors: the account, fairness, and the record for the public."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import polars as pl

from anomaly import messages
from anomaly.report.page import Site, file_name, other_languages, render

RATES = ("listed", "visited", "confirmed", "wrong")


@dataclass(frozen=True)
class FairnessPage:
    """groups: tables.Fairness's rows (anomaly.account.FAIRNESS). rule: stop_times and least_outcomes."""

    site: Site
    groups: pl.DataFrame
    rule: Mapping[str, float]


@dataclass(frozen=True)
class RecordPage:
    """The record. account, misses, groups: as on their own pages. facts: night, kinds, signals (name, kind, unit), pseudonyms, chance_cases, doors."""

    site: Site
    account: pl.DataFrame
    misses: pl.DataFrame
    groups: pl.DataFrame
    facts: Mapping[str, Any]


def account_view(account: pl.DataFrame, misses: pl.DataFrame, language: str) -> dict:
    """What the account's section shows: a sentence, the rows of its table, what has stopped, and the misses."""
    say = partial(messages.message, language)
    whole = account.filter(pl.col("grouped_by") == "all", pl.col("answered") > 0)
    order = {"all": 0, "signature": 1, "district": 2, "month": 3}
    ordered = sorted(
        account.filter(pl.col("answered") > 0).iter_rows(named=True),
        key=lambda r: (order[r["grouped_by"]], r["name"]),
    )
    return {
        "lead": _lead(whole.row(0, named=True), language) if whole.height else say("account.none"),
        "rows": [_account_row(row, language) for row in ordered],
        "stopped": [
            say("account.stopped", name=_group(row, language))
            for row in account.filter("stopped").iter_rows(named=True)
        ],
        "misses": _misses(misses, language),
    }


def stopped_sentences(stopped: Sequence[tuple[str, int, int]], language: str) -> list[str]:
    """(kind or place, wrong, answered) of what a night no longer lists, as sentences."""
    return [
        messages.message(
            language,
            "account.stopped_count",
            name=messages.capitalise(_name(name, language)),
            wrong=wrong,
            answered=n,
        )
        for name, wrong, n in stopped
    ]


def _lead(row: Mapping[str, Any], language: str) -> str:
    told = {name: messages.format_number(language, row[name]) for name in ("answered", "wrong")} | {
        "promised": messages.format_number(language, row["promised"], 1)
    }
    return messages.message(
        language,
        "account.lead",
        **told,
        share=_percent(row["wrong_share"], language),
        range=_range(row["low"], row["high"], language),
    )


def _account_row(row: Mapping[str, Any], language: str) -> list[str]:
    number = partial(messages.format_number, language)
    shares = messages.message(
        language,
        "account.shares",
        share=_percent(row["wrong_share"], language),
        range=_range(row["low"], row["high"], language),
    )
    change = messages.message(
        language,
        "account.change",
        before=_percent(row["chance_before"], language),
        after=_percent(row["chance_after"], language),
    )
    return [
        _group(row, language),
        number(row["listed"]),
        number(row["answered"]),
        number(row["promised"], 1),
        number(row["wrong"]),
        shares,
        change,
    ]


def _misses(misses: pl.DataFrame, language: str) -> str:
    row = misses.row(0, named=True) if misses.height else None
    if row is None or not row["answered"]:
        return messages.message(language, "account.misses_none")
    told = {
        name: messages.format_number(language, row[name])
        for name in ("answered", "found", "unlisted", "missed")
    }
    told["missed_range"] = messages.message(
        language,
        "format.range",
        low=messages.format_number(language, row["missed_low"]),
        high=messages.format_number(language, row["missed_high"]),
    )
    return messages.message(
        language,
        "account.misses",
        **told,
        share=_percent(row["share"], language),
        range=_range(row["low"], row["high"], language),
    )


def _group(row: Mapping[str, Any], language: str) -> str:
    if row["grouped_by"] == "all":
        return messages.message(language, "account.all")
    return (
        messages.message(language, "account.month", month=row["name"])
        if row["grouped_by"] == "month"
        else _name(row["name"], language)
    )


def _name(name: str, language: str) -> str:
    return (
        messages.translate_signature(language, name)
        if f"signatures.{name}" in messages.catalogue(language)
        else name
    )


def _percent(share: float | None, language: str) -> str:
    return (
        messages.format_number(language, None)
        if share is None
        else messages.message(
            language, "format.percent", number=messages.format_number(language, 100 * share)
        )
    )


def _range(low: float | None, high: float | None, language: str) -> str:
    ends = {
        name: messages.format_number(language, None if x is None else 100 * x)
        for name, x in (("low", low), ("high", high))
    }
    return messages.message(language, "format.range", **ends)


def fairness_html(page: FairnessPage, language: str) -> str:
    """The page of rates by district and dwelling class."""
    say, site = partial(messages.message, language), page.site
    return render(
        "fairness.html.j2", site, language, title=say("fairness.title"), links=_back(site, language), **fairness_view(page.groups, language),
        rule=say("fairness.rule", times=messages.format_number(language, page.rule["stop_times"], 1), least=page.rule["least_outcomes"]),
    )  # fmt: skip


def fairness_view(groups: pl.DataFrame, language: str) -> dict:
    """The table's heads and rows, and a sentence for each group that is wrong too often."""
    say = partial(messages.message, language)
    rows = [
        [
            say(f"fairness.{row['grouped_by']}", name=row["name"]),
            messages.format_number(language, row["homes"]),
            *(_rate(row, name, language) for name in RATES),
        ]
        for row in groups.iter_rows(named=True)
    ]
    stops = [
        say("fairness.stop", name=row["name"], wrong=row["wrong"], answered=row["confirmed"] + row["wrong"])
        for row in groups.filter("stop").iter_rows(named=True)
    ]
    return {
        "heads": [say(f"fairness.{name}") for name in ("group", "homes", *RATES)],
        "rows": rows,
        "stops": stops or [say("fairness.fine")],
    }


def _rate(row: Mapping[str, Any], name: str, language: str) -> str:
    if row[f"{name}_share"] is None:
        return messages.format_number(language, None)
    share, range_ = (
        _percent(row[f"{name}_share"], language),
        _range(row[f"{name}_low"], row[f"{name}_high"], language),
    )
    return messages.message(
        language,
        "fairness.rate",
        count=messages.format_number(language, row[name]),
        share=share,
        range=range_,
    )


def record_html(page: RecordPage, language: str) -> str:
    """The transparency record with the draft impact assessment."""
    say, site, facts = partial(messages.message, language), page.site, page.facts
    signals = [
        say("record.signal", name=messages.translate(language, "signals", name), kind=kind, unit=unit)
        for name, kind, unit in facts["signals"]
    ]
    how = [
        say("record.chance_cases", number=messages.format_number(language, facts["chance_cases"], 1)),
        say("record.doors", number=facts["doors"]),
    ]
    return render(
        "record.html.j2", site, language, title=say("record.title"), links=_back(site, language), draft=say("record.draft"),
        lists={name: messages.message_list(language, f"record.{name}_lines") for name in ("what", "people", "open")},
        kinds=messages.format_list(language, [messages.translate_signature(language, kind) for kind in facts["kinds"]]),
        data=[*signals, *messages.message_list(language, "record.data_lines"), say(f"record.pseudonyms_{'on' if facts['pseudonyms'] else 'off'}")],
        how=[*messages.message_list(language, "record.how_lines"), *how],
        account=account_view(page.account, page.misses, language), fairness=fairness_view(page.groups, language),
        risks=list(zip(messages.message_list(language, "record.risks"), messages.message_list(language, "record.measures"), strict=True)),
        state=say("record.state", night=messages.format_day(language, facts["night"]), version=site.version, settings=site.settings_sha256[:12]),
    )  # fmt: skip


def _back(site: Site, language: str) -> list[dict]:
    back = {
        "href": "../" + file_name("index", language, site.languages),
        "text": messages.message(language, "page.all_nights"),
    }
    return [back, *other_languages(site, language, "index")]
