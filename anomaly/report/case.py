"""The page of one case, and the letter to its resident."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import partial
from typing import Any

import polars as pl
from markupsafe import Markup

from anomaly import messages
from anomaly.report.page import Site, because_of, file_name, in_hundred, other_languages, ratios_of, render
from anomaly.report.revisions import case_sentence
from anomaly.tables import OUTCOMES

NUMBER_DAYS = 14
LONG_HISTORY = 98  # 84 days to learn from, older than 14
RISE = 1.15  # a ratio below is told as "no rise"
KINDS = ("people", "door", "water", "power")  # kinds with explanations and checks of their own
BELIEVED = ("read", "interpolated")


@dataclass(frozen=True)
class CasePage:
    """One case on one night.

    case: a row of `tables.Cases` and of the worklist (rank, desk, chance_wrong: or None) and `rarity_night`, that night's
    rarity or None. series: signal → day, value, expected, low, high, quality and, if known, peers. calendar: day, kind, name_en, name_zh and,
    if known, provisional. evidence: `tables.Evidence` of this home this night. notes: what speaks against, as signal (or None) and
    a key of the catalogue's [note], a reason not to judge, or a sentence. parts and shifts: what `anomaly.expected.decompose` and
    `level_shifts` say of this home, or None. record: how doors of this kind turned out here: visited, wrong, low and high (the
    interval of the share that was wrong), or None. flow: signal, day, flow (the least use of any hour of the night, base units), or None.
    revised: where the night was judged again and had said something else of this case, a row of `tables.Revisions` with the run's
    finished_utc, or None.
    """

    site: Site
    night: date
    case: Mapping[str, Any]
    building: str | None
    district: str | None
    series: Mapping[str, pl.DataFrame]
    units: Mapping[str, str]
    calendar: pl.DataFrame
    evidence: pl.DataFrame
    notes: Sequence[tuple[str | None, str]]
    history_days: Mapping[str, int]
    parts: pl.DataFrame | None = None
    shifts: pl.DataFrame | None = None
    record: Mapping[str, float] | None = None
    flow: pl.DataFrame | None = None
    revised: Mapping[str, Any] | None = None


def case_html(page: CasePage, language: str, image: str, drawing: str = "") -> str:
    """The page of a case. image: the chart's address, relative to the page or a `data:` address; drawing: the decomposition as
    an SVG, which a page without one leaves out.
    """
    say, case, site = partial(messages.message, language), page.case, page.site
    kind = case["signature"] if case["signature"] in KINDS else "other"
    night = messages.format_day(language, page.night)
    signals = messages.format_list(
        language, [messages.translate(language, "signals", s) for s in page.series]
    )
    first = min((frame["day"].min() for frame in page.series.values() if frame.height), default=page.night)
    links = [
        {
            "href": "../" + file_name("index", language, site.languages),
            "text": say("page.this_night", night=night),
        },
        {"href": "../../" + file_name("index", language, site.languages), "text": say("page.all_nights")},
    ]
    return render(
        "case.html.j2", site, language, links=links + other_languages(site, language, case["case_id"]),
        title=say("case.title", case=case["case_id"]), case_id=case["case_id"],
        kind=messages.capitalise(messages.translate_signature(language, case["signature"])),
        facts=_case_facts(page, language), because=_sentence(page, language), revised=case_sentence(page.revised, language), night=night, image=image,
        alt=say("chart.alt", signals=signals, first=messages.format_day(language, max(first, page.night - timedelta(days=119))),
                last=night, onset=messages.format_day(language, case["onset"]), night=night),
        drawing=Markup(drawing), drawing_alt=say("level.alt", signals=signals, night=night), levels=_levels(page, language),
        numbers=[_numbers(page, signal, language) for signal in page.series],
        evidence=_evidence(page.evidence, language), agrees=_agrees(page, language), against=_against(page, language),
        sure=_sure(page, language), explanations=messages.message_list(language, f"explain.{kind}"), desk=messages.message_list(language, f"desk.{kind}"),
        door=messages.message_list(language, f"door.{kind}"), outcomes=[say(f"outcomes.{outcome}") for outcome in OUTCOMES],
    )  # fmt: skip


def _sentence(page: CasePage, language: str) -> str:
    """Why the home is a case and, where people are what rose, how many more it is like."""
    return messages.join_sentences(
        language,
        because_of(page.case, page.night, language),
        messages.more_people_sentence(language, page.case),
    )


def _case_facts(page: CasePage, language: str) -> list[tuple[str, str]]:
    case, say = page.case, partial(messages.message, language)
    since = say(
        "case.status_since",
        status=messages.translate(language, "statuses", case["status"]),
        day=messages.format_day(language, case["onset"]),
    )
    facts = {
        "home": case["household"],
        "building": page.building,
        "district": page.district,
        "night": messages.format_day(language, page.night),
        "status": since,
        "desk": messages.translate(language, "desks", case["desk"]) if case.get("desk") else None,
        "rank": case.get("rank"),
    }
    return [(say(f"case.{name}"), str(told)) for name, told in facts.items() if told is not None]


def _numbers(page: CasePage, signal: str, language: str) -> dict:
    """The chart's text alternative: the last days of one signal, in its readable unit."""
    frame = (
        page.series[signal]
        .filter(pl.col("day").is_between(page.night - timedelta(days=NUMBER_DAYS - 1), page.night))
        .sort("day")
    )
    largest = (
        frame.select(pl.max_horizontal(pl.col("value").max(), pl.col("high").max())).item()
        if frame.height
        else 0
    )
    unit, size, digits = messages.display_unit(page.units.get(signal, "count"), largest or 0.0)
    peers = "peers" in frame.columns and frame["peers"].count() > 0

    def told(value: float | None, places: int = digits) -> str:
        return messages.format_number(language, None if value is None else value / size, places)

    def stretch(low: float | None, high: float | None) -> str:
        known = low is not None and high is not None
        return (
            messages.message(language, "format.range", low=told(low), high=told(high))
            if known
            else told(None)
        )

    rows = [
        {
            "day": messages.format_day(language, row["day"], short=True),
            "observed": told(row["value"]),
            "expected": told(row["expected"], max(digits, 1) if unit == "count" else digits),
            "range": stretch(row["low"], row["high"]),
            "peers": told(row["peers"]) if peers else None,
            "quality": messages.translate(language, "qualities", row["quality"]),
            "marked": row["day"] >= page.case["onset"],
        }
        for row in frame.iter_rows(named=True)
    ]
    name = messages.capitalise(messages.translate(language, "signals", signal))
    return {
        "caption": messages.message(
            language, "case.numbers_caption", signal=name, unit=messages.translate(language, "units", unit)
        ),
        "rows": rows,
        "peers": peers,
    }


