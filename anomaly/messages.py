"""Every sentence a reader sees, in every language of the reports.

A sentence lives in `locale/<language>.toml` as a key of a section; `message(language, key, name=value)` looks
up section and key, joined by a dot, and fills the placeholders. To add a sentence, add its key to every
catalogue (a test holds that all catalogues have the same keys and placeholders) and name it in the code or in
a template. To add a language, add a catalogue. An entry is one whole sentence; singular and plural have keys
of their own, so that no code glues words together.

The `translate...` functions put machine words (a signal, a reason) into the reader's words, the `format_...`
functions write numbers, dates and lists as the language does, and the `..._sentence` functions say what
several pages say alike.

This module lies below the rest of the library: it knows no frame and no household.
"""

import math
import re
import tomllib
import unicodedata
from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple

CONTROL_SIGNS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
"""All but tab and line ends: no text has them, and a terminal may obey them."""

# --- looking up ---------------------------------------------------------------------------------------------


def languages() -> tuple[str, ...]:
    """Return the languages that have a catalogue, sorted."""
    names = [file.name for file in (files("anomaly") / "locale").iterdir()]
    return tuple(sorted(name.removesuffix(".toml") for name in names if name.endswith(".toml")))


@cache
def catalogue(language: str) -> Mapping[str, str | tuple[str, ...]]:
    """Return all entries of a language: "section.key" → sentence, or a tuple of sentences for a list.

    Raises LookupError for a language without a catalogue.
    """
    if language not in languages():
        raise LookupError(f"no catalogue for language {language!r}: choose among {', '.join(languages())}")
    sections = tomllib.loads((files("anomaly") / "locale" / f"{language}.toml").read_text("utf-8"))
    return {
        f"{section}.{key}": tuple(entry) if isinstance(entry, list) else entry
        for section, entries in sections.items()
        for key, entry in entries.items()
    }


def message(language: str, key: str, **values: object) -> str:
    """Return the sentence of `key` with its placeholders filled.

    Raises LookupError for an unknown key or a placeholder without a value.
    """
    sentence = catalogue(language).get(key)
    if not isinstance(sentence, str):
        raise LookupError(f"no sentence {key!r} in {language}: add it to anomaly/locale/{language}.toml")
    return sentence.format_map(values)


def message_list(language: str, key: str) -> tuple[str, ...]:
    """Return the sentences of a list entry, in order. Raises LookupError for an unknown key."""
    entry = catalogue(language).get(key)
    if not isinstance(entry, tuple):
        raise LookupError(f"no list {key!r} in {language}: add it to anomaly/locale/{language}.toml")
    return entry


# --- machine words in the reader's language -----------------------------------------------------------------


def translate(language: str, section: str, word: str) -> str:
    """Return the catalogue's word for a machine word, or the word itself where the catalogue has none.

    section: what the word is: "signals", "statuses", "qualities", "units" …
    """
    # The key `other` of a section is the sentence for every word that has none; it is not itself a word.
    entry = catalogue(language).get(f"{section}.{word}") if word != "other" else None
    return entry if isinstance(entry, str) else word


# What differs from home to home in a machine's reason: its numbers, and the class of a home.
_VARIABLE_PARTS = re.compile(r"\d+|(?<=^class )[^:]+")


def translate_reason(language: str, reason: str) -> str:
    """Return a machine's reason in the reader's language, or the reason itself where the catalogue has none.

    The catalogue's key has `#` in place of the numbers and of a home's class:
    "# whole days in the last #, half are needed".
    """
    entry = catalogue(language).get("reason." + _VARIABLE_PARTS.sub("#", reason))
    return entry.format(*_VARIABLE_PARTS.findall(reason)) if isinstance(entry, str) else reason


def translate_reason_group(language: str, reason: str) -> str:
    """Return one wording for reasons that differ only by their numbers, so that a table can count them."""
    entry = catalogue(language).get("reason_kind." + _VARIABLE_PARTS.sub("#", reason))
    return entry if isinstance(entry, str) else translate_reason(language, reason)


def translate_note(language: str, note: str) -> str:
    """Return a note in the reader's language.

    note: a key of the catalogue's [note], a machine's reason, or a whole sentence, which stays as it is.
    """
    key = f"note.{note}"
    return message(language, key) if key in catalogue(language) else translate_reason(language, note)


