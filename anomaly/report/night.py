"""The pages of one night: its index, its list for a round by district, and the list as CSV."""

import csv
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import polars as pl
from markupsafe import Markup

from anomaly import messages
from anomaly.report.outcomes import stopped_sentences
from anomaly.report.page import (
    Site,
    because_of,
    file_name,
    in_hundred,
    other_languages,
    ratios_of,
    render,
    scripted,
    tellable,
)
from anomaly.report.revisions import night_sentence
from anomaly.tables import OUTCOMES, Revisions, empty

DOORS_A_PAGE = 75  # keeps a page under 150 KB
DOORS_A_ROUND = 150  # the same, for rows without a chart
COUNTS_SHOWN = 30
PEOPLE = ("extra_people", "extra_people_low", "extra_people_high")


@dataclass(frozen=True)
class NightPage:
    """One night.

    run: a row of `tables.Runs`. worklist: `tables.Worklist` with because_en, because_zh, status, onset, ratios and, where a
    door's first listing is not its first night, first_listed (Boolean). cases: `tables.Cases`. not_judged: reason, signal,
    homes. quality: signal, quality, days. rejects: source, reason, rows. sparks: case_id → SVG. districts: district, homes,
    doors, largest_share (one home's part of the use), or None. stopped: (kind or place, wrong, answered) of what is not listed
    because its doors were wrong too often. revisions: `tables.Revisions` of the run, where it judged the night again.
    """

    site: Site
    run: Mapping[str, Any]
    worklist: pl.DataFrame
    cases: pl.DataFrame
    not_judged: pl.DataFrame
    quality: pl.DataFrame
    rejects: pl.DataFrame
    sparks: Mapping[str, str]
    notes: Sequence[str] = ()
    districts: pl.DataFrame | None = None
    stopped: Sequence[tuple[str, int, int]] = ()
    revisions: pl.DataFrame = field(default_factory=partial(empty, Revisions))