def _levels(page: CasePage, language: str) -> list[str]:
    """How the level of each signal moved, a sentence each."""
    return (
        []
        if page.shifts is None
        else [_level(page, row, language) for row in page.shifts.iter_rows(named=True)]
    )


def _level(page: CasePage, row: Mapping[str, Any], language: str) -> str:
    base, onset = (
        page.units.get(row["signal"], "count"),
        messages.format_day(language, page.case["onset"], short=True),
    )
    unit, size, _ = messages.display_unit(base, max(row["before"], row["after"]))
    before, after = (row[name] / size for name in ("before", "after"))
    key = (
        "level.rises"
        if after >= RISE * before
        else "level.falls"
        if before >= RISE * after
        else "level.stays"
    )
    told = {name: _about(language, x) for name, x in (("before", before), ("after", after))}
    signal = messages.capitalise(messages.translate(language, "signals", row["signal"]))
    return messages.message(
        language, key, signal=signal, unit=messages.translate(language, "units", unit), day=onset, **told
    )


def _about(language: str, x: float) -> str:
    """Two figures: 6, 6.3, 19, 610."""
    return (
        messages.format_rounded(language, x)
        if x >= 9.95
        else messages.format_number(language, x, int(f"{x:.1f}"[-1] != "0"))
    )