def source_sentence(language: str, source: Mapping[str, Any]) -> str:
    """Return what there is to know of a source on a night; empty where there is nothing.

    source: a row of `tables.Sources`.
    """
    key = source["status"]
    if key == "ok":
        if not source["age_days"]:
            return ""
        key = "up_to"
    elif key == "dead" and source["newest_day"] is None:
        key = "dead_never"
    elif key == "thin" and 2 * source["homes_read"] < source["homes_usual"]:
        key = "thin_always"
    elif key in ("late", "dead") and source["usual_age_days"] is not None:
        key += "_usual"
    return message(
        language,
        f"sources.{key}",
        source=translate(language, "signals", source["source"]),
        day=source["newest_day"],
        age=source["age_days"],
        usual=source["usual_age_days"],
        homes=format_number(language, source["homes_usual"]),
    )


def translate_signature(language: str, signature: str) -> str:
    """Return the kind of a case in words, such as "more water than usual".

    The kind of a further signal is named after the signal: "Gas: more than usual".
    """
    if signature != "other" and f"signatures.{signature}" in catalogue(language):
        return message(language, f"signatures.{signature}")
    signal = translate(language, "signals", signature)
    return capitalise(message(language, "signatures.other", signal=signal))


def signal_of_signature(signature: str) -> str:
    """Return the signal a kind of case is named after: `entries` for `door`; all others share their name."""
    return "entries" if signature == "door" else signature


# --- numbers, dates and lists as the language writes them ---------------------------------------------------


def format_number(language: str, x: float | None, decimals: int = 0) -> str:
    """Return a number with thousands marks; a dash where there is none (None, NaN, infinite)."""
    if x is None or not math.isfinite(x):
        return message(language, "format.none")
    marks = {",": message(language, "format.thousands"), ".": message(language, "format.decimal")}
    return "".join(marks.get(c, c) for c in f"{x:,.{decimals}f}")


def format_rounded(language: str, x: float | None) -> str:
    """Return an estimate to two figures: 123,456 is 120,000 and 1.24 is 1.2; from 2 to 10 one figure."""
    if x is None or not math.isfinite(x):
        return format_number(language, x)
    if x < 10:
        return format_number(language, x, 0 if x >= 2 else 1)
    step = 10 ** (math.floor(math.log10(x)) - 1)
    return format_number(language, round(x / step) * step)


def format_ratio(language: str, x: float | None) -> str:
    """Return observed over expected: one decimal, none from 10 on."""
    return format_number(language, x, 0 if x is not None and x >= 9.95 else 1)


def format_percent(language: str, share: float | None, decimals: int = 0) -> str:
    """Return a share of 1 in per cent; a dash where there is none."""
    if share is None:
        return format_number(language, None)
    return message(language, "format.percent", number=format_number(language, 100 * share, decimals))


def format_range(language: str, low: float | None, high: float | None, decimals: int = 0) -> str:
    """Return two numbers as a range: 30–95."""
    ends = {"low": format_number(language, low, decimals), "high": format_number(language, high, decimals)}
    return message(language, "format.range", **ends)


def format_percent_range(language: str, low: float | None, high: float | None) -> str:
    """Return two shares of 1 as a range in per cent, without the sign: 30–95."""
    return format_range(language, None if low is None else 100 * low, None if high is None else 100 * high)


def format_day(language: str, day: date, *, short: bool = False) -> str:
    """Return a date as people write it: 3 May 2026, 2026年5月3日; `short` leaves the year out."""
    key = "format.day_short" if short else "format.day"
    return message(language, key, day=day.day, month=_month_name(language, day), year=day.year)


def format_month(language: str, day: date) -> str:
    """Return the month of a day: May 2026, 2026年5月."""
    return message(language, "format.month", month=_month_name(language, day), year=day.year)


def _month_name(language: str, day: date) -> str:
    return message_list(language, "format.months")[day.month - 1]


def format_minute(language: str, time: datetime | None) -> str:
    """Return a date and time of day, to the minute; a dash where there is none."""
    if time is None:
        return message(language, "format.none")
    day = format_day(language, time.date())
    return message(language, "format.minute", day=day, hour=f"{time:%H}", minute=f"{time:%M}")


def format_list(language: str, items: Sequence[str]) -> str:
    """Return words in a row: "a", "a and b", "a, b and c"."""
    if len(items) < 2:
        return "".join(items)
    row = items[0]
    for item in items[1:-1]:
        row = message(language, "format.comma", a=row, b=item)
    return message(language, "format.pair", a=row, b=items[-1])


