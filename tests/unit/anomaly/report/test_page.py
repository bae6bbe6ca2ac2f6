"""What holds for every page: its frame, its safety, and that it can be read without seeing."""

import base64
import hashlib
import re
from pathlib import Path

import polars as pl
import pytest

from anomaly import messages, report
from anomaly.report.page import (
    because_of,
    index_link,
    is_measured,
    language_links,
    per_hundred,
    ratios_of,
    shown_districts,
)
from tests.support.all_pages import every_page
from tests.support.html_reader import ACCUSING, HtmlReader
from tests.support.report_pages import NIGHT, SITE, case, case_page

LANGUAGES = messages.languages()


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_page_carries_its_language_the_purpose_and_the_right_to_object(language):
    rights = {"en": "not evidence of wrongdoing", "zh": "不证明住户有任何过错"}[language]
    stated = [SITE.purpose[name] for name in ("name", "legal_basis", "owner", "contact")]
    for name, html in every_page(language).items():
        page = HtmlReader(html)
        assert page.all("html") == [{"lang": language}], name
        assert not [text for text in (*stated, rights) if text not in page.text], name


def test_control_signs_of_a_name_are_shown_as_escapes():
    page = report.case_html(case_page(household="a\x1b[2J\x00\x9b"), "en", "chart.png")
    assert "a\\x1b[2J\\x00\\x9b" in page and not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", page)


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_page_accuses(language):
    letter = report.resident_letter(case_page(), language)
    for html in (*every_page(language).values(), letter):
        assert not ACCUSING.search(html)


def digest(text):
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_page_loads_anything_and_the_one_style_and_script_are_named_by_their_hash(language):
    for name, html in every_page(language).items():
        page = HtmlReader(html)
        assert not page.all("link", "iframe", "object", "form"), name
        assert not [a for _, attrs in page.tags for a in attrs if a == "style" or a.startswith("on")], name
        addresses = [attrs.get("src") or attrs.get("href") for attrs in page.all("a", "img")]
        assert not [a for a in addresses if re.match(r"\w+:|//|/", a)], name
        policies = [m for m in page.all("meta") if m.get("http-equiv") == "Content-Security-Policy"]
        (policy,) = [meta["content"] for meta in policies]
        (style,) = re.findall(r"<style>(.*?)</style>", html, re.DOTALL)
        assert policy.startswith("default-src 'none'") and f"style-src '{digest(style)}'" in policy
        scripts = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)
        allowed = re.findall(r"script-src '(sha256-[^']+)'", policy)
        assert allowed == [digest(script) for script in scripts], name
        assert len(page.all("script")) == len(scripts) == (name == "night"), name
        assert sum(map(len, scripts)) < 4_000, name
        assert "img-src 'self' data:" in policy and "unsafe" not in policy
        assert "@import" not in style and "url(" not in style


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_page_can_be_read_without_seeing(language):
    for name, html in every_page(language).items():
        page = HtmlReader(html)
        assert all(image["alt"] for image in page.all("img")), name
        assert len(page.all("table")) == len(page.all("caption")), name
        assert all(cell.get("scope") in ("row", "col") for cell in page.all("th")), name
        assert page.all("a")[0] == {"class": "skip", "href": "#content"}, name
        assert [attrs["id"] for attrs in page.all("main")] == ["content"], name
        assert len(page.all("h1")) == 1, name
        ids = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
        labelled = [attrs["aria-labelledby"] for _, attrs in page.tags if "aria-labelledby" in attrs]
        assert len(ids) == len(set(ids)) and set(labelled) <= set(ids), name


def luminance(colour):
    if len(colour) == 4:
        colour = "#" + "".join(2 * c for c in colour[1:])
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    r, g, b = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


def test_text_contrast_is_aa_on_the_darkest_background():
    # WCAG 2.2, 1.4.3: 4.5 : 1 for text.
    css = (Path(report.__file__).parents[1] / "templates" / "page.css").read_text("utf-8")
    inks = set(re.findall(r"(?<![-\w])color: (#[0-9a-f]+)", css))
    papers = set(re.findall(r"background: (#[0-9a-f]+)", css))
    assert len(inks) >= 4 and papers
    for ink in inks:
        for paper in papers:
            assert (luminance(paper) + 0.05) / (luminance(ink) + 0.05) >= 4.5, (ink, paper)


def test_files_are_named_by_language_and_part():
    assert report.file_name("C", "zh", ("zh", "en")) == "C.html"
    assert report.file_name("C", "en", ("zh", "en")) == "C.en.html"
    assert report.file_name("C", "en", ("zh", "en"), "png") == "C.en.png"
    assert [report.part_stem("index", part) for part in (1, 2)] == ["index", "index-2"]
    assert index_link("../", "All", SITE, "en") == {"href": "../index.en.html", "text": "All"}
    assert language_links(SITE, "en", "C") == [{"href": "C.html", "text": "中文", "lang": "zh"}]


def test_a_reason_is_the_frozen_one_or_made_from_the_ratios():
    row = case(because_en="Frozen.", because_zh=None)
    assert because_of(row, NIGHT, "en") == "Frozen."
    assert because_of(row, NIGHT, "zh").endswith("持续9天。")
    assert ratios_of(None) == {} and ratios_of({"a": 1.0}) == {"a": 1.0}
    assert ratios_of([{"key": "a", "value": 1.0}]) == {"a": 1.0}


def test_a_chance_is_never_none_of_a_hundred_and_certainty_is_no_chance():
    assert [per_hundred("en", chance) for chance in (0.0001, 0.084)] == ["1", "8"]
    assert [is_measured(chance) for chance in (None, 0.99, 0.995)] == [False, True, False]


def test_small_or_dominated_districts_are_not_shown():
    districts = pl.DataFrame(
        {
            "district": ["Hill", "Harbour", "Mill", "Dale"],
            "homes": [400, 15, 14, 90],
            "largest_share": [0.16, 0.15, 0.1, 0.01],
        }
    )
    assert shown_districts(districts)["district"].to_list() == ["Dale", "Harbour"]