def _evidence(evidence: pl.DataFrame, language: str) -> list[dict]:
    ordered = evidence.sort(["rarity", "detector", "signal"], descending=[True, False, False])
    return [
        {
            "detector": messages.translate(language, "detectors", row["detector"]),
            "signal": messages.translate(language, "signals", row["signal"]),
            "window": row["window_days"],
            "ratio": messages.message(
                language, "format.times", number=messages.format_ratio(language, row["ratio"])
            ),
            "rarity": messages.message(
                language, "case.rarity_words", number=messages.format_rounded(language, row["rarity"])
            ),
        }
        for row in ordered.iter_rows(named=True)
    ]


def _signal_sentences(page: CasePage, language: str, key: str, *, risen: bool) -> list[str]:
    return [
        messages.capitalise(
            messages.message(
                language,
                key,
                signal=messages.translate(language, "signals", signal),
                ratio=messages.format_ratio(language, ratio),
            )
        )
        for signal, ratio in ratios_of(page.case["ratios"]).items()
        if (ratio >= RISE) == risen
    ]


def _agrees(page: CasePage, language: str) -> list[str]:
    risen = _signal_sentences(page, language, "case.agrees_signal", risen=True) + _flows(
        page, language, still=False
    )
    return risen if len(risen) > 1 else [*risen, messages.message(language, "case.agrees_none")]


def _against(page: CasePage, language: str) -> list[str]:
    stretch = pl.col("day").is_between(page.case["onset"], page.night)
    against = _signal_sentences(page, language, "case.against_signal", risen=False)
    if festive := page.calendar.filter(stretch & pl.col("kind").is_in(["holiday", "window"])).height:
        against.append(messages.message(language, "case.against_holiday", days=festive))
    for signal, frame in page.series.items():
        if lost := frame.filter(stretch & ~pl.col("quality").is_in(BELIEVED)).height:
            told = messages.capitalise(messages.translate(language, "signals", signal))
            against.append(messages.message(language, "case.against_gap", signal=told, days=lost))
    against += _flows(page, language, still=True)
    against += [_note(signal, note, language) for signal, note in page.notes]
    return against or [messages.message(language, "case.against_none")]


def _flows(page: CasePage, language: str, *, still: bool) -> list[str]:
    """What the flow at night says of a rise of water: it ran all the time, as a leak does, or (`still`) it stood still."""
    if page.flow is None or page.flow.is_empty():
        return []
    told = []
    for _, nights in page.flow.group_by("signal", maintain_order=True):
        since, before = (
            nights.filter((pl.col("day") >= page.case["onset"]) == now)["flow"] for now in (True, False)
        )
        if since.len() < 2:
            continue
        quiet, least = int((since == 0).sum()), since.min()
        if still and quiet:
            told.append(messages.message(language, "case.flow_still", nights=since.len(), quiet=quiet))
        elif (
            not still
            and not quiet
            and (before.is_empty() or least > max(RISE * before.median(), before.median() + 1))
        ):
            usual = (
                messages.message(language, "case.flow_unknown")
                if before.is_empty()
                else messages.message(
                    language, "case.flow_before", flow=messages.format_number(language, before.median())
                )
            )
            told.append(
                messages.join_sentences(
                    language,
                    messages.message(
                        language,
                        "case.flow_runs",
                        flow=messages.format_number(language, least),
                        nights=since.len(),
                    ),
                    usual,
                )
            )
    return told


def _note(signal: str | None, note: str, language: str) -> str:
    told = messages.translate_note(language, note)
    if signal is None:
        return told
    return messages.message(
        language,
        "case.against_note",
        signal=messages.capitalise(messages.translate(language, "signals", signal)),
        note=told,
    )