def join_sentences(language: str, *sentences: str) -> str:
    """Return sentences one after the other as the language sets them, empty ones left out."""
    return message(language, "format.space").join(sentence for sentence in sentences if sentence)


def capitalise(text: str) -> str:
    """Return the text with its first letter large, the rest as it is."""
    return text[:1].upper() + text[1:]


class DisplayUnit(NamedTuple):
    """The unit in which values are shown. size: base units in one of it; decimals: how many to show."""

    name: str
    size: float
    decimals: int


def display_unit(base_unit: str, largest: float = 0.0) -> DisplayUnit:
    """Choose the unit in which to show values up to `largest` base units.

    litre → L below 10,000 and m³ from there on; Wh → kWh; cent → whole money; any other unit stays.
    """
    if base_unit == "litre":
        return DisplayUnit("m3", 1000.0, 1) if largest >= 10_000 else DisplayUnit("litre", 1.0, 0)
    if base_unit == "Wh":
        return DisplayUnit("Wh", 1000.0, 1)  # the catalogue calls it kWh
    if base_unit == "cent":
        return DisplayUnit("cent", 100.0, 2)
    return DisplayUnit(base_unit, 1.0, 0)


# --- what several pages and tables say alike ----------------------------------------------------------------


def because_sentence(language: str, ratios: Mapping[str, float], signature: str, days: int) -> str:
    """Return in one sentence why a home is a case.

    ratios: signal → observed over expected; the signal the signature is named after comes first, the rest
    keep their order. days: length of the rise so far. Without any finite ratio the sentence goes without
    numbers.
    """
    own = signal_of_signature(signature)
    known = [signal for signal, ratio in ratios.items() if ratio is not None and math.isfinite(ratio)]
    length = "one_day" if days == 1 else "days"
    if not known:
        return message(language, f"because.bare_{length}", days=days)
    items: list[str] = []
    for signal in sorted(known, key=lambda signal: signal != own):
        key = "because.next" if items else "because.first"
        name, ratio = translate(language, "signals", signal), format_ratio(language, ratios[signal])
        items.append(message(language, key, signal=name, ratio=ratio))
    return capitalise(message(language, f"because.{length}", list=format_list(language, items), days=days))


def more_people_sentence(language: str, case: Mapping[str, Any]) -> str:
    """Return in one sentence how many more people a case is like.

    case: has extra_people, extra_people_low and extra_people_high. Empty where the first is missing or None,
    as in all but people cases.
    """
    if case.get("extra_people") is None:
        return ""
    key = ("few", "one", "many")[min(round(case["extra_people"]), 2)]
    return message(language, f"more_people.{key}", **more_people_numbers(language, case))


def more_people_cell(language: str, case: Mapping[str, Any]) -> str:
    """Return how many more people a case is like as a cell of a table: 4 (2–7)."""
    if case.get("extra_people") is None:
        return ""
    return message(language, "more_people.short", **more_people_numbers(language, case))


def more_people_numbers(language: str, case: Mapping[str, Any]) -> dict[str, str]:
    """Return the estimate of more people and its range as the placeholders `number`, `low` and `high`."""
    columns = {"number": "extra_people", "low": "extra_people_low", "high": "extra_people_high"}
    return {name: format_number(language, case.get(column)) for name, column in columns.items()}


# --- text that is safe where it is shown --------------------------------------------------------------------


def printable(text: str) -> str:
    """Return the text on one line with invisible signs escaped, so that it does nothing to a terminal."""
    ideographic_space = "\u3000"
    return "".join(c if c.isprintable() or c == ideographic_space else ascii(c)[1:-1] for c in text)


def display_width(text: str) -> int:
    """Return how many columns of a terminal the text takes: a Chinese character takes two."""
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def align_columns(rows: Sequence[Sequence[str]], to_the_right: Collection[int] = ()) -> list[str]:
    """Return rows of cells as lines with columns two spaces apart, by their width on a terminal.

    to_the_right: places of the columns that end, rather than begin, at the same place.
    """
    if not rows:
        return []
    widths = [max(display_width(row[i]) for row in rows) for i in range(len(rows[0]))]

    def padded(text: str, i: int) -> str:
        space = " " * (widths[i] - display_width(text))
        return space + text if i in to_the_right else text + space

    return ["  ".join(padded(text, i) for i, text in enumerate(row)).rstrip() for row in rows]


_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def formula_safe(text: str) -> str:
    """Return the text as a cell: an apostrophe goes before what a spreadsheet would take for a formula."""
    return f"'{text}" if text.startswith(_FORMULA_STARTS) else text
