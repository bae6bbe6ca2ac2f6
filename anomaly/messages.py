"""Every sentence a reader sees, in every language of the reports.

A catalogue is a TOML file in `locale/`: one whole sentence a key, number forms under keys of their own.
All catalogues have the same keys with the same placeholders; a language is added by adding a file.
Like the tables, this room lies below the others: it knows no frame and no household.
"""

import math
import re
import tomllib
from collections.abc import Mapping
from datetime import date, datetime
from functools import cache
from importlib.resources import files

OWN_SIGNAL = {
    "door": "entries"
}  # the signature `door` is told by the signal `entries`; others share their name

VARYING = re.compile(r"\d+|(?<=^class )[^:]+")  # what differs from home to home in a machine's reason


def languages() -> tuple[str, ...]:
    """The languages there are catalogues for, sorted."""
    return tuple(
        sorted(f.name[:-5] for f in (files("anomaly") / "locale").iterdir() if f.name.endswith(".toml"))
    )


@cache
def catalogue(language: str) -> Mapping[str, str | tuple[str, ...]]:
    """All entries of a language: `section.key` → sentence, or a tuple of sentences for a list.

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


def say(language: str, key: str, **values: object) -> str:
    """The sentence of `key`, its placeholders filled. Raises LookupError for an unknown key or a placeholder left empty."""
    sentence = catalogue(language).get(key)
    if not isinstance(sentence, str):
        raise LookupError(f"no sentence {key!r} in {language}: add it to anomaly/locale/{language}.toml")
    return sentence.format_map(values)


def lines(language: str, key: str) -> tuple[str, ...]:
    """The sentences of a list entry, in order."""
    entry = catalogue(language).get(key)
    if not isinstance(entry, tuple):
        raise LookupError(f"no list {key!r} in {language}: add it to anomaly/locale/{language}.toml")
    return entry


def known(language: str, section: str, word: str) -> str:
    """The catalogue's word for a machine word such as a signal, a status or a reason; an unknown word stands for itself."""
    entry = catalogue(language).get(f"{section}.{word}")
    return entry if isinstance(entry, str) and word != "other" else word


def reason(language: str, text: str) -> str:
    """A machine's reason in the reader's language: its numbers and a home's class are kept, the rest is looked up.

    The catalogue's key has `#` in their places: "# whole days in the last #, half are needed".
    """
    form = catalogue(language).get("reason." + VARYING.sub("#", text))
    return form.format(*VARYING.findall(text)) if isinstance(form, str) else text


def reason_kind(language: str, text: str) -> str:
    """A reason without its numbers where the catalogue has one line for all of them, so that a table can count them."""
    form = catalogue(language).get("reason_kind." + VARYING.sub("#", text))
    return form if isinstance(form, str) else reason(language, text)


def note(language: str, text: str) -> str:
    """A note in the reader's language: a key of [note], a machine's reason, or a sentence that stands for itself."""
    return say(language, f"note.{text}") if f"note.{text}" in catalogue(language) else reason(language, text)


def paragraph(language: str, *sentences: str) -> str:
    """Sentences one after the other as the language sets them, empty ones left out."""
    return say(language, "format.space").join(sentence for sentence in sentences if sentence)


def signature(language: str, name: str) -> str:
    """The kind of a case in words: "more water than usual"; a further signal's kind is told with its own name."""
    if name != "other" and f"signatures.{name}" in catalogue(language):
        return say(language, f"signatures.{name}")
    return sentence_case(say(language, "signatures.other", signal=known(language, "signals", name)))


def sentence_case(text: str) -> str:
    """The text with its first letter large, the rest as it is."""
    return text[:1].upper() + text[1:]


def number(language: str, x: float | None, digits: int = 0) -> str:
    """A number with thousands marks and `digits` decimals; a dash where there is none (None, NaN, infinite)."""
    if x is None or not math.isfinite(x):
        return say(language, "format.none")
    marks = {",": say(language, "format.thousands"), ".": say(language, "format.decimal")}
    return "".join(marks.get(c, c) for c in f"{x:,.{digits}f}")


def rounded(language: str, x: float | None) -> str:
    """A large number to two figures, as befits an estimate: 123,456 is 120,000."""
    if x is None or not math.isfinite(x) or x < 10:
        return number(language, x, 0 if x is None or not math.isfinite(x) or x >= 2 else 1)
    step = 10 ** (math.floor(math.log10(x)) - 1)
    return number(language, round(x / step) * step)