def night_parts(page: NightPage) -> int:
    """Into how many pages the list of a night is cut, at least one."""
    return max(1, -(-page.worklist.height // DOORS_A_PAGE))


def part_stem(stem: str, part: int) -> str:
    """`index`, `index-2`, `index-3` …"""
    return stem if part == 1 else f"{stem}-{part}"


def night_html(page: NightPage, language: str, part: int = 1) -> str:
    """The page of a night; a long list is cut into `night_parts(page)` pages, part 1 being the index."""
    say, site, run = partial(messages.message, language), page.site, page.run
    doors, night = page.worklist.sort("rank"), messages.format_day(language, page.run["night"])
    first = (part - 1) * DOORS_A_PAGE
    listed = [_door(page, row, language) for row in doors[first : first + DOORS_A_PAGE].iter_rows(named=True)]
    return render(
        "night.html.j2", site, language, title=say("night.title", night=night),
        links=[{"href": "../" + file_name("index", language, site.languages), "text": say("page.all_nights")},
               *other_languages(site, language, part_stem("index", part))],
        sentence=_proposed(doors, language), wrong=messages.join_sentences(language, _promise(page, language), _unlisted(page, language)),
        facts=_night_facts(run, language), revised=night_sentence(run, page.revisions, language), stopped=stopped_sentences(page.stopped, language),
        degraded=[messages.translate_note(language, note) for note in (run["notes"], *page.notes) if note],
        parts=_part_links(page, language, part), round_href=file_name("round", language, site.languages),
        doors=listed, choices=_choices(listed), people=any(door["people"] for door in listed),
        districts=_districts(page.districts, language),
        not_judged=_counts(page.not_judged, "homes", {"reason": "reason", "signal": "signals"}, language),
        quality=_counts(page.quality, "days", {"signal": "signals", "quality": "qualities"}, language),
        rejects=_counts(page.rejects, "rows", {"source": "signals", "reason": "reason"}, language), **(scripted("list.js") if listed else {}),
    )  # fmt: skip


def _proposed(doors: pl.DataFrame, language: str) -> str:
    if not doors.height:
        return messages.message(language, "night.sentence_none")
    told = {
        status: messages.format_number(language, doors.filter(status=status).height)
        for status in ("new", "ongoing", "fading")
    }
    proposed = messages.message(
        language,
        f"night.sentence_{'one' if doors.height == 1 else 'many'}",
        doors=messages.format_number(language, doors.height),
    )
    return messages.join_sentences(language, proposed, messages.message(language, "night.statuses", **told))


def _promise(page: NightPage, language: str) -> str:
    list_ = page.worklist
    fresh = (
        list_.filter(pl.col("first_listed"))
        if "first_listed" in list_.columns
        else list_.filter(status="new")
    )
    values = {
        "doors": messages.format_number(language, fresh.height),
        "wrong": messages.format_number(language, page.run["expected_wrong_doors"], 1),
    }
    key = ("night.wrong_none", "night.wrong_one", "night.wrong")[min(fresh.height, 2)]
    return messages.message(language, key, **values)


def _unlisted(page: NightPage, language: str) -> str:
    waiting = (
        page.cases.filter(pl.col("status") != "closed").join(page.worklist, on="case_id", how="anti").height
    )
    if not waiting:
        return ""
    return messages.message(
        language,
        "night.unlisted_one" if waiting == 1 else "night.unlisted_many",
        cases=messages.format_number(language, waiting),
    )


def _night_facts(run: Mapping[str, Any], language: str) -> list[tuple[str, str]]:
    counts = {
        "judged": "judged",
        "not_judged": "not_judged_count",
        "cases_open": "cases_open",
        "cases_new": "cases_new",
    }
    facts = [
        (messages.message(language, f"night.{key}"), messages.format_number(language, run[name]))
        for name, key in counts.items()
    ]
    return [
        *facts,
        (messages.message(language, "night.finished"), messages.format_minute(language, run["finished_utc"])),
        (messages.message(language, "night.run"), run["run"]),
    ]


def _part_links(page: NightPage, language: str, part: int) -> list[dict]:
    """The parts of a long list: this one in words, the others as links by their first and last door."""
    total, links = page.worklist.height, []
    for number in range(1, night_parts(page) + 1):
        first, last = (number - 1) * DOORS_A_PAGE + 1, min(total, number * DOORS_A_PAGE)
        if number == part:
            told = messages.message(
                language,
                "night.list_part",
                first=first,
                last=last,
                total=messages.format_number(language, total),
            )
            links.append({"text": told, "href": None})
        else:
            href = file_name(part_stem("index", number), language, page.site.languages)
            links.append(
                {"text": messages.message(language, "format.range", low=first, high=last), "href": href}
            )
    return links if len(links) > 1 else []


def _door(page: NightPage, row: Mapping[str, Any], language: str) -> dict:
    """A row of the list, in words and, to sort and filter by, in plain values."""
    ratios = ratios_of(row["ratios"])
    told = [
        messages.message(
            language,
            "format.times_of",
            signal=messages.translate(language, "signals", signal),
            number=messages.format_ratio(language, ratio),
        )
        for signal, ratio in ratios.items()
    ]
    return {
        "rank": row["rank"],
        "case_id": row["case_id"],
        "href": "cases/" + file_name(row["case_id"], language, page.site.languages),
        "kind": messages.translate_signature(language, row["signature"]),
        "kind_word": row["signature"],
        "home": row["household"],
        "district": row["district"] or "",
        "since": messages.format_day(language, row["onset"], short=True),
        "onset": row["onset"],
        "ratios": messages.format_list(language, told),
        "ratio": f"{max(ratios.values(), default=0.0):.2f}",
        "people": messages.more_people_cell(language, row),
        "more": "" if row["extra_people"] is None else f"{row['extra_people']:.1f}",
        "spark": Markup(page.sparks.get(row["case_id"], "")),
        "rarity": messages.format_rounded(language, row["rarity"]),
        "rare": round(row["rarity"]),
        "wrong": messages.message(
            language, "format.percent", number=in_hundred(language, row["chance_wrong"])
        ),
        "chance": f"{row['chance_wrong']:.3f}",
        "status": messages.translate(language, "statuses", row["status"]),
        "status_word": row["status"],
    }


def _choices(listed: Sequence[Mapping[str, Any]]) -> dict[str, list[tuple[str, str]]]:
    """What the list can be filtered by: value and words of every kind, district and status in it."""
    named = {
        "kind": ("kind_word", "kind"),
        "district": ("district", "district"),
        "status": ("status_word", "status"),
    }
    return {
        name: sorted({(door[word], door[told]) for door in listed if door[word]})
        for name, (word, told) in named.items()
    }


def _counts(frame: pl.DataFrame, count: str, named: Mapping[str, str], language: str) -> list[list[str]]:
    """A frame of counts as rows of text, the largest first, the smallest of many in one last row.

    named: column → catalogue section of its words. Reasons that differ by their numbers only are counted together.
    """
    counted: Counter[tuple[str, ...]] = Counter()
    for row in frame.iter_rows(named=True):
        told = (
            messages.translate_reason_group(language, row[column])
            if section == "reason"
            else messages.translate(language, section, row[column])
            for column, section in named.items()
        )
        counted[tuple(told)] += row[count]
    ordered = sorted(counted.items(), key=lambda item: (-item[1], item[0]))
    rows = [[*told, messages.format_number(language, n)] for told, n in ordered[:COUNTS_SHOWN]]
    if rest := ordered[COUNTS_SHOWN:]:
        blank = [messages.message(language, "format.none")] * (len(named) - 1)
        rows.append(
            [
                messages.message(language, "night.other_reasons"),
                *blank,
                messages.format_number(language, sum(n for _, n in rest)),
            ]
        )
    return rows


def _districts(frame: pl.DataFrame | None, language: str) -> list[list[str]]:
    """Doors by district, small districts and those one home dominates left out."""
    if frame is None:
        return []
    rows = tellable(frame).select("district", "homes", "doors").iter_rows()
    return [
        [district, messages.format_number(language, homes), messages.format_number(language, doors)]
        for district, homes, doors in rows
    ]


def cases_csv(page: NightPage) -> str:
    """The list of a night as CSV text, one row a door; ratios as `signal=ratio`, words in English and Chinese."""
    text = io.StringIO()
    plain = [
        "night",
        "rank",
        "case_id",
        "household",
        "district",
        "signature",
        "status",
        "onset",
        "desk",
        "rarity",
        "chance_wrong",
        *PEOPLE,
    ]
    out = csv.writer(text, lineterminator="\r\n")
    out.writerow([*plain, "ratios", "because_en", "because_zh"])
    for row in page.worklist.sort("rank").iter_rows(named=True):
        ratios = "; ".join(f"{signal}={ratio:.2f}" for signal, ratio in ratios_of(row["ratios"]).items())
        out.writerow(
            [
                messages.formula_safe(value) if isinstance(value, str) else value
                for value in (*(row[name] for name in plain), ratios, row["because_en"], row["because_zh"])
            ]
        )
    return text.getvalue()


def round_parts(page: NightPage) -> list[pl.DataFrame]:
    """The list of a night by district, each by building and home, cut into sheets of a sensible size."""
    doors = page.worklist.sort("district", "household", "rank", nulls_last=True)
    return [doors[first : first + DOORS_A_ROUND] for first in range(0, max(1, doors.height), DOORS_A_ROUND)]


def round_html(page: NightPage, language: str, part: int = 1) -> str:
    """A sheet for a round: doors by district with boxes to tick, to be printed; one of `round_parts`."""
    say, site, night = (
        partial(messages.message, language),
        page.site,
        messages.format_day(language, page.run["night"]),
    )
    sheets = round_parts(page)
    hrefs = [
        file_name(part_stem("round", number), language, site.languages)
        for number in range(1, len(sheets) + 1)
    ]
    told = [say("round.part", number=number, total=len(sheets)) for number in range(1, len(sheets) + 1)]
    links = [
        {"text": text, "href": None if number == part else href}
        for number, (text, href) in enumerate(zip(told, hrefs, strict=False), 1)
    ]
    groups = sheets[part - 1].group_by("district", maintain_order=True)
    return render(
        "round.html.j2", site, language, title=say("round.title", night=night), night=night,
        links=[{"href": file_name("index", language, site.languages), "text": say("page.this_night", night=night)},
               *other_languages(site, language, part_stem("round", part))],
        parts=links if len(links) > 1 else [], outcomes=[say(f"outcomes.{outcome}") for outcome in OUTCOMES],
        districts=[_district(page, name, doors, language) for (name,), doors in groups],
    )  # fmt: skip


def _district(page: NightPage, name: str | None, doors: pl.DataFrame, language: str) -> dict:
    told = name or messages.message(language, "round.no_district")
    key = "round.doors_one" if doors.height == 1 else "round.doors_many"
    rows = [
        {
            "home": row["household"],
            "case_id": row["case_id"],
            "href": "cases/" + file_name(row["case_id"], language, page.site.languages),
            "kind": messages.translate_signature(language, row["signature"]),
            "why": messages.join_sentences(
                language,
                because_of(row, page.run["night"], language),
                messages.more_people_sentence(language, row),
            ),
        }
        for row in doors.iter_rows(named=True)
    ]
    return {
        "name": told,
        "caption": messages.message(language, key, district=told, doors=doors.height),
        "doors": rows,
    }
