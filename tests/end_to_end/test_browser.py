"""The pages in a real browser, as a reader has them: opened from disk, on a desk, on a phone and on paper."""

import re
import shutil
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright

from anomaly import charts, report
from pipelines.reporting import writer
from tests.support.report_pages import NIGHT, SERIES, SITE, case, case_page, night_page, overview_page

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
KINDS = ("case", "night", "empty", "round", "overview", "evaluation")
DOORS = [
    case(
        rank,
        rarity=1e6 / rank,
        chance_wrong=0.05 * rank,
        signature=("people", "water")[rank % 2],
        district=("North", "South")[rank % 3 == 0],
        status=("new", "ongoing")[rank > 4],
        extra_people=None if rank % 2 else 10.0 - rank,
    )
    for rank in range(1, 9)
]


CHROMIUM = next((path for name in BROWSERS if (path := shutil.which(name))), None)


def test_there_is_a_browser():
    if CHROMIUM is None:
        pytest.fail(
            "no Chromium on this machine, so the pages were not looked at: on Debian, apt-get install -y chromium",
            pytrace=False,
        )


@pytest.fixture(scope="module")
def browser():
    if CHROMIUM is None:
        pytest.skip("no Chromium: see test_there_is_a_browser")
    flags = [
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
    ]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """A night with eight doors, an empty one, the overview and an evaluation, as they lie on disk."""
    folder = tmp_path_factory.mktemp("reports")
    font = charts.chinese_font()
    empty = night_page([], run=night_page([]).run | {"night": NIGHT - timedelta(days=1)})
    writer.write_night_folder(folder, empty, [])
    busy = [case_page(case_id=door["case_id"], signature=door["signature"]) for door in DOORS[:1]]
    writer.write_night_folder(
        folder,
        night_page(
            DOORS,
            districts=pl.DataFrame(
                {"district": ["North"], "homes": [60], "doors": [6], "largest_share": [0.1]}
            ),
        ),
        [writer.render_case(page, font) for page in busy],
    )
    card = {
        "capacity": [None, 5.0],
        "wrong": 4.0,
        "wrong_low": 3.0,
        "wrong_high": 5.0,
        "size": 3.0,
        "planted": 10,
        "found": 8,
        "share": 0.8,
        "low": 0.6,
        "high": 0.9,
        "median_delay": 6.0,
    }
    shapes = {
        "size": [3.0],
        "shape": ["step"],
        "planted": [10],
        "found": [8],
        "share": [0.8],
        "low": [0.6],
        "high": [0.9],
        "median_delay": [6.0],
    }
    groups = pl.DataFrame({"group": ["signals"], "name": ["3"], "homes": [20], "size": [2.0]})
    page = report.EvaluationPage(
        SITE,
        NIGHT - timedelta(days=60),
        NIGHT,
        300,
        300,
        2,
        0.05,
        pl.DataFrame(card),
        pl.DataFrame(shapes),
        groups,
        5.0,
        overview=True,
    )
    curves = {
        name: charts.detection_rates_figure(
            {3.0: ([1.0, 5.0], [0.5, 0.8])}, "capacity", (1, 5), language, font
        )
        for language in SITE.languages
        for name in writer.evaluation_image_names(language, SITE.languages)
    }
    writer.write_evaluation_pages(folder, page, curves)
    writer.write_overview_page(folder, overview_page(40))
    return folder


def address(site: Path, kind: str, language: str) -> str:
    def name(stem: str) -> str:
        return report.file_name(stem, language, SITE.languages)

    places = {
        "case": f"{NIGHT}/cases/{name(DOORS[0]['case_id'])}",
        "night": f"{NIGHT}/{name('index')}",
        "empty": f"{NIGHT - timedelta(days=1)}/{name('index')}",
        "round": f"{NIGHT}/{name('round')}",
        "overview": name("index"),
        "evaluation": f"evaluation/{name('index')}",
    }
    return (site / places[kind]).as_uri()


def opened(browser: Browser, url: str, width: int = 1200) -> Page:
    page = browser.new_page(viewport={"width": width, "height": 900})
    page.asked, page.said = [], []
    page.on("request", lambda request: page.asked.append(request.url))
    page.on("console", lambda message: page.said.append(message.text))
    page.goto(url)
    return page


