"""The section on what came of the doors, for the overview and the record, and what is no longer listed."""

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from anomaly.messages import (
    capitalise,
    catalogue,
    format_number,
    format_percent,
    format_percent_range,
    format_range,
    message,
    translate_signature,
)

GROUP_ORDER = ("all", "signature", "district", "month")


def account_view(account: pl.DataFrame, misses: pl.DataFrame, language: str) -> dict[str, Any]:
    """Return what the section shows: a sentence, the rows of its table, what has stopped, and the misses.

    account, misses: as in `tables`.
    """
    answered = account.filter(pl.col("answered") > 0)
    ordered = sorted(
        answered.iter_rows(named=True), key=lambda row: (GROUP_ORDER.index(row["grouped_by"]), row["name"])
    )
    return {
        "lead": _lead_sentence(answered.filter(pl.col("grouped_by") == "all"), language),
        "rows": [_account_row(row, language) for row in ordered],
        "stopped": [
            message(language, "account.stopped", name=_group_name(row, language))
            for row in account.filter("stopped").iter_rows(named=True)
        ],
        "misses": _misses_sentence(misses, language),
    }


def stopped_sentences(stopped: Sequence[tuple[str, int, int]], language: str) -> list[str]:
    """Return a sentence for each kind or district no longer listed. stopped: (name, wrong, answered)."""
    return [
        message(
            language,
            "account.stopped_count",
            name=capitalise(_kind_or_district(name, language)),
            wrong=wrong,
            answered=answered,
        )
        for name, wrong, answered in stopped
    ]


def _lead_sentence(whole: pl.DataFrame, language: str) -> str:
    """Return what was promised and found of all doors. whole: their row of the account, or none."""
    if whole.is_empty():
        return message(language, "account.none")
    row = whole.row(0, named=True)
    return message(
        language,
        "account.lead",
        answered=format_number(language, row["answered"]),
        wrong=format_number(language, row["wrong"]),
        promised=format_number(language, row["promised"], 1),
        share=format_percent(language, row["wrong_share"]),
        range=format_percent_range(language, row["low"], row["high"]),
    )


def _account_row(row: Mapping[str, Any], language: str) -> list[str]:
    """Return one group as a row of text."""
    share = format_percent(language, row["wrong_share"])
    interval = format_percent_range(language, row["low"], row["high"])
    before = format_percent(language, row["chance_before"])
    after = format_percent(language, row["chance_after"])
    return [
        _group_name(row, language),
        format_number(language, row["listed"]),
        format_number(language, row["answered"]),
        format_number(language, row["promised"], 1),
        format_number(language, row["wrong"]),
        message(language, "account.shares", share=share, range=interval),
        message(language, "account.change", before=before, after=after),
    ]


def _misses_sentence(misses: pl.DataFrame, language: str) -> str:
    """Return what the control doors say of the homes that no list has shown."""
    row = misses.row(0, named=True) if misses.height else None
    if row is None or not row["answered"]:
        return message(language, "account.misses_none")
    counts = ("answered", "found", "unlisted", "missed")
    return message(
        language,
        "account.misses",
        **{name: format_number(language, row[name]) for name in counts},
        missed_range=format_range(language, row["missed_low"], row["missed_high"]),
        share=format_percent(language, row["share"]),
        range=format_percent_range(language, row["low"], row["high"]),
    )


def _group_name(row: Mapping[str, Any], language: str) -> str:
    if row["grouped_by"] == "all":
        return message(language, "account.all")
    if row["grouped_by"] == "month":
        return message(language, "account.month", month=row["name"])
    return _kind_or_district(row["name"], language)


def _kind_or_district(name: str, language: str) -> str:
    """Return a kind of case in words; a district's name stands for itself."""
    is_kind = f"signatures.{name}" in catalogue(language)
    return translate_signature(language, name) if is_kind else name