def _sure(page: CasePage, language: str) -> list[str]:
    case, say = page.case, partial(messages.message, language)
    chance, rarity = case.get("chance_wrong"), case.get("rarity_night") or case["rarity"]
    sure = [
        say("case.sure_unknown")
        if chance is None or chance > 0.99
        else say("case.sure_wrong", number=in_hundred(language, chance))
    ]
    if page.record is not None:
        shares = {end: messages.format_number(language, 100 * page.record[end]) for end in ("low", "high")}
        counts = {name: messages.format_number(language, page.record[name]) for name in ("visited", "wrong")}
        sure.append(
            say(
                "case.sure_record",
                kind=messages.translate_signature(language, case["signature"]),
                **counts,
                **shares,
            )
        )
    sure.append(say("case.sure_rarity", number=messages.format_rounded(language, rarity)))
    if case.get("extra_people") is not None:
        sure.append(say("more_people.sure"))
    days = {messages.translate(language, "signals", signal): n for signal, n in page.history_days.items()}
    long = [
        say("case.history", signal=signal, days=messages.format_number(language, n))
        for signal, n in days.items()
        if n >= LONG_HISTORY
    ]
    if long:
        sure.append(say("case.sure_history", list=messages.format_list(language, long)))
    short = {signal: n for signal, n in days.items() if n < LONG_HISTORY}
    sure += [
        say("case.sure_short", signal=messages.capitalise(signal), days=messages.format_number(language, n))
        for signal, n in short.items()
    ]
    if "provisional" in page.calendar.columns:
        days = page.calendar.filter(pl.col("day").is_between(case["onset"], page.night))
        sure.append(say("case.sure_provisional" if days["provisional"].any() else "case.sure_calendar"))
    return sure


def resident_letter(page: CasePage, language: str) -> str:
    """The letter to the resident of a case: plain text, plain words, one page."""
    say, case, purpose = partial(messages.message, language), page.case, page.site.purpose
    kind = case["signature"] if case["signature"] in KINDS else "other"
    chance = case.get("chance_wrong")
    signals = messages.format_list(language, [messages.translate(language, "plain", s) for s in page.series])
    wrong = (
        say("letter.wrong_unknown")
        if chance is None or chance > 0.99
        else say("letter.wrong", number=in_hundred(language, chance))
    )
    return render(
        "letter.txt.j2", page.site, language, case_id=case["case_id"], night=messages.format_day(language, page.night),
        why=say("letter.why", purpose=purpose["name"], legal_basis=purpose["legal_basis"]), home=case["household"],
        because=_plainly(page, language), onset=messages.format_day(language, case["onset"]),
        last=messages.format_day(language, case["last_seen"]), explanations=messages.message_list(language, f"explain.{kind}"),
        used=messages.join_sentences(language, say("letter.used", signals=signals), wrong),
    )  # fmt: skip


def _plainly(page: CasePage, language: str) -> str:
    """What rose at the home, and how many people that is like, as one says it to those who live there."""
    say, case, ratios = partial(messages.message, language), page.case, ratios_of(page.case["ratios"])
    risen = {signal: ratio for signal, ratio in ratios.items() if ratio >= RISE} or ratios
    items = [
        say(
            "letter.item",
            signal=messages.translate(language, "plain", signal),
            ratio=messages.format_ratio(language, ratio),
        )
        for signal, ratio in risen.items()
    ]
    days = (page.night - case["onset"]).days + 1
    seen = (
        say(
            "letter.seen_one_day" if days == 1 else "letter.seen_days",
            list=messages.format_list(language, items),
            days=days,
        )
        if items
        else _sentence(page, language)
    )
    if case.get("extra_people") is None:
        return seen
    told = {
        end: messages.format_number(language, case[f"extra_people{end}"]) for end in ("", "_low", "_high")
    }
    key = "letter.people_one" if round(case["extra_people"]) <= 1 else "letter.people_many"
    return messages.join_sentences(
        language, seen, say(key, number=told[""], low=told["_low"], high=told["_high"])
    )
