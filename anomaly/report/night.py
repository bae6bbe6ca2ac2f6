"""The page of one night: its list, and what could not be judged."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import polars as pl
from markupsafe import Markup

from anomaly.messages import (
    format_day,
    format_list,
    format_minute,
    format_number,
    format_ratio,
    format_rounded,
    join_sentences,
    message,
    more_people_cell,
    source_sentence,
    translate,
    translate_note,
    translate_reason_group,
    translate_signature,
)
from anomaly.report.account import stopped_sentences
from anomaly.report.page import (
    Site,
    file_name,
    page_links,
    part_stem,
    per_hundred,
    ratios_of,
    render,
    script,
    shown_districts,
)
from anomaly.report.rejudged import rejudged_night_paragraph
from anomaly.tables import Revisions, empty

DOORS_A_PAGE = 75  # keeps a page under 150 KB
MAX_COUNT_ROWS = 30


@dataclass(frozen=True)
class NightPage:
    """One night.

    run: a row of `tables.Runs`. worklist: `tables.Worklist` with because_en, because_zh, status, onset and
    ratios. cases: `tables.Cases`. not_judged: reason, signal, homes. quality: signal, quality, days. rejects:
    source, reason, rows. sparks: case_id → SVG. ordinary_sources: rows of `tables.Sources` that are ok.
    districts: district, homes, doors, largest_share (one home's part of the use), or None. stopped: (kind or
    district, wrong, answered) of what is not listed because its doors were wrong too often. revisions:
    `tables.Revisions` of the run, where it judged the night again.
    """

    site: Site
    run: Mapping[str, Any]
    worklist: pl.DataFrame
    cases: pl.DataFrame
    not_judged: pl.DataFrame
    quality: pl.DataFrame
    rejects: pl.DataFrame
    sparks: Mapping[str, str]
    ordinary_sources: Sequence[Mapping[str, Any]] = ()
    districts: pl.DataFrame | None = None
    stopped: Sequence[tuple[str, int, int]] = ()
    revisions: pl.DataFrame = field(default_factory=partial(empty, Revisions))


def night_parts(page: NightPage) -> int:
    """Return into how many pages the list of a night is cut, at least one."""
    return max(1, -(-page.worklist.height // DOORS_A_PAGE))


def night_html(page: NightPage, language: str, part: int = 1) -> str:
    """Return the page of a night; of a long list one of `night_parts(page)` pages, 1 being the index."""
    site, run = page.site, page.run
    doors = page.worklist.sort("rank")
    on_this_page = doors.slice((part - 1) * DOORS_A_PAGE, DOORS_A_PAGE)
    rows = [_door_row(page, door, language) for door in on_this_page.iter_rows(named=True)]
    promise = join_sentences(language, _promise_sentence(page, language), _unlisted_sentence(page, language))
    return render(
        "night.html.j2",
        site,
        language,
        title=message(language, "night.title", night=format_day(language, run["night"])),
        links=page_links(site, language, part_stem("index", part)),
        sentence=_list_sentence(doors, language),
        wrong=promise,
        facts=_facts(run, language),
        revised=rejudged_night_paragraph(run, page.revisions, language),
        stopped=stopped_sentences(page.stopped, language),
        degraded=[translate_note(language, note) for note in (_other_notes(page),) if note],
        ordinary=[sentence for row in page.ordinary_sources if (sentence := source_sentence(language, row))],
        parts=_part_links(page, part, language),
        round_href=file_name("round", language, site.languages),
        doors=rows,
        choices=_choices(rows),
        people=any(row["people"] for row in rows),
        districts=_district_rows(page.districts, language),
        not_judged=_count_rows(page.not_judged, "homes", {"reason": "reason", "signal": "signals"}, language),
        quality=_count_rows(page.quality, "days", {"signal": "signals", "quality": "qualities"}, language),
        rejects=_count_rows(page.rejects, "rows", {"source": "signals", "reason": "reason"}, language),
        **(script("list.js") if rows else {}),
    )


def _other_notes(page: NightPage) -> str:
    """Return the run's notes without those that the banner gives, each in the reader's language."""
    in_banner = "; ".join(page.run.get("degraded", ()))
    return page.run["notes"].removeprefix(in_banner).removeprefix("; ")


def _list_sentence(doors: pl.DataFrame, language: str) -> str:
    """Return how many doors are proposed, and how many of each status."""
    if not doors.height:
        return message(language, "night.sentence_none")
    key = "night.sentence_one" if doors.height == 1 else "night.sentence_many"
    proposed = message(language, key, doors=format_number(language, doors.height))
    counts = {
        status: format_number(language, doors.filter(status=status).height)
        for status in ("new", "ongoing", "fading")
    }
    return join_sentences(language, proposed, message(language, "night.statuses", **counts))


def _promise_sentence(page: NightPage, language: str) -> str:
    """Return how many of the doors first listed tonight are expected to be wrong."""
    first_listed = page.worklist.filter("first_listed").height
    key = ("night.wrong_none", "night.wrong_one", "night.wrong")[min(first_listed, 2)]
    wrong = format_number(language, page.run["expected_wrong_doors"], 1)
    return message(language, key, doors=format_number(language, first_listed), wrong=wrong)


def _unlisted_sentence(page: NightPage, language: str) -> str:
    """Return how many cases are open but not listed; empty where there are none."""
    is_open = pl.col("status") != "closed"
    unlisted = page.cases.filter(is_open).join(page.worklist, on="case_id", how="anti").height
    if not unlisted:
        return ""
    key = "night.unlisted_one" if unlisted == 1 else "night.unlisted_many"
    return message(language, key, cases=format_number(language, unlisted))


def _facts(run: Mapping[str, Any], language: str) -> list[tuple[str, str]]:
    """Return the facts at the head of the page: name and value."""
    values = {
        "judged": format_number(language, run["judged"]),
        "not_judged_count": format_number(language, run["not_judged"]),
        "cases_open": format_number(language, run["cases_open"]),
        "cases_new": format_number(language, run["cases_new"]),
        "finished": format_minute(language, run["finished_utc"]),
        "run": run["run"],
    }
    return [(message(language, f"night.{name}"), value) for name, value in values.items()]


def _part_links(page: NightPage, part: int, language: str) -> list[dict[str, str | None]]:
    """Return the parts of a long list: this one in words, the others as links by first and last door."""
    parts = night_parts(page)
    if parts == 1:
        return []
    links: list[dict[str, str | None]] = []
    total = page.worklist.height
    for number in range(1, parts + 1):
        first, last = (number - 1) * DOORS_A_PAGE + 1, min(total, number * DOORS_A_PAGE)
        if number == part:
            ends = {"first": first, "last": last, "total": format_number(language, total)}
            links.append({"text": message(language, "night.list_part", **ends), "href": None})
        else:
            href = file_name(part_stem("index", number), language, page.site.languages)
            links.append({"text": message(language, "format.range", low=first, high=last), "href": href})
    return links


def _door_row(page: NightPage, door: Mapping[str, Any], language: str) -> dict[str, Any]:
    """Return a row of the list: in words and, to sort and filter by, in plain values."""
    ratios = ratios_of(door["ratios"])
    risen = [
        message(
            language,
            "format.times_of",
            signal=translate(language, "signals", signal),
            number=format_ratio(language, ratio),
        )
        for signal, ratio in ratios.items()
    ]
    chance = per_hundred(language, door["chance_wrong"])
    return {
        "rank": door["rank"],
        "case_id": door["case_id"],
        "href": "cases/" + file_name(door["case_id"], language, page.site.languages),
        "kind": translate_signature(language, door["signature"]),
        "kind_word": door["signature"],
        "home": door["household"],
        "district": door["district"] or "",
        "since": format_day(language, door["onset"], short=True),
        "onset": door["onset"],
        "ratios": format_list(language, risen),
        "ratio": f"{max(ratios.values(), default=0.0):.2f}",
        "people": more_people_cell(language, door),
        "more": "" if door["extra_people"] is None else f"{door['extra_people']:.1f}",
        "spark": Markup(page.sparks.get(door["case_id"], "")),
        "rarity": format_rounded(language, door["rarity"]),
        "rare": round(door["rarity"]),
        "wrong": message(language, "format.percent", number=chance),
        "chance": f"{door['chance_wrong']:.3f}",
        "status": translate(language, "statuses", door["status"]),
        "status_word": door["status"],
    }


def _choices(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[tuple[str, str]]]:
    """Return the filters of the list: value and words of every kind, district and status in it."""
    columns = {
        "kind": ("kind_word", "kind"),
        "district": ("district", "district"),
        "status": ("status_word", "status"),
    }
    return {
        name: sorted({(row[value], row[words]) for row in rows if row[value]})
        for name, (value, words) in columns.items()
    }


def _district_rows(districts: pl.DataFrame | None, language: str) -> list[list[str]]:
    """Return homes and doors of each district that may be shown."""
    if districts is None:
        return []
    shown = shown_districts(districts).select("district", "homes", "doors")
    return [
        [district, format_number(language, homes), format_number(language, doors)]
        for district, homes, doors in shown.iter_rows()
    ]


def _count_rows(
    frame: pl.DataFrame, count_column: str, section_of: Mapping[str, str], language: str
) -> list[list[str]]:
    """Return a frame of counts as rows of text, the largest first, the smallest of many in one last row.

    section_of: column → catalogue section of its words. Reasons that differ only by their numbers are counted
    together.
    """

    def in_words(word: str, section: str) -> str:
        if section == "reason":
            return translate_reason_group(language, word)
        return translate(language, section, word)

    counts: Counter[tuple[str, ...]] = Counter()
    for row in frame.iter_rows(named=True):
        words = (in_words(row[column], section) for column, section in section_of.items())
        counts[tuple(words)] += row[count_column]
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    rows = [[*words, format_number(language, count)] for words, count in ordered[:MAX_COUNT_ROWS]]
    if rest := ordered[MAX_COUNT_ROWS:]:
        blank = [message(language, "format.none")] * (len(section_of) - 1)
        total = format_number(language, sum(count for _, count in rest))
        rows.append([message(language, "night.other_reasons"), *blank, total])
    return rows