def ratio(language: str, x: float | None) -> str:
    """Observed over expected: one decimal, none from 10 on."""
    return number(language, x, 0 if x is not None and x >= 9.95 else 1)


def day(language: str, d: date, *, short: bool = False) -> str:
    """A date as people write it: 3 May 2026, 2026年5月3日; `short` leaves the year out."""
    month = lines(language, "format.months")[d.month - 1]
    return say(language, "format.day_short" if short else "format.day", day=d.day, month=month, year=d.year)


def month(language: str, d: date) -> str:
    """A month of a year: May 2026, 2026年5月."""
    return say(language, "format.month", month=lines(language, "format.months")[d.month - 1], year=d.year)


def minute(language: str, at: datetime | None) -> str:
    """A day and a time of it, to the minute; a dash where there is none."""
    if at is None:
        return say(language, "format.none")
    return say(language, "format.minute", day=day(language, at.date()), hour=f"{at:%H}", minute=f"{at:%M}")


def scale(unit: str, largest: float = 0.0) -> tuple[str, float, int]:
    """Display unit, base units in one of it and decimals to show, for values up to `largest` base units.

    litre → L below 10,000 and m³ from there on; Wh → kWh; cent → whole money.
    """
    if unit == "litre":
        return ("m3", 1000.0, 1) if largest >= 10_000 else ("litre", 1.0, 0)
    return {"Wh": ("Wh", 1000.0, 1), "cent": ("cent", 100.0, 2)}.get(unit, (unit, 1.0, 0))


def unit(language: str, name: str) -> str:
    """The sign or name of a display unit; an unknown unit stands for itself."""
    return known(language, "units", name)


def listing(language: str, items: list[str]) -> str:
    """Words in a row: "a", "a and b", "a, b and c"."""
    if len(items) < 2:
        return "".join(items)
    *head, last = items
    row = head[0]
    for item in head[1:]:
        row = say(language, "format.comma", a=row, b=item)
    return say(language, "format.pair", a=row, b=last)


def because(language: str, ratios: Mapping[str, float], signature: str, days: int) -> str:
    """Why a home is a case, in one sentence.

    `ratios`: signal → observed over expected; the signal the signature is named for comes first, the rest keep
    their order. `days`: length of the rise so far. Without any finite ratio the sentence goes without numbers.
    """
    own = OWN_SIGNAL.get(signature, signature)
    told = sorted(
        (s for s, r in ratios.items() if r is not None and math.isfinite(r)), key=lambda s: s != own
    )
    length = "one_day" if days == 1 else "days"
    if not told:
        return say(language, f"because.bare_{length}", days=days)
    items = [
        say(
            language,
            f"because.{'next' if i else 'first'}",
            signal=known(language, "signals", s),
            ratio=ratio(language, ratios[s]),
        )
        for i, s in enumerate(told)
    ]
    return sentence_case(say(language, f"because.{length}", list=listing(language, items), days=days))


def more_people(language: str, case: Mapping[str, object]) -> str:
    """How many more people a case is like, in one sentence; empty where it has no `extra_people`, as all but people cases."""
    middle, low, high = (case.get(f"extra_people{end}") for end in ("", "_low", "_high"))
    if middle is None:
        return ""
    key = ("few", "one", "many")[min(round(middle), 2)]
    return say(
        language,
        f"more_people.{key}",
        number=number(language, middle),
        low=number(language, low),
        high=number(language, high),
    )


def more_people_short(language: str, case: Mapping[str, object]) -> str:
    """The same as a cell of a table: 4 (2–7)."""
    told = {end: number(language, case.get(f"extra_people{end}")) for end in ("", "_low", "_high")}
    return (
        say(language, "more_people.short", number=told[""], low=told["_low"], high=told["_high"])
        if case.get("extra_people") is not None
        else ""
    )


def printable(text: str) -> str:
    """The text on one line, doing nothing to a terminal or a journal: signs that cannot be seen are escapes."""
    return "".join(sign if sign.isprintable() or sign == "　" else ascii(sign)[1:-1] for sign in text)


FORMULA = ("=", "+", "-", "@", "\t", "\r")  # how a cell begins that a spreadsheet would work out


def cell(text: str) -> str:
    """The text as a cell that no spreadsheet takes for a formula."""
    return f"'{text}" if text.startswith(FORMULA) else text
