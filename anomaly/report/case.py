"""The page of one case."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from markupsafe import Markup

from anomaly import messages
from anomaly.messages import (
    capitalise,
    format_day,
    format_list,
    format_number,
    format_ratio,
    format_rounded,
    join_sentences,
    message,
    message_list,
    more_people_sentence,
    translate,
    translate_note,
    translate_signature,
)
from anomaly.report.page import (
    RISE,
    Site,
    because_of,
    index_link,
    is_measured,
    language_links,
    per_hundred,
    ratios_of,
    render,
)
from anomaly.report.rejudged import rejudged_case_paragraph
from anomaly.tables import JUDGED_QUALITIES, OUTCOMES

CHART_DAYS = 120
TABLE_DAYS = 14
ENOUGH_HISTORY = 98  # 84 days to learn from, older than 14
KINDS = ("people", "door", "water", "power")
"""Kinds of case with explanations and checks of their own; all others share those of `other`."""


@dataclass(frozen=True)
class CasePage:
    """One case on one night.

    case: a row of `tables.Cases` and of the worklist (rank, desk, chance_wrong: or None) and `rarity_night`,
    that night's rarity or None. series: signal → day, value, expected, low, high, quality and, if known,
    peers. units: signal → base unit. calendar: day, kind, name_en, name_zh and, if known, provisional.
    evidence: `tables.Evidence` of this home this night. notes: what speaks against, as signal (or None) and a
    note of `messages.translate_note`. history_days: signal → days with a reading before the night. parts,
    shifts: what `anomaly.expected.decompose` and `level_shifts` give for this home, or None. record: how
    doors of this kind turned out here: visited, wrong, low and high (the interval of the share that was
    wrong), or None. flow: signal, day, flow (the least use of any hour of the night, base units), or None.
    revised: where the night was judged again and had said something else of this case, a row of
    `tables.Revisions` with the run's finished_utc, or None.
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
    """Return the page of a case.

    image: the chart's address, relative to the page or a `data:` address. drawing: the decomposition as an
    SVG; a page without one leaves its section out.
    """
    case, site = page.case, page.site
    night = format_day(language, page.night)
    signals = format_list(language, [translate(language, "signals", signal) for signal in page.series])
    kind = texts_kind(case["signature"])
    this_night = index_link("../", message(language, "page.this_night", night=night), site, language)
    all_nights = index_link("../../", message(language, "page.all_nights"), site, language)
    return render(
        "case.html.j2",
        site,
        language,
        links=[this_night, all_nights, *language_links(site, language, case["case_id"])],
        title=message(language, "case.title", case=case["case_id"]),
        case_id=case["case_id"],
        kind=capitalise(translate_signature(language, case["signature"])),
        facts=_facts(page, language),
        because=reason_and_people(page, language),
        revised=rejudged_case_paragraph(page.revised, language),
        night=night,
        image=image,
        alt=message(
            language,
            "chart.alt",
            signals=signals,
            first=format_day(language, _first_day_shown(page)),
            last=night,
            onset=format_day(language, case["onset"]),
            night=night,
        ),
        drawing=Markup(drawing),
        drawing_alt=message(language, "level.alt", signals=signals, night=night),
        levels=_level_sentences(page, language),
        numbers=[_number_table(page, signal, language) for signal in page.series],
        evidence=_evidence_rows(page.evidence, language),
        agrees=_what_agrees(page, language),
        against=_what_speaks_against(page, language),
        sure=_how_sure(page, language),
        explanations=message_list(language, f"explain.{kind}"),
        desk=message_list(language, f"desk.{kind}"),
        door=message_list(language, f"door.{kind}"),
        outcomes=[message(language, f"outcomes.{outcome}") for outcome in OUTCOMES],
    )


def texts_kind(signature: str) -> str:
    """Return the kind whose explanations and checks a case has."""
    return signature if signature in KINDS else "other"


def reason_and_people(page: CasePage, language: str) -> str:
    """Return why the home is a case and, where people are what rose, how many more it is like."""
    because = because_of(page.case, page.night, language)
    return join_sentences(language, because, more_people_sentence(language, page.case))


def _first_day_shown(page: CasePage) -> date:
    """Return the first day of the chart."""
    days = [day for frame in page.series.values() for day in frame["day"].to_list()]
    return max(min(days, default=page.night), page.night - timedelta(days=CHART_DAYS - 1))


def _facts(page: CasePage, language: str) -> list[tuple[str, str]]:
    """Return the facts at the head of the page: name and value, those unknown left out."""
    case = page.case
    status = translate(language, "statuses", case["status"])
    onset = format_day(language, case["onset"])
    facts = {
        "home": case["household"],
        "building": page.building,
        "district": page.district,
        "night": format_day(language, page.night),
        "status": message(language, "case.status_since", status=status, day=onset),
        "desk": translate(language, "desks", case["desk"]) if case.get("desk") else None,
        "rank": case.get("rank"),
    }
    return [
        (message(language, f"case.{name}"), str(value)) for name, value in facts.items() if value is not None
    ]


