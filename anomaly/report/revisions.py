"""What a page says of a night that was judged again: how often, when last, and what became of the doors listed before."""

from collections.abc import Mapping
from typing import Any

import polars as pl

from anomaly import messages

CODES_SHOWN = 20


def night_sentence(run: Mapping[str, Any], revisions: pl.DataFrame, language: str) -> str:
    """In one paragraph, empty where the night was judged once. run: a row of `tables.Runs`; revisions: `tables.Revisions` of its judging the night again."""
    if not run["revised"]:
        return ""
    listed = [pl.col(f"rank_{then}").is_not_null() for then in ("before", "after")]
    doors = revisions.sort("rank_before", "rank_after")
    gone, new, moved = (
        doors.filter(listed[0] & ~listed[1]),
        doors.filter(listed[1] & ~listed[0]),
        doors.filter(listed[0] & listed[1]),
    )
    counts = {
        name: messages.format_number(language, frame.height)
        for name, frame in (("gone", gone), ("new", new), ("moved", moved))
    }
    other = gone.height + new.height + moved.height
    return messages.join_sentences(
        language,
        _again(run, language),
        messages.message(language, "revised.doors" if other else "revised.same", **counts),
        _codes(gone, language),
    )


def case_sentence(change: Mapping[str, Any] | None, language: str) -> str:
    """What the night had said of a case before, in one paragraph; empty where there is no `change`: a row of `tables.Revisions` with the run's finished_utc."""
    if change is None:
        return ""
    key = (
        "case_new"
        if change["case_id_before"] is None
        else "case_unlisted"
        if change["rank_before"] is None
        else "case_listed"
    )
    rarity = messages.format_rounded(language, change["rarity_before"])
    before = messages.message(
        language, f"revised.{key}", case=change["case_id_before"], rank=change["rank_before"], rarity=rarity
    )
    return messages.join_sentences(language, _again(change, language), before)


def _again(run: Mapping[str, Any], language: str) -> str:
    key = "revised.once" if run["revised"] == 1 else "revised.often"
    return messages.message(
        language,
        key,
        times=messages.format_number(language, run["revised"]),
        at=messages.format_minute(language, run["finished_utc"]),
    )


def _codes(gone: pl.DataFrame, language: str) -> str:
    """The doors that went, by code; of many the first of the list."""
    if gone.is_empty():
        return ""
    told = messages.format_list(language, gone["case_id_before"].to_list()[:CODES_SHOWN])
    key = "revised.gone_first" if gone.height > CODES_SHOWN else "revised.gone"
    return messages.message(language, key, cases=told, number=CODES_SHOWN)
