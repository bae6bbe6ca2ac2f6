"""The frame of every page: header and footer, style and script, links, and what several pages say alike."""

import base64
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache, partial
from importlib.resources import files
from typing import Any, TypeGuard

import polars as pl
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from anomaly.messages import (
    CONTROL_SIGNS,
    because_sentence,
    format_day,
    format_number,
    join_sentences,
    message,
    source_sentence,
    translate_note,
)
from anomaly.outcomes import MIN_GROUP_HOMES

RISE = 1.15
"""Observed over expected from which on a signal is said to have risen."""

LARGEST_SHARE = 0.15
"""The share of a district's use that one home may have for the district to be shown."""


@dataclass(frozen=True)
class Site:
    """What stands on every page.

    purpose: name, legal_basis, owner, contact, expires (a date). degraded_sources: rows of `tables.Sources`
    that are not ok on the night of the page; degraded_notes: further lines on what was wrong with its data.
    """

    name: str
    purpose: Mapping[str, Any]
    languages: tuple[str, ...]
    version: str
    settings_sha256: str
    degraded_sources: tuple[Mapping[str, Any], ...] = ()
    degraded_notes: tuple[str, ...] = ()


# --- rendering ----------------------------------------------------------------------------------------------


@cache
def _environment() -> Environment:
    # Only the letter is plain text; everything else is escaped.
    return Environment(
        loader=PackageLoader("anomaly"),
        autoescape=lambda name: name is None or not name.endswith(".txt.j2"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def render(template: str, site: Site, language: str, **view: object) -> str:
    """Return the page of a template.

    view: the template's own names. In every template are besides: site, language, `t` (a sentence of the
    catalogue), the style with its hash, the purpose's last day, what was wrong with the night's data, and the
    reader's rights. Control signs, which
    only an id, a name or a reason can have brought, are shown as escapes.
    """
    css, css_hash = _read_template_file("page.css")
    contact, expires = site.purpose["contact"], site.purpose["expires"]
    reason_to_look = message(language, "page.reason_to_look")
    page = (
        _environment()
        .get_template(template)
        .render(
            site=site,
            language=language,
            t=partial(message, language),
            css=Markup(css),
            css_hash=css_hash,
            expires=format_day(language, expires) if isinstance(expires, date) else expires,
            rights=join_sentences(
                language, reason_to_look, message(language, "page.object", contact=contact)
            ),
            banner=[
                *(source_sentence(language, source) for source in site.degraded_sources),
                *(translate_note(language, note) for note in site.degraded_notes),
            ],
            **view,
        )
    )
    return CONTROL_SIGNS.sub(lambda found: ascii(found[0])[1:-1], page)


def script(name: str) -> dict[str, str]:
    """Return what a template needs to carry a script and to name it by its hash."""
    js, js_hash = _read_template_file(name)
    return {"js": Markup(js), "js_hash": js_hash}


@cache
def _read_template_file(name: str) -> tuple[str, str]:
    """Return a file of the templates, and its hash as a security policy writes it."""
    text = (files("anomaly") / "templates" / name).read_text("utf-8")
    return text, "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


# --- file names and links -----------------------------------------------------------------------------------


def file_name(stem: str, language: str, languages: Sequence[str], suffix: str = "html") -> str:
    """Return `stem.html` in the first language, `stem.en.html` and so on in the others."""
    return f"{stem}.{suffix}" if language == languages[0] else f"{stem}.{language}.{suffix}"


def part_stem(stem: str, part: int) -> str:
    """Return `index`, `index-2`, `index-3` … for parts 1, 2, 3 …"""
    return stem if part == 1 else f"{stem}-{part}"


def index_link(folder: str, text: str, site: Site, language: str) -> dict[str, str]:
    """Return a link to the index of a folder, such as "../"."""
    return {"href": folder + file_name("index", language, site.languages), "text": text}


def language_links(site: Site, language: str, stem: str) -> list[dict[str, str]]:
    """Return links to the same page in the site's other languages, each named in its own."""
    return [
        {
            "href": file_name(stem, other, site.languages),
            "text": message(other, "language.name"),
            "lang": other,
        }
        for other in site.languages
        if other != language
    ]


def page_links(site: Site, language: str, stem: str = "index") -> list[dict[str, str]]:
    """Return links to the page over all nights, a folder above, and to this page in other languages."""
    all_nights = index_link("../", message(language, "page.all_nights"), site, language)
    return [all_nights, *language_links(site, language, stem)]


# --- what several pages say ---------------------------------------------------------------------------------


def ratios_of(ratios: Mapping[str, float] | Iterable[Mapping[str, Any]] | None) -> dict[str, float]:
    """Return ratios as a mapping, whether they come as one or as a table's list of key and value."""
    if ratios is None:
        return {}
    return dict(ratios) if isinstance(ratios, Mapping) else {pair["key"]: pair["value"] for pair in ratios}


def because_of(case: Mapping[str, Any], night: date, language: str) -> str:
    """Return why a home is a case: the sentence frozen with it, else one made from its ratios."""
    frozen = case.get(f"because_{language}")
    days = (night - case["onset"]).days + 1
    return frozen or because_sentence(language, ratios_of(case["ratios"]), case["signature"], days)


def per_hundred(language: str, chance: float) -> str:
    """Return a chance as a count of a hundred; never 0, for no door is that sure."""
    return format_number(language, max(1.0, 100 * chance))


def is_measured(chance: float | None) -> TypeGuard[float]:
    """Return whether there is a chance to state; what lies above .99 rests on no outcome."""
    return chance is not None and chance <= 0.99


def shown_districts(districts: pl.DataFrame) -> pl.DataFrame:
    """Leave out small districts and those that one home dominates, and sort the rest.

    districts: district, homes, largest_share (one home's part of the use), and more.
    """
    is_shown = (pl.col("homes") >= MIN_GROUP_HOMES) & (pl.col("largest_share") <= LARGEST_SHARE)
    return districts.filter(is_shown).sort("district")
