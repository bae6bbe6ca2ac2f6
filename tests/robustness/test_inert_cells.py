"""What stands in a cell is never run: not on a page, in a spreadsheet, in a query, on a terminal."""

import csv
import io
import json
import re
from html.parser import HTMLParser

import click
import polars as pl
import pytest

from tests.support.site import HOMES, LAST, SURGED, Site, daily, make_site, rows

EVIL = {
    "html": "<img src=x onerror=alert(1)>",
    "template": "{{7*7}}{% raw %}${7*7}",
    "sql": "x'); DROP TABLE _internal.cases; --",
    "formula": "=cmd|'/C calc'!A0",
    "terminal": "a\x1b]0;owned\x07\x1b[2Jb",
    "attribute": '" onmouseover="alert(1)',
}
FORMULA = ("=", "+", "-", "@", "\t", "\r")


class Pages(HTMLParser):
    """Tags and attributes of a page."""

    def __init__(self, page: str):
        super().__init__()
        self.tags, self.attributes = [], []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs


@pytest.fixture(scope="module", params=EVIL)
def evil(request) -> str:
    return EVIL[request.param]


@pytest.fixture(scope="module")
def site(evil, tmp_path_factory) -> Site:
    """A night on which id, building and district of the one case are each such a text."""
    site = make_site(tmp_path_factory.mktemp("inert"))
    site.change(
        "[store]",
        '[households]\nfiles = "homes.csv"\ncolumns = { household = "id", building = "house", district = "area" }\n\n[store]',
    )
    homes = [(f"{h:04}" if h != int(SURGED) else evil, evil, evil) for h in range(HOMES)]
    site.put("homes.csv", pl.DataFrame(homes, schema=["id", "house", "area"], orient="row"))
    for name, values in daily().items():
        site.put(f"{name}.csv", rows(name, values).with_columns(pl.col("id").replace(SURGED, evil)))
    site.nightly()
    return site


@pytest.fixture(scope="module")
def case(site, evil) -> str:
    (row,) = site.view("worklist").rows(named=True)
    assert (row["household"], row["district"]) == (evil, evil)
    assert site.run("decide", row["case_id"], "benign", "--reason", evil, "--by", evil).exit_code == 0
    assert site.run("assign", row["case_id"], "--to", evil).exit_code == 0
    return row["case_id"]


def test_pages_hold_it_as_text_only(site, case, evil):
    site.run("audit fairness")
    site.run("audit record")
    site.change("[store]", "# the same\n[store]")
    site.nightly()
    pages = list((site.root / "out" / "reports").rglob("*.html"))
    assert len(pages) >= 6
    for path in pages:
        page = Pages(path.read_text(encoding="utf-8"))
        assert "img" not in page.tags or {value for name, value in page.attributes if name == "src"} <= {
            f"{case}.png"
        }
        assert (
            not [name for name, _ in page.attributes if name.startswith("on")]
            and page.tags.count("script") <= 1
        )
        (policy,) = [
            value for name, value in page.attributes if name == "content" and "default-src" in (value or "")
        ]
        assert policy.startswith("default-src 'none'")
        assert not re.search(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]", path.read_text(encoding="utf-8"))
        assert "4949" not in (text := path.read_text(encoding="utf-8")) and ">49<" not in text.replace(
            evil, ""
        )


def test_no_cell_of_an_export_is_a_formula_and_numbers_stay_numbers(site, case, evil):
    exports = {
        "worklist": site.run("worklist", "--format", "csv").stdout,
        "cases": (site.root / f"out/reports/{LAST}/cases.csv").read_text(encoding="utf-8-sig"),
    }
    for text in exports.values():
        (row,) = csv.DictReader(io.StringIO(text, newline=""))
        assert not [cell for cell in row.values() if cell and cell.startswith(FORMULA)]
        assert float(row["rarity"]) > 1 and 0 <= float(row["chance_wrong"]) <= 1 and row["rank"] == "1"
        shown = "'" + evil if evil.startswith(FORMULA) else evil
        assert click.unstyle(row["household"]) == click.unstyle(row["district"]) == click.unstyle(shown)


def test_a_query_takes_it_as_a_value(site, case, evil):
    before = site.view("cases").height
    told = site.run("explain", evil)
    assert told.exit_code == 0 and case in told.stdout
    assert site.run("worklist", "--district", evil, "--format", "json").stdout.count("\n") == 1
    for name in (f"{evil}' OR 1=1 --", "' UNION SELECT 1 --"):
        assert (
            site.run("explain", name).exit_code == 2
            and site.run("decide", name, "benign", "--reason", "x").exit_code == 2
        )
    assert site.view("cases").height == before and site.view("outcomes")["reason"].to_list() == [evil]


def test_a_terminal_is_told_of_it_in_plain_signs(site, case, evil):
    for command in ("worklist", f"explain {case}", f"explain {case} --for-resident", "status", "doctor"):
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", site.run(command).output), command
    (door,) = [
        line
        for line in map(json.loads, site.run("worklist", "--json").stdout.splitlines())
        if line["message_type"] == "door"
    ]
    assert door["household"] == evil
