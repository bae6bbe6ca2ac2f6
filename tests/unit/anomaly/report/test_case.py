import base64
import csv
import dataclasses
import hashlib
import io
import os
import re
from datetime import timedelta
from html.parser import HTMLParser
from pathlib import Path

import polars as pl
import pytest

from anomaly import charts, report, tables
from tests.support.paths import GOLDEN
from tests.support.report_pages import (
    CHANGES,
    NIGHT,
    ONSET,
    SITE,
    TWICE,
    UNITS,
    case,
    case_page,
    night_page,
    overview_page,
)

FORBIDDEN = re.compile(r"suspect|violation|嫌疑|可疑|违法|违规", re.IGNORECASE)
LANGUAGES = ("en", "zh")
MANY = [case(rank, status=("new", "ongoing", "fading")[rank % 3]) for rank in range(1, 2001)]


def drawing(language):
    return charts.decomposition_svg(
        case_page().parts.filter(pl.col("day") > NIGHT - timedelta(days=9)),
        UNITS,
        ONSET,
        NIGHT,
        language,
    )


def every_page(language):
    return {
        "case": report.case_html(case_page(), language, "case.png", drawing(language)),
        "night": report.night_html(night_page([case(1, status="new"), case(2, signature="water")]), language),
        "empty": report.night_html(night_page([]), language),
        "round": report.round_html(night_page([case(1), case(2, district=None)]), language),
        "overview": report.overview_html(overview_page(3), language),
    }


