"""What the flow puts on the pages of a night, on a tiny site with a register."""

import csv
import re

import pytest

from anomaly import messages
from tests.support.site import HOMES, LAST, SIGNALS, SURGE_DAYS, SURGED, Site, daily, rows

BESIDE = "0008"  # a home of the same building that surges too


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Site:
    site = Site(tmp_path_factory.mktemp("register"))
    values = daily()
    for signal in values:
        values[signal][int(BESIDE), -SURGE_DAYS:] *= 3
        site.put(f"{signal}.csv", rows(signal, values[signal]))
    homes = "".join(
        f"{h:04},{'B1' if f'{h:04}' in (SURGED, BESIDE) else 'B2'},{'East' if h < 20 else 'West'}\n"
        for h in range(HOMES)
    )
    site.put("households.csv", "id,building,district\n" + homes)
    register = '[households]\nfiles = "households.csv"\ncolumns = { household = "id", building = "building", district = "district" }\n'
    site.configure({name: SIGNALS[name] for name in values}, more=register)
    site.nightly()
    return site


def pages(site: Site) -> dict[str, str]:
    """home → the page of its case."""
    night = site.root / "out" / "reports" / str(LAST)
    listed = list(csv.DictReader((night / "cases.csv").read_text("utf-8-sig").splitlines()))
    return {
        row["household"]: (night / "cases" / f"{row['case_id']}.html").read_text("utf-8") for row in listed
    }


def test_another_door_of_the_building_is_told(site):
    told = messages.message("en", "note.neighbours")
    found = pages(site)
    assert {SURGED, BESIDE} <= found.keys()
    assert all(told in page for home, page in found.items() if home in (SURGED, BESIDE))


def test_peers_are_those_of_a_district_large_enough_and_told_as_numbers(site):
    page = pages(site)[SURGED]
    entries = page.split("Entries, passages a day</caption>")[1].split("</table>")[0]
    row = re.findall(r"<tr.*?</tr>", entries)[-1]
    observed, expected, _, peers = re.findall(r'<td class="n">([^<]+)</td>', row)
    assert float(peers) < 12 < float(observed) and float(expected) > 0


def test_small_districts_are_on_the_round_but_in_no_table(site):
    night = site.root / "out" / "reports" / str(LAST)
    assert ">East<" in (night / "round.html").read_text("utf-8")
    tables = (
        (night / "index.html")
        .read_text("utf-8")
        .split("Doors proposed by district</caption>")[1]
        .split("</table>")[0]
    )
    assert "East" in tables and "West" not in tables  # West has 4 homes
    overview = (
        (night.parent / "index.html")
        .read_text("utf-8")
        .split("by district and signal</caption>")[1]
        .split("</table>")[0]
    )
    assert "All homes" in overview and "East" in overview and "West" not in overview
