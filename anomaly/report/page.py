"""What every page shares: the site it stands for, its style, its languages and its words for numbers."""

import base64
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache, partial
from importlib.resources import files
from typing import Any

import polars as pl
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from anomaly import messages


@dataclass(frozen=True)
class Site:
    """What stands on every page. purpose: name, legal_basis, owner, contact, expires (a date)."""

    name: str
    purpose: Mapping[str, Any]
    languages: tuple[str, ...]
    version: str
    settings_sha256: str


def file_name(stem: str, language: str, languages: Sequence[str], suffix: str = "html") -> str:
    """`stem.html` in the first language, `stem.en.html` and so on in the others."""
    return f"{stem}.{suffix}" if language == languages[0] else f"{stem}.{language}.{suffix}"


@cache
def _pages() -> Environment:
    # Only the letter is plain text; everything else is escaped.
    return Environment(
        loader=PackageLoader("anomaly"), autoescape=lambda name: name is None or not name.endswith(".txt.j2"),
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True,
    )  # fmt: skip


SMALL_DISTRICT, LARGE_SHARE = 15, 0.15  # homes; one home's share of a district's use


def tellable(areas: pl.DataFrame) -> pl.DataFrame:
    """Rows (district, homes, largest_share and more) of areas that may be told, in order: none that is small or that one home dominates."""
    return areas.filter((pl.col("homes") >= SMALL_DISTRICT) & (pl.col("largest_share") <= LARGE_SHARE)).sort(
        "district"
    )


@cache
def _file(name: str) -> tuple[str, str]:
    """A file of the templates, and its hash as a security policy writes it."""
    text = (files("anomaly") / "templates" / name).read_text("utf-8")
    return text, "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def scripted(name: str) -> dict[str, str]:
    """What a template needs to carry a script and to name it by its hash."""
    js, js_hash = _file(name)
    return {"js": Markup(js), "js_hash": js_hash}


def render(template: str, site: Site, language: str, **view: object) -> str:
    """The page of a template, with what stands on every page already in it; `view` is what is its own."""
    css, css_hash = _file("page.css")
    rights = messages.join_sentences(
        language,
        messages.message(language, "page.reason_to_look"),
        messages.message(language, "page.object", contact=site.purpose["contact"]),
    )
    expires = site.purpose["expires"]
    return _pages().get_template(template).render(
        site=site, language=language, t=partial(messages.message, language), css=Markup(css), css_hash=css_hash, rights=rights,
        expires=messages.format_day(language, expires) if isinstance(expires, date) else expires, **view,
    )  # fmt: skip


def other_languages(site: Site, language: str, stem: str) -> list[dict]:
    """Links to the same page in the site's other languages, each named in its own."""
    return [
        {
            "href": file_name(stem, other, site.languages),
            "text": messages.message(other, "language.name"),
            "lang": other,
        }
        for other in site.languages
        if other != language
    ]


def ratios_of(given: Mapping | Iterable[Mapping] | None) -> dict[str, float]:
    """Ratios as a mapping, whether they come as one or as the table's list of key and value."""
    if given is None:
        return {}
    return dict(given) if isinstance(given, Mapping) else {pair["key"]: pair["value"] for pair in given}


def because_of(case: Mapping[str, Any], night: date, language: str) -> str:
    """The sentence frozen with the case, or in a language it was not frozen in, one made from its ratios."""
    told = case.get(f"because_{language}")
    return told or messages.because_sentence(
        language, ratios_of(case["ratios"]), case["signature"], (night - case["onset"]).days + 1
    )


def in_hundred(language: str, chance: float) -> str:
    """A chance as a count of a hundred; never 0, for no door is that sure."""
    return messages.format_number(language, max(1.0, 100 * chance))
