"""Sentences on a night that was judged again: how often, when last, and what became of its doors."""

from collections.abc import Mapping
from typing import Any

import polars as pl

from anomaly.messages import (
    format_list,
    format_minute,
    format_number,
    format_rounded,
    join_sentences,
    message,
)

MAX_CASES_NAMED = 20


def rejudged_night_paragraph(run: Mapping[str, Any], revisions: pl.DataFrame, language: str) -> str:
    """Return what judging the night again changed of its list; empty where it was judged once.

    run: a row of `tables.Runs`. revisions: `tables.Revisions` of that run.
    """
    if not run["revised"]:
        return ""
    was_listed, is_listed = pl.col("rank_before").is_not_null(), pl.col("rank_after").is_not_null()
    doors = revisions.sort("rank_before", "rank_after")
    gone = doors.filter(was_listed & ~is_listed)
    new = doors.filter(is_listed & ~was_listed)
    moved = doors.filter(was_listed & is_listed)
    counts = {
        "gone": format_number(language, gone.height),
        "new": format_number(language, new.height),
        "moved": format_number(language, moved.height),
    }
    has_changed = gone.height + new.height + moved.height > 0
    changes = message(language, "revised.doors" if has_changed else "revised.same", **counts)
    return join_sentences(language, _again_sentence(run, language), changes, _gone_sentence(gone, language))


def rejudged_case_paragraph(revision: Mapping[str, Any] | None, language: str) -> str:
    """Return what the night had said of a case before; empty where there is no revision.

    revision: a row of `tables.Revisions` with the run's finished_utc.
    """
    if revision is None:
        return ""
    if revision["case_id_before"] is None:
        key = "revised.case_new"
    elif revision["rank_before"] is None:
        key = "revised.case_unlisted"
    else:
        key = "revised.case_listed"
    rarity = format_rounded(language, revision["rarity_before"])
    before = message(
        language, key, case=revision["case_id_before"], rank=revision["rank_before"], rarity=rarity
    )
    return join_sentences(language, _again_sentence(revision, language), before)


def _again_sentence(run: Mapping[str, Any], language: str) -> str:
    key = "revised.once" if run["revised"] == 1 else "revised.often"
    times, at = format_number(language, run["revised"]), format_minute(language, run["finished_utc"])
    return message(language, key, times=times, at=at)


def _gone_sentence(gone: pl.DataFrame, language: str) -> str:
    """Name the doors that went, of many the first of the list."""
    if gone.is_empty():
        return ""
    cases = format_list(language, gone["case_id_before"].to_list()[:MAX_CASES_NAMED])
    key = "revised.gone_first" if gone.height > MAX_CASES_NAMED else "revised.gone"
    return message(language, key, cases=cases, number=MAX_CASES_NAMED)