# --- the readings -------------------------------------------------------------------------------------------


def _number_table(page: CasePage, signal: str, language: str) -> dict[str, Any]:
    """Return the text alternative of the chart: caption and rows of the last days of one signal."""
    first = page.night - timedelta(days=TABLE_DAYS - 1)
    frame = page.series[signal].filter(pl.col("day").is_between(first, page.night)).sort("day")
    largest = frame.select(pl.max_horizontal(pl.col("value", "high").max())).item() if frame.height else None
    unit = messages.display_unit(page.units.get(signal, "count"), largest or 0.0)
    has_peers = "peers" in frame.columns and frame["peers"].count() > 0

    def number(value: float | None, decimals: int = unit.decimals) -> str:
        return format_number(language, None if value is None else value / unit.size, decimals)

    def range_of(low: float | None, high: float | None) -> str:
        if low is None or high is None:
            return number(None)
        return message(language, "format.range", low=number(low), high=number(high))

    # Expectations of counts have a decimal: four passages a day and a half are not five.
    expected_decimals = max(unit.decimals, 1) if unit.name == "count" else unit.decimals
    rows = [
        {
            "day": format_day(language, row["day"], short=True),
            "observed": number(row["value"]),
            "expected": number(row["expected"], expected_decimals),
            "range": range_of(row["low"], row["high"]),
            "peers": number(row["peers"]) if has_peers else None,
            "quality": translate(language, "qualities", row["quality"]),
            "marked": row["day"] >= page.case["onset"],
        }
        for row in frame.iter_rows(named=True)
    ]
    name, unit_name = _signal_name(signal, language), translate(language, "units", unit.name)
    caption = message(language, "case.numbers_caption", signal=name, unit=unit_name)
    return {"caption": caption, "rows": rows, "peers": has_peers}


def _signal_name(signal: str, language: str) -> str:
    """Return a signal's name as a sentence begins with it."""
    return capitalise(translate(language, "signals", signal))


def _level_sentences(page: CasePage, language: str) -> list[str]:
    """Return how the level of each signal moved at the onset, a sentence each."""
    if page.shifts is None:
        return []
    onset = format_day(language, page.case["onset"], short=True)
    sentences = []
    for row in page.shifts.iter_rows(named=True):
        largest = max(row["before"], row["after"])
        unit = messages.display_unit(page.units.get(row["signal"], "count"), largest)
        before, after = row["before"] / unit.size, row["after"] / unit.size
        if after >= RISE * before:
            key = "level.rises"
        elif before >= RISE * after:
            key = "level.falls"
        else:
            key = "level.stays"
        sentences.append(
            message(
                language,
                key,
                signal=_signal_name(row["signal"], language),
                unit=translate(language, "units", unit.name),
                day=onset,
                before=_two_figures(before, language),
                after=_two_figures(after, language),
            )
        )
    return sentences


def _two_figures(x: float, language: str) -> str:
    """Return a level to two figures: 6, 6.3, 19, 610."""
    if x >= 9.95:
        return format_rounded(language, x)
    return format_number(language, x, 0 if f"{x:.1f}".endswith("0") else 1)


# --- the evidence -------------------------------------------------------------------------------------------


def _evidence_rows(evidence: pl.DataFrame, language: str) -> list[dict[str, Any]]:
    """Return the table of evidence, the rarest first."""
    ordered = evidence.sort(["rarity", "detector", "signal"], descending=[True, False, False])
    return [
        {
            "detector": translate(language, "detectors", row["detector"]),
            "signal": translate(language, "signals", row["signal"]),
            "window": row["window_days"],
            "ratio": message(language, "format.times", number=format_ratio(language, row["ratio"])),
            "rarity": message(language, "case.rarity_words", number=format_rounded(language, row["rarity"])),
        }
        for row in ordered.iter_rows(named=True)
    ]


def _what_agrees(page: CasePage, language: str) -> list[str]:
    """Return what speaks for the case, and that there is no second signal where there is none."""
    agrees = _ratio_sentences(page, "case.agrees_signal", language, has_risen=True)
    agrees += [_running_flow_sentence(flow, language) for flow in _night_flows(page) if flow.runs_all_night]
    return agrees if len(agrees) > 1 else [*agrees, message(language, "case.agrees_none")]


def _what_speaks_against(page: CasePage, language: str) -> list[str]:
    """Return what speaks against the case: flat signals, holidays, lost days, still water, and the notes."""
    in_stretch = pl.col("day").is_between(page.case["onset"], page.night)
    against = _ratio_sentences(page, "case.against_signal", language, has_risen=False)
    if festive := page.calendar.filter(in_stretch, pl.col("kind").is_in(["holiday", "window"])).height:
        against.append(message(language, "case.against_holiday", days=festive))
    for signal, frame in page.series.items():
        if lost := frame.filter(in_stretch, ~pl.col("quality").is_in(JUDGED_QUALITIES)).height:
            name = _signal_name(signal, language)
            against.append(message(language, "case.against_gap", signal=name, days=lost))
    for flow in _night_flows(page):
        if flow.still:
            against.append(message(language, "case.flow_still", nights=flow.nights, quiet=flow.still))
    against += [_note(signal, note, language) for signal, note in page.notes]
    return against or [message(language, "case.against_none")]


