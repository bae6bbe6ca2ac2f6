"""The pages of one night and of all nights, and the night's list as CSV."""

import csv
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial
from typing import Any

import polars as pl
from markupsafe import Markup

from anomaly import words
from anomaly.report.loop import account_view, stopped_sentences
from anomaly.report.page import Site, file_name, in_hundred, other_languages, ratios_of, render
from anomaly.tables import STATUSES

DOORS_A_PAGE = 75  # keeps a page under 150 KB
NIGHTS_SHOWN = 366
COUNTS_SHOWN = 30
SMALL_DISTRICT, LARGE_SHARE = 15, 0.15  # homes; one home's share of a district's use


@dataclass(frozen=True)
class NightPage:
    """One night.

    run: a row of `tables.Runs`. worklist: `tables.Worklist` with because_en, because_zh, status, onset, ratios and, where a
    door's first listing is not its first night, first_listed (Boolean). cases: `tables.Cases`. not_judged: reason, signal,
    homes. quality: signal, quality, days. rejects: source, reason, rows. sparks: case_id → SVG. districts: district, homes,
    doors, largest_share (one home's part of the use), or None. stopped: (kind or place, wrong, answered) of what is not listed
    because its doors were wrong too often.
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


@dataclass(frozen=True)
class OverviewPage:
    """All nights. runs: `tables.Runs`. cases: `tables.Cases`. reported: the nights that have a folder of their own.

    account: `tables.Account` and misses: `tables.Misses`, or None.
    """

    site: Site
    runs: pl.DataFrame
    cases: pl.DataFrame
    reported: frozenset[date] = frozenset()
    account: pl.DataFrame | None = None
    misses: pl.DataFrame | None = None


def night_parts(page: NightPage) -> int:
    """Into how many pages the list of a night is cut, at least one."""
    return max(1, -(-page.worklist.height // DOORS_A_PAGE))


def _part_stem(part: int) -> str:
    return "index" if part == 1 else f"index-{part}"


def night_html(page: NightPage, language: str, part: int = 1) -> str:
    """The page of a night; a long list is cut into `night_parts(page)` pages, part 1 being the index."""
    say, site, run = partial(words.say, language), page.site, page.run
    doors, night = page.worklist.sort("rank"), words.day(language, page.run["night"])
    first = (part - 1) * DOORS_A_PAGE
    return render(
        "night.html.j2", site, language, title=say("night.title", night=night),
        links=[{"href": "../" + file_name("index", language, site.languages), "text": say("page.all_nights")},
               *other_languages(site, language, _part_stem(part))],
        sentence=_proposed(doors, language), wrong=words.paragraph(language, _promise(page, language), _unlisted(page, language)),
        facts=_night_facts(run, language), stopped=stopped_sentences(page.stopped, language),
        degraded=[words.note(language, note) for note in (run["notes"], *page.notes) if note],
        parts=_part_links(page, language, part),
        doors=[_door(page, row, language) for row in doors[first : first + DOORS_A_PAGE].iter_rows(named=True)],
        districts=_districts(page.districts, language),
        not_judged=_counts(page.not_judged, "homes", {"reason": "reason", "signal": "signals"}, language),
        quality=_counts(page.quality, "days", {"signal": "signals", "quality": "qualities"}, language),
        rejects=_counts(page.rejects, "rows", {"source": "signals", "reason": "reason"}, language),
    )  # fmt: skip


def _proposed(doors: pl.DataFrame, language: str) -> str:
    if not doors.height:
        return words.say(language, "night.sentence_none")
    told = {status: words.number(language, doors.filter(status=status).height) for status in ("new", "ongoing", "fading")}
    proposed = words.say(language, f"night.sentence_{'one' if doors.height == 1 else 'many'}", doors=words.number(language, doors.height))
    return words.paragraph(language, proposed, words.say(language, "night.statuses", **told))


def _promise(page: NightPage, language: str) -> str:
    list_ = page.worklist
    fresh = list_.filter(pl.col("first_listed")) if "first_listed" in list_.columns else list_.filter(status="new")
    values = {"doors": words.number(language, fresh.height), "wrong": words.number(language, page.run["expected_wrong_doors"], 1)}
    key = ("night.wrong_none", "night.wrong_one", "night.wrong")[min(fresh.height, 2)]
    return words.say(language, key, **values)


def _unlisted(page: NightPage, language: str) -> str:
    waiting = page.cases.filter(pl.col("status") != "closed").join(page.worklist, on="case_id", how="anti").height
    if not waiting:
        return ""
    return words.say(language, "night.unlisted_one" if waiting == 1 else "night.unlisted_many", cases=words.number(language, waiting))


def _night_facts(run: Mapping[str, Any], language: str) -> list[tuple[str, str]]:
    counts = {"judged": "judged", "not_judged": "not_judged_count", "cases_open": "cases_open", "cases_new": "cases_new"}
    facts = [(words.say(language, f"night.{key}"), words.number(language, run[name])) for name, key in counts.items()]
    finished = f"{run['finished_utc']:%Y-%m-%d %H:%M}" if run["finished_utc"] else words.say(language, "format.none")
    return [*facts, (words.say(language, "night.finished"), finished), (words.say(language, "night.run"), run["run"])]


def _part_links(page: NightPage, language: str, part: int) -> list[dict]:
    """The parts of a long list: this one in words, the others as links by their first and last door."""
    total, links = page.worklist.height, []
    for number in range(1, night_parts(page) + 1):
        first, last = (number - 1) * DOORS_A_PAGE + 1, min(total, number * DOORS_A_PAGE)
        if number == part:
            told = words.say(language, "night.list_part", first=first, last=last, total=words.number(language, total))
            links.append({"text": told, "href": None})
        else:
            href = file_name(_part_stem(number), language, page.site.languages)
            links.append({"text": words.say(language, "format.range", low=first, high=last), "href": href})
    return links if len(links) > 1 else []


def _door(page: NightPage, row: Mapping[str, Any], language: str) -> dict:
    told = [
        words.say(language, "format.times_of", signal=words.known(language, "signals", signal), number=words.ratio(language, ratio))
        for signal, ratio in ratios_of(row["ratios"]).items()
    ]
    return {
        "rank": row["rank"],
        "case_id": row["case_id"],
        "href": "cases/" + file_name(row["case_id"], language, page.site.languages),
        "kind": words.signature(language, row["signature"]),
        "district": row["district"] or words.say(language, "format.none"),
        "since": words.day(language, row["onset"], short=True),
        "ratios": words.listing(language, told),
        "spark": Markup(page.sparks.get(row["case_id"], "")),
        "rarity": words.rounded(language, row["rarity"]),
        "wrong": words.say(language, "format.percent", number=in_hundred(language, row["chance_wrong"])),
        "status": words.known(language, "statuses", row["status"]),
        "status_word": row["status"],
    }


def _counts(frame: pl.DataFrame, count: str, named: Mapping[str, str], language: str) -> list[list[str]]:
    """A frame of counts as rows of text, the largest first, the smallest of many in one last row.

    named: column → catalogue section of its words. Reasons that differ by their numbers only are counted together.
    """
    counted: Counter[tuple[str, ...]] = Counter()
    for row in frame.iter_rows(named=True):
        told = (
            words.reason_kind(language, row[column]) if section == "reason" else words.known(language, section, row[column])
            for column, section in named.items()
        )
        counted[tuple(told)] += row[count]
    ordered = sorted(counted.items(), key=lambda item: (-item[1], item[0]))
    rows = [[*told, words.number(language, n)] for told, n in ordered[:COUNTS_SHOWN]]
    if rest := ordered[COUNTS_SHOWN:]:
        blank = [words.say(language, "format.none")] * (len(named) - 1)
        rows.append([words.say(language, "night.other_reasons"), *blank, words.number(language, sum(n for _, n in rest))])
    return rows


def _districts(frame: pl.DataFrame | None, language: str) -> list[list[str]]:
    """Doors by district, small districts and those one home dominates left out."""
    if frame is None:
        return []
    large = frame.filter((pl.col("homes") >= SMALL_DISTRICT) & (pl.col("largest_share") <= LARGE_SHARE)).sort("district")
    rows = large.select("district", "homes", "doors").iter_rows()
    return [[district, words.number(language, homes), words.number(language, doors)] for district, homes, doors in rows]


def _cell(value: object) -> object:
    """A cell no spreadsheet takes for a formula."""
    return "'" + value if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")) else value


def cases_csv(page: NightPage) -> str:
    """The list of a night as CSV text, one row a door; ratios as `signal=ratio`, words in English and Chinese."""
    text = io.StringIO()
    plain = ["night", "rank", "case_id", "household", "district", "signature", "status", "onset", "desk", "rarity", "chance_wrong"]
    out = csv.writer(text, lineterminator="\r\n")
    out.writerow([*plain, "ratios", "because_en", "because_zh"])
    for row in page.worklist.sort("rank").iter_rows(named=True):
        ratios = "; ".join(f"{signal}={ratio:.2f}" for signal, ratio in ratios_of(row["ratios"]).items())
        out.writerow([_cell(value) for value in (*(row[name] for name in plain), ratios, row["because_en"], row["because_zh"])])
    return text.getvalue()


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
        account=None if page.account is None else account_view(page.account, page.misses, language),
        kinds=[[words.signature(language, kind), *(words.number(language, counted.get((kind, s), 0)) for s in STATUSES)] for kind in kinds],
    )  # fmt: skip