class Reader(HTMLParser):
    """Tags with their attributes, and the text without the style sheet."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.words, self.inside = [], [], None
        self.feed(html)
        self.text = " ".join(self.words)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.inside = tag

    def handle_endtag(self, tag):
        self.inside = None

    def handle_data(self, data):
        if self.inside not in ("style", "script") and data.strip():
            self.words.append(data.strip())

    def all(self, *names):
        return [attrs for tag, attrs in self.tags if tag in names]


# --- golden pages: how a page reads as a whole; UPDATE_GOLDEN=1 writes them anew, the diff is for a person to read ---------

RENDERED = {
    "case": lambda language: report.case_html(
        case_page(revised=CHANGES.row(0, named=True) | TWICE), language, "case.png", drawing(language)
    ),
    "night": lambda language: report.night_html(
        night_page([case(1, status="new"), case(2, signature="water")], again=TWICE, revisions=CHANGES),
        language,
    ),
    "round": lambda language: report.round_html(
        night_page([case(1), case(2, signature="water", district=None, extra_people=None)]), language
    ),
    "overview": lambda language: report.overview_html(overview_page(2), language),
    "letter": lambda language: report.resident_letter(case_page(), language),
}


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", RENDERED)
def test_golden(name, language):
    rendered = RENDERED[name](language)
    golden = GOLDEN / f"{name}.{language}.{'txt' if name == 'letter' else 'html'}"
    if os.environ.get("UPDATE_GOLDEN"):
        golden.write_text(rendered, "utf-8", newline="")
    assert rendered == golden.read_text("utf-8"), (
        f"{golden.name} differs: UPDATE_GOLDEN=1 pytest tests/test_report.py, then read the diff"
    )


# --- every page -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_page_carries_its_language_the_purpose_and_the_right_to_object(language):
    for name, html in every_page(language).items():
        page = Reader(html)
        assert page.all("html") == [{"lang": language}], name
        for told in (
            SITE.purpose["name"],
            SITE.purpose["legal_basis"],
            SITE.purpose["owner"],
            SITE.purpose["contact"],
        ):
            assert told in page.text, name
        assert {"en": "not evidence of wrongdoing", "zh": "不是过错的证据"}[language] in page.text, name


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_page_accuses(language):
    letter = report.resident_letter(case_page(), language)
    for html in (*every_page(language).values(), letter):
        assert not FORBIDDEN.search(html)


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_page_loads_anything_and_the_one_style_and_script_are_named_by_their_hash(language):
    for name, html in every_page(language).items():
        page = Reader(html)
        assert not page.all("link", "iframe", "object", "form"), name
        assert not [a for _, attrs in page.tags for a in attrs if a == "style" or a.startswith("on")], name
        addresses = [attrs.get("src") or attrs.get("href") for attrs in page.all("a", "img")]
        assert not [a for a in addresses if re.match(r"\w+:|//|/", a)], name
        (policy,) = [
            m["content"] for m in page.all("meta") if m.get("http-equiv") == "Content-Security-Policy"
        ]
        (style,) = re.findall(r"<style>(.*?)</style>", html, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
        assert policy.startswith("default-src 'none'") and f"style-src 'sha256-{digest}'" in policy
        scripts = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)
        allowed = re.findall(r"script-src '(sha256-[^']+)'", policy)
        assert allowed == [
            "sha256-" + base64.b64encode(hashlib.sha256(one.encode()).digest()).decode() for one in scripts
        ], name
        assert (
            len(page.all("script")) == len(scripts) == (name == "night") and sum(map(len, scripts)) < 4_000
        ), name
        assert "img-src 'self' data:" in policy and "unsafe" not in policy
        assert "@import" not in style and "url(" not in style


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_page_can_be_read_without_seeing(language):
    for name, html in every_page(language).items():
        page = Reader(html)
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


# --- a case ---------------------------------------------------------------------------------------------------------------


def test_a_case_reads_in_order():
    text = Reader(report.case_html(case_page(), "en", "case.png")).text
    order = (
        "Case NM-03-0401-people-20260310", "Purpose", "Home", "Building", "District", "Entries 3.1×, water", "What was observed",
        "The last days in numbers", "Where the reason comes from", "What agrees, what speaks against", "How sure this is",
        "Ordinary explanations first", "Check at the desk", "Check at the door", "Safety:", "Decision", "A case is a reason to look",
    )  # fmt: skip
    at = 0
    for told in order:
        assert told in text[at:], told
        at = text.index(told, at)


def test_a_case_tells_its_numbers():
    text = Reader(report.case_html(case_page(), "en", "case.png")).text
    for told in (
        "about once in 230,000 household-nights", "Of 100 doors like this one, about 8 turn out", "about once in 890,000 household-nights",
        "Power is at 1.0× what was to be expected: no rise worth speaking of.", "Water: 1 of the days in question could not be judged.",
        "3 of the days in question are public holidays", "Power: only 61 days of history", "History before this night: entries 412 days and water 405 days.",
        "The meter counts in coarse steps", "Power is not judged tonight: meter repeats the same value.", "The calendar of these days is the official one.",
    ):  # fmt: skip
        assert told in text, told


def test_the_table_of_numbers_is_the_last_fourteen_days_the_missing_one_a_dash():
    html = report.case_html(case_page(), "en", "case.png")
    water = html.split("Water, L a day</caption>")[1].split("</table>")[0]
    rows = [re.sub(r"<[^>]+>", " ", row).split() for row in re.findall(r"<tr.*?</tr>", water)[1:]]
    assert len(rows) == 14
    assert rows[-1] == ["14", "Mar", "720", "300", "180–450", "read"]
    assert rows[-3] == ["12", "Mar", "–", "300", "180–450", "missing"]
    assert water.count('class="marked"') == 9  # 6 to 14 March
    assert (
        "Peers" not in water
        and html.split("Entries, passages a day</caption>")[1]
        .split("</table>")[0]
        .count('<td class="n">7</td><td>read')
        == 14
    )


def test_a_case_without_evidence_chance_or_second_signal_says_so():
    page = case_page(
        evidence=tables.empty(tables.Evidence),
        notes=(),
        chance_wrong=None,
        rarity_night=None,
        ratios={"water": 2.4},
        signature="water",
    )
    text = Reader(report.case_html(page, "en", "case.png")).text
    assert "No new evidence on this night" in text
    assert "too few outcomes so far" in text
    assert "No second signal agrees." in text
    assert "Does water run at night" in text


def test_a_past_record_is_told_where_there_is_one():
    told = "Past record here, more people than usual: doors visited 40, with an ordinary cause 22 (40–69 of 100)."
    record = {"visited": 40, "wrong": 22, "low": 0.398, "high": 0.694}
    assert (
        told
        in Reader(report.case_html(dataclasses.replace(case_page(), record=record), "en", "case.png")).text
    )
    assert "Past record" not in report.case_html(case_page(), "en", "case.png")


def test_a_case_of_a_further_signal_has_explanations_and_checks_too():
    text = Reader(report.case_html(case_page(signature="gas"), "en", "case.png")).text
    assert "Gas: more than usual" in text and "A change of tariff" in text


def test_an_unmeasured_chance_is_never_told_as_none_of_a_hundred():
    text = Reader(report.case_html(case_page(chance_wrong=0.0001), "en", "case.png")).text
    assert "about 1 turn out" in text


def test_what_comes_from_outside_is_escaped():
    evil = "<script>alert(1)</script>"
    html = report.case_html(
        case_page(household=evil, desk='"><img src=x>', notes=((None, evil),)), "en", "case.png"
    )
    assert "<script" not in html and "<img src=x" not in html and "&lt;script&gt;" in html
    night = night_page(
        [case(1, district=evil)],
        notes=(evil,),
        rejects=pl.DataFrame({"source": [evil], "reason": [evil], "rows": [1]}),
    )
    for page in (report.night_html(night, "zh"), report.round_html(night, "zh")):
        assert evil not in page and "&lt;script&gt;" in page


def test_languages_are_linked_to_one_another():
    assert (
        report.file_name("C", "zh", ("zh", "en")) == "C.html"
        and report.file_name("C", "en", ("zh", "en")) == "C.en.html"
    )
    first, other = (Reader(report.case_html(case_page(), language, "x.png")) for language in ("zh", "en"))
    name = case()["case_id"]
    assert {"href": f"{name}.en.html", "lang": "en", "hreflang": "en"} in first.all("a")
    assert {"href": f"{name}.html", "lang": "zh", "hreflang": "zh"} in other.all("a")
    assert {"href": "../index.en.html"} in other.all("a") and {"href": "../index.html"} in first.all("a")


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_letter_is_one_plain_page(language):
    letter = report.resident_letter(case_page(household="A & B"), language)
    told = {
        "en": "comings and goings at 3.1 times and water at 2.4 times",
        "zh": "进出约为预期的3.1倍、用水约为预期的2.4倍",
    }
    assert told[language] in letter and "×" not in letter
    assert "A & B" in letter and "<" not in letter  # text, so nothing is escaped
    assert SITE.purpose["contact"] in letter and case()["case_id"] in letter
    assert sum(1 + len(line) // (40 if language == "zh" else 80) for line in letter.splitlines()) <= 55


def test_the_page_says_it_and_what_it_rests_on():
    page = case_page(extra_people=4.2, extra_people_low=2.1, extra_people_high=7.4)
    html = report.case_html(page, "en", "case.png")
    assert (
        "for 9 days. That is like 4 more people (2–7)." in html
        and "85, 188, 220, 282 and 413 L a day" in html
    )
    assert "roughly what 4 more people would use; it could be 2 to 7." in report.resident_letter(page, "en")
    assert "约相当于增加4人（2–7人）。" in report.case_html(page, "zh", "case.png")


def test_a_page_without_an_estimate_does_not_speak_of_it():
    for page in (
        case_page(extra_people=None),
        case_page(signature="water", extra_people=None, extra_people_low=None, extra_people_high=None),
    ):
        html = report.case_html(page, "en", "case.png")
        assert "more people (" not in html and "413 L a day" not in html


# --- a night --------------------------------------------------------------------------------------------------------------


def test_an_empty_night_is_a_good_night():
    text = Reader(report.night_html(night_page([]), "en")).text
    assert "Nothing to visit tonight. An empty list is a good night." in text
    assert (
        "No door is listed for the first time tonight." in text
        and "What could not be judged, and why" in text
    )


def test_a_night_tells_what_it_promises_and_what_it_could_not_judge():
    doors = [case(1, status="new"), case(2, status="new"), case(3)]
    night = night_page(doors, notes=("water.csv: half the usual rows",))
    text = Reader(report.night_html(night, "en")).text
    for told in (
        "3 doors are proposed.",
        "2 new, 1 ongoing, 0 fading.",
        "Of the 2 doors listed for the first time tonight, about 0.3 are",
    ):
        assert told in text
    for told in (
        "water.csv: half the usual rows", "no whole day yet", "too few whole days in the last week", "value negative", "1,204",
        "entries 3.1×, water 2.4× and power 1.0×",
    ):  # fmt: skip
        assert told in text
    chinese = Reader(report.night_html(night, "zh")).text
    assert "最近一周的完整日太少" in chinese and "数值为负" in chinese


def test_reasons_that_differ_by_their_numbers_are_one_row_and_rare_ones_share_the_last():
    reasons = [f"{n} whole days between 7 and 258 days old, 10 are needed" for n in range(5)] + [
        f"odd reason {n:02d}" for n in range(40)
    ]
    frame = pl.DataFrame({"reason": reasons, "signal": "water", "homes": [2] * 5 + [1] * 40})
    html = report.night_html(night_page([], not_judged=frame), "en")
    assert re.search(r'too little history</th><td[^>]*>water</td><td class="n"[^>]*>10<', html)
    assert "odd reason 28" in html and "odd reason 29" not in html  # thirty rows
    assert re.search(r'others, less common</th><td[^>]*>–</td><td class="n"[^>]*>11<', html)


def test_doors_first_listed_tonight_are_those_the_worklist_says():
    night = night_page([case(1, status="new"), case(2)])
    night = night_page(
        [case(1), case(2)], worklist=night.worklist.with_columns(first_listed=pl.Series([True, True]))
    )
    assert "Of the 2 doors listed for the first time" in report.night_html(night, "en")


def test_cases_that_are_open_but_not_listed_are_counted():
    listed, waiting = case(1), case(2)
    cases = night_page([listed, waiting, case(3, status="closed")]).cases
    text = Reader(report.night_html(night_page([listed], cases=cases), "en")).text
    assert "1 further case is open but not listed tonight" in text


def test_two_thousand_doors_are_cut_into_pages_that_stay_small():
    night = night_page(MANY)
    parts = report.night_parts(night)
    seen = []
    for part in range(1, parts + 1):
        html = report.night_html(night, "zh", part)
        assert len(html.encode()) <= 150_000
        seen += re.findall(r'href="cases/([^"]+)\.html"', html)
    assert seen == [door["case_id"] for door in MANY]
    first = Reader(report.night_html(night, "en", 1)).all("a")
    assert {"href": "index-2.en.html"} in first and {"href": f"index-{parts}.en.html"} in first


def test_small_or_dominated_districts_are_not_shown():
    districts = pl.DataFrame(
        {
            "district": ["Harbour", "Mill", "Hill"],
            "homes": [15, 14, 400],
            "doors": [1, 1, 2],
            "largest_share": [0.15, 0.1, 0.16],
        }
    )
    html = report.night_html(night_page([case()], districts=districts), "en")
    assert "Harbour" in html and "Mill" not in html and "Hill" not in html
    assert (
        "By district" not in report.night_html(night_page([case()]), "en")
        and "Doors proposed by" not in every_page("en")["night"]
    )


def test_row_order_changes_nothing():
    night = night_page([case(1), case(2), case(3)])
    turned = night_page(
        [case(3), case(2), case(1)], not_judged=night.not_judged.reverse(), quality=night.quality.reverse()
    )
    assert report.night_html(night, "en") == report.night_html(turned, "en")
    assert report.cases_csv(night) == report.cases_csv(turned)


def test_no_csv_cell_is_a_formula():
    signs = ["=1+1", "+1", "-1", "@x", "\tx", "\rx"]
    night = night_page(
        [case(rank, household=sign) for rank, sign in enumerate(signs, 1)]
        + [case(7, household="x=1", district=None)]
    )
    rows = list(csv.DictReader(io.StringIO(report.cases_csv(night))))
    assert [row["household"] for row in rows] == ["'" + sign for sign in signs] + ["x=1"]
    assert rows[0]["ratios"] == "entries=3.10; water=2.40; power=1.00" and rows[6]["district"] == ""


# --- all nights -----------------------------------------------------------------------------------------------------------


def test_the_overview_links_the_nights_that_have_a_folder_latest_first():
    page = Reader(report.overview_html(overview_page(3), "en"))
    assert [a["href"] for a in page.all("a") if a["href"].startswith("2026")] == [
        "2026-03-14/index.en.html"
    ] * 2  # calendar and list
    assert page.text.index("14 Mar 2026") < page.text.index("13 Mar 2026") < page.text.index("12 Mar 2026")


def test_a_night_run_twice_is_one_row_and_a_long_history_stays_small():
    page = overview_page(900)
    again = pl.concat(
        [page.runs, page.runs.head(1).with_columns(run=pl.lit("run-x"), judged=pl.lit(77, pl.Int64))]
    )
    html = report.overview_html(
        dataclasses.replace(page, runs=again, reported=frozenset(page.runs["night"])), "zh"
    )
    assert len(html.encode()) <= 150_000 and "仅显示最近31个日期" in html
    assert html.count("2026年3月14日") == 1 and ">77<" in html


def test_an_overview_of_nothing():
    text = Reader(
        report.overview_html(
            report.OverviewPage(SITE, tables.empty(tables.Runs), tables.empty(tables.Cases)), "en"
        )
    ).text
    assert "No night has been judged yet." in text and "There are no cases." in text