@pytest.mark.parametrize("language", SITE.languages)
@pytest.mark.parametrize("kind", KINDS)
def test_no_page_has_a_barrier_and_none_asks_for_anything_from_elsewhere(browser, site, kind, language):
    page = opened(browser, address(site, kind, language))
    assert page.asked and all(url.startswith(site.as_uri()) for url in page.asked)
    assert not page.said  # nor does its own policy stop anything
    broken = page.eval_on_selector_all(
        "img", "images => images.filter(image => !image.naturalWidth).map(image => image.src)"
    )
    # axe brings a script of its own, which the page's policy rightly refuses: it looks at the page without
    # the policy.
    bare = browser.new_context(bypass_csp=True).new_page()
    bare.goto(page.url)
    said = Axe().run(bare).response
    found = said["violations"]
    bare.context.close()
    page.close()
    assert (
        len(said["passes"]) > 10
        and not broken
        and not [(one["id"], [node["html"][:120] for node in one["nodes"]]) for one in found]
    )


@pytest.mark.parametrize("language", SITE.languages)
@pytest.mark.parametrize("kind", KINDS)
def test_a_phone_shows_every_page_without_scrolling_sideways(browser, site, kind, language):
    page = opened(browser, address(site, kind, language), width=390)
    wide = page.evaluate("document.documentElement.scrollWidth")
    page.close()
    assert wide <= 390


@pytest.fixture
def night(browser, site):
    page = opened(browser, address(site, "night", "en"))
    yield page
    page.close()


def ranks(page: Page) -> list[int]:
    return [
        int(text)
        for text in page.eval_on_selector_all(
            "#doors tbody tr:not([hidden]) td.rank", "cells => cells.map(cell => cell.textContent)"
        )
    ]


def test_the_list_sorts_by_its_heads_there_and_back(night):
    assert ranks(night) == [1, 2, 3, 4, 5, 6, 7, 8]
    head = night.get_by_role("button", name="Chance of an ordinary cause")
    head.click()
    assert ranks(night) == [1, 2, 3, 4, 5, 6, 7, 8]
    head.click()
    assert ranks(night) == [8, 7, 6, 5, 4, 3, 2, 1]
    assert night.locator("th[aria-sort=descending]").inner_text().startswith("Chance of")
    night.get_by_role("button", name="Extra people").click()
    assert ranks(night)[:4] == [2, 4, 6, 8] and sorted(ranks(night)[4:]) == [
        1,
        3,
        5,
        7,
    ]  # none is last in either order
    night.get_by_role("button", name="Extra people").click()
    assert ranks(night)[:4] == [8, 6, 4, 2] and sorted(ranks(night)[4:]) == [1, 3, 5, 7]
    night.get_by_role("button", name="Status").press("Enter")  # by keyboard too
    assert sorted(ranks(night)[:4]) == [1, 2, 3, 4]


def test_the_list_filters_by_words_and_by_choice(night):
    night.get_by_label("Search").fill("0405")
    assert ranks(night) == [5]
    assert night.get_by_role("status").inner_text() == "1 of 8 homes on this page shown."
    night.get_by_label("Search").fill("")
    night.locator("select[name=district]").select_option("South")
    assert ranks(night) == [3, 6]
    night.locator("select[name=kind]").select_option("people")
    assert ranks(night) == [6]


def test_the_list_is_whole_without_scripts(browser, site):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(address(site, "night", "en"))
    assert page.locator("#doors tbody tr").count() == 8 and not page.locator("#tools").is_visible()
    context.close()


def sheets(page: Page) -> int:
    return len(re.findall(rb"/Type\s*/Page\b(?!s)", page.pdf(prefer_css_page_size=True)))


@pytest.mark.parametrize("language", SITE.languages)
def test_a_case_is_printed_on_one_sheet(browser, site, language):
    page = opened(browser, address(site, "case", language))
    assert sheets(page) == 1
    page.close()


@pytest.mark.parametrize("language", SITE.languages)
def test_a_full_case_of_four_signals_is_still_one_sheet(browser, tmp_path, language):
    entries, water, power = (SERIES[name] for name in ("entries", "water", "power"))
    evidence = pl.concat([case_page().evidence] * 3)
    page = case_page(
        evidence=evidence,
        notes=[(None, "coarse"), (None, "neighbours"), ("gas", "meter repeats the same value")],
    )
    page = report.CasePage(
        **{
            **vars(page),
            "series": {"entries": entries, "gas": water, "power": power, "water": water},
            "units": {**page.units, "gas": "litre"},
        }
    )
    for name, content in writer.render_case(page, charts.chinese_font()).items():
        (tmp_path / name).write_bytes(content)
    shown = opened(
        browser, (tmp_path / report.file_name(page.case["case_id"], language, SITE.languages)).as_uri()
    )
    assert sheets(shown) == 1
    shown.close()


def test_a_round_prints_each_district_on_sheets_of_its_own(browser, site):
    page = opened(browser, address(site, "round", "en"))
    assert sheets(page) == 2
    page.close()