def _ratio_sentences(page: CasePage, key: str, language: str, *, has_risen: bool) -> list[str]:
    """Return a sentence for each signal that has, or has not, risen."""
    sentences = []
    for signal, ratio in ratios_of(page.case["ratios"]).items():
        if (ratio >= RISE) == has_risen:
            name = translate(language, "signals", signal)
            sentences.append(
                capitalise(message(language, key, signal=name, ratio=format_ratio(language, ratio)))
            )
    return sentences


class _NightFlow(NamedTuple):
    """The least flow of the nights since the onset, base units an hour.

    still: nights without any for an hour or more. before: its median before the onset, None where it is not
    known.
    """

    nights: int
    still: int
    least: int
    before: float | None

    @property
    def runs_all_night(self) -> bool:
        """True where water runs every night, and clearly more than before, as with a leak."""
        usual = self.before
        return not self.still and (usual is None or self.least > max(RISE * usual, usual + 1))


def _night_flows(page: CasePage) -> Iterator[_NightFlow]:
    """Yield the flow of each signal that has one on two nights or more since the onset."""
    if page.flow is None:
        return
    for _, nights in page.flow.group_by("signal", maintain_order=True):
        since = nights.filter(pl.col("day") >= page.case["onset"])["flow"].to_list()
        before = nights.filter(pl.col("day") < page.case["onset"])["flow"].to_list()
        if len(since) > 1:
            usual = float(np.median(before)) if before else None
            yield _NightFlow(nights=len(since), still=since.count(0), least=min(since), before=usual)


def _running_flow_sentence(flow: _NightFlow, language: str) -> str:
    """Return that water runs all night, and how it was before."""
    least = format_number(language, flow.least)
    runs = message(language, "case.flow_runs", flow=least, nights=flow.nights)
    if flow.before is None:
        return join_sentences(language, runs, message(language, "case.flow_unknown"))
    before = message(language, "case.flow_before", flow=format_number(language, flow.before))
    return join_sentences(language, runs, before)


def _note(signal: str | None, note: str, language: str) -> str:
    """Return a note; one of a signal says why it is not judged."""
    text = translate_note(language, note)
    if signal is None:
        return text
    return message(language, "case.against_note", signal=_signal_name(signal, language), note=text)


# --- how sure this is ---------------------------------------------------------------------------------------


def _how_sure(page: CasePage, language: str) -> list[str]:
    """Return how much the case rests on: past outcomes, rarity, history, and the calendar."""
    case = page.case
    sentences = [_chance_sentence(case.get("chance_wrong"), language)]
    if page.record is not None:
        sentences.append(_record_sentence(case["signature"], page.record, language))
    # of a quiet night, whose rarity is 1, it is that of the last night with evidence
    of_night = case.get("rarity_night") or 1.0
    rarity = of_night if of_night > 1.0 else case["rarity"]
    sentences.append(message(language, "case.sure_rarity", number=format_rounded(language, rarity)))
    if case.get("extra_people") is not None:
        sentences.append(message(language, "more_people.sure"))
    sentences += _history_sentences(page.history_days, language)
    if "provisional" in page.calendar.columns:
        days = page.calendar.filter(pl.col("day").is_between(case["onset"], page.night))
        key = "case.sure_provisional" if days["provisional"].any() else "case.sure_calendar"
        sentences.append(message(language, key))
    return sentences


def _chance_sentence(chance: float | None, language: str) -> str:
    if is_measured(chance):
        return message(language, "case.sure_wrong", number=per_hundred(language, chance))
    return message(language, "case.sure_unknown")


def _record_sentence(signature: str, record: Mapping[str, float], language: str) -> str:
    """Return how doors of this kind turned out here."""
    ends = {end: format_number(language, 100 * record[end]) for end in ("low", "high")}
    counts = {name: format_number(language, record[name]) for name in ("visited", "wrong")}
    kind = translate_signature(language, signature)
    return message(language, "case.sure_record", kind=kind, **counts, **ends)


def _history_sentences(history_days: Mapping[str, int], language: str) -> list[str]:
    """Return the signals with enough history in one sentence, and each of the others in one of its own."""
    enough, short = [], []
    for signal, days in history_days.items():
        name, number = translate(language, "signals", signal), format_number(language, days)
        if days >= ENOUGH_HISTORY:
            enough.append(message(language, "case.history", signal=name, days=number))
        else:
            short.append(message(language, "case.sure_short", signal=capitalise(name), days=number))
    if not enough:
        return short
    return [message(language, "case.sure_history", list=format_list(language, enough)), *short]
