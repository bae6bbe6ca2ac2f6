"""The sheets for a round: a night's doors by district, with boxes to tick, to be printed."""

from typing import Any

import polars as pl

from anomaly.messages import (
    format_day,
    join_sentences,
    message,
    more_people_sentence,
    translate_signature,
)
from anomaly.report.night import NightPage
from anomaly.report.page import because_of, file_name, index_link, language_links, part_stem, render
from anomaly.tables import OUTCOMES

DOORS_A_SHEET = 150  # keeps a page under 150 KB


def round_parts(page: NightPage) -> list[pl.DataFrame]:
    """Return the list of a night by district and home, cut into sheets of a sensible size."""
    doors = page.worklist.sort("district", "household", "rank", nulls_last=True)
    firsts = range(0, max(1, doors.height), DOORS_A_SHEET)
    return [doors.slice(first, DOORS_A_SHEET) for first in firsts]


def round_html(page: NightPage, language: str, part: int = 1) -> str:
    """Return one sheet for a round, of as many as `round_parts(page)` has."""
    site, night = page.site, format_day(language, page.run["night"])
    sheets = round_parts(page)
    by_district = sheets[part - 1].group_by("district", maintain_order=True)
    return render(
        "round.html.j2",
        site,
        language,
        title=message(language, "round.title", night=night),
        night=night,
        links=[
            index_link("", message(language, "page.this_night", night=night), site, language),
            *language_links(site, language, part_stem("round", part)),
        ],
        parts=_part_links(page, part, len(sheets), language),
        outcomes=[message(language, f"outcomes.{outcome}") for outcome in OUTCOMES],
        districts=[_district(page, district, doors, language) for (district,), doors in by_district],
    )


def _part_links(page: NightPage, part: int, parts: int, language: str) -> list[dict[str, str | None]]:
    """Return the sheets of a long list: this one in words, the others as links."""
    if parts == 1:
        return []
    links: list[dict[str, str | None]] = []
    for number in range(1, parts + 1):
        href = file_name(part_stem("round", number), language, page.site.languages)
        text = message(language, "round.part", number=number, total=parts)
        links.append({"text": text, "href": None if number == part else href})
    return links


def _district(page: NightPage, district: str | None, doors: pl.DataFrame, language: str) -> dict[str, Any]:
    """Return name, caption and doors of one district."""
    name = district or message(language, "round.no_district")
    key = "round.doors_one" if doors.height == 1 else "round.doors_many"
    rows = []
    for door in doors.iter_rows(named=True):
        because = because_of(door, page.run["night"], language)
        rows.append(
            {
                "home": door["household"],
                "case_id": door["case_id"],
                "href": "cases/" + file_name(door["case_id"], language, page.site.languages),
                "kind": translate_signature(language, door["signature"]),
                "why": join_sentences(language, because, more_people_sentence(language, door)),
            }
        )
    caption = message(language, key, district=name, doors=doors.height)
    return {"name": name, "caption": caption, "doors": rows}
