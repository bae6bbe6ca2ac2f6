"""What a night's pages are made of, and what they show of a tiny site with a register."""

import csv
import datetime as dt
import errno
import re
from types import SimpleNamespace

import polars as pl
import pytest

from anomaly import messages, tables
from pipelines.config.sections import RetentionSection
from pipelines.config.settings import load_settings
from pipelines.errors import NotReported, StateError
from pipelines.reporting import night_report
from pipelines.reporting.night_report import (
    QUALITY_SCHEMA,
    disk_errors_as_not_reported,
    gather_night_context,
    night_index_path,
    prepare_reports_folder,
    report_site,
    series_by_home,
)
from pipelines.storage.state import Store
from tests.support.site import HOMES, LAST, SIGNALS, SURGE_DAYS, SURGED, Site, daily, day, rows

NEIGHBOUR = "0008"  # a home of the same building that surges too
REGISTER = """[households]
files = "households.csv"
columns = { household = "id", building = "building", district = "district" }
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Site:
    """A site of two districts, East with twenty homes and West with four."""
    site = Site(tmp_path_factory.mktemp("register"))
    values = daily()
    for signal in values:
        values[signal][int(NEIGHBOUR), -SURGE_DAYS:] *= 3
        site.put(f"{signal}.csv", rows(signal, values[signal]))
    homes = "".join(
        f"{h:04},{'B1' if f'{h:04}' in (SURGED, NEIGHBOUR) else 'B2'},{'East' if h < 20 else 'West'}\n"
        for h in range(HOMES)
    )
    site.put("households.csv", "id,building,district\n" + homes)
    site.configure({name: SIGNALS[name] for name in values}, more=REGISTER)
    site.nightly()
    return site


def case_pages(site: Site) -> dict[str, str]:
    """Return home → the page of its case."""
    night = site.root / "out" / "reports" / str(LAST)
    listed = list(csv.DictReader((night / "cases.csv").read_text("utf-8-sig").splitlines()))
    return {
        row["household"]: (night / "cases" / f"{row['case_id']}.html").read_text("utf-8") for row in listed
    }


def table_after(page: str, caption: str) -> str:
    return page.split(f"{caption}</caption>")[1].split("</table>")[0]


# what the pages show


def test_another_door_of_the_building_is_noted(site):
    note = messages.message("en", "note.neighbours")
    pages = case_pages(site)
    assert {SURGED, NEIGHBOUR} <= pages.keys()
    assert note in pages[SURGED] and note in pages[NEIGHBOUR]


def test_peers_are_those_of_a_district_large_enough_and_shown_as_numbers(site):
    last_day = re.findall(
        r"<tr.*?</tr>", table_after(case_pages(site)[SURGED], "Entries, passages a day"), re.DOTALL
    )[-1]
    observed, expected, _, peers = re.findall(r'<td class="n">([^<]+)</td>', last_day)
    assert float(peers) < 12 < float(observed) and float(expected) > 0


def test_small_districts_are_on_the_round_but_in_no_table(site):
    night = site.root / "out" / "reports" / str(LAST)
    assert ">East<" in (night / "round.html").read_text("utf-8")
    doors = table_after((night / "index.html").read_text("utf-8"), "Homes to visit, by district")
    assert "East" in doors and "West" not in doors  # West has 4 homes
    quality = table_after((night.parent / "index.html").read_text("utf-8"), "by district and signal")
    assert "All homes" in quality and "East" in quality and "West" not in quality


def test_the_context_of_a_night_holds_what_its_pages_need(site):
    """The arrays of judging are asked for the pages of cases only."""
    settings = load_settings(site.settings)
    store = Store(settings.store)
    inputs = SimpleNamespace(register=store.read("register.parquet"))
    context = gather_night_context(settings, store, inputs, None, LAST)
    listed = site.view("worklist").filter(pl.col("night") == LAST).sort("rank")
    assert context.doors["case_id"].to_list() == listed["case_id"].to_list()
    assert context.doors["chance_wrong"].to_list() == listed["chance_wrong"].to_list()
    assert set(context.doors["building"]) == {"B1"} and set(context.doors["district"]) == {"East"}
    evidence = site.view("evidence").filter(pl.col("household").is_in(listed["household"].implode()))
    assert sorted(context.evidence["rarity"]) == sorted(evidence["rarity"])
    assert context.run["night"] == LAST and context.run["cases_new"] == context.history.new_cases[LAST]
    assert context.records == {} and context.revisions.is_empty()


# the parts, by hand


def test_the_page_that_a_night_begins_with(site):
    settings = load_settings(site.settings)
    assert night_index_path(settings, LAST) == settings.reports / str(LAST) / "index.html"
    assert night_index_path(settings, LAST).exists()


def test_what_every_page_says_of_the_site(site):
    settings = load_settings(site.settings)
    page_site = report_site(settings)
    assert page_site.name == "Tiny" and page_site.languages == ("en",)
    assert page_site.purpose["expires"] == dt.date(2099, 12, 31)
    assert page_site.settings_sha256 == settings.sha256


def test_a_reports_folder_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StateError, match=r"give \[reports\] path a folder this user may write"):
        prepare_reports_folder(SimpleNamespace(reports=tmp_path / "file" / "reports"))
    prepare_reports_folder(SimpleNamespace(reports=tmp_path / "reports"))
    assert list((tmp_path / "reports").iterdir()) == []


def test_a_full_disk_below_the_reports_is_told_as_such_and_any_other_error_as_it_is(tmp_path):
    settings = SimpleNamespace(reports=tmp_path / "reports")

    def fail(path):
        with disk_errors_as_not_reported(settings):
            raise OSError(errno.ENOSPC, "No space left on device", str(path))

    with pytest.raises(NotReported, match="the file is published, its report is not: make room there"):
        fail(tmp_path / "reports" / "2026-03-14" / "index.html")
    with pytest.raises(OSError, match="No space left") as raised:
        fail(tmp_path / "state" / "quality.parquet")
    assert not isinstance(raised.value, NotReported)


def test_the_last_run_of_a_night_counts(tmp_path):
    """A line of an older version does not say how often the night had been judged."""
    store, night = Store(tmp_path / "anomaly.duckdb"), dt.date(2026, 3, 14)
    for hour in (1, 2):
        times = {"started_utc": f"2026-03-15T0{hour}:00:00", "finished_utc": f"2026-03-15T0{hour}:05:00"}
        store.append_line("runs.jsonl", {"night": str(night), "cases_open": 9} | times)
    history = SimpleNamespace(open_cases={night: 3}, new_cases={night: 1})
    run = night_report._last_run(store, night, history)
    assert run["finished_utc"] == dt.datetime(2026, 3, 15, 2, 5) and run["revised"] == 0
    assert (run["cases_open"], run["cases_new"]) == (3, 1)


def test_what_judging_again_changed_of_a_case():
    changed = dict.fromkeys(tables.Revisions.column_names(), None) | {
        "night": LAST,
        "revised": 1,
        "household": "0001",
        "signature": "water",
        "change": "changed",
        "case_id_before": "c0",
        "case_id_after": "c1",
    }
    revisions = pl.DataFrame([changed], schema=tables.empty(tables.Revisions).schema)
    finished = dt.datetime(2026, 3, 15, 2, 5)
    context = SimpleNamespace(revisions=revisions, run={"finished_utc": finished})
    assert night_report._change_of(context, "c1") == changed | {"finished_utc": finished}
    assert night_report._change_of(context, "c2") is None


WEEKS = pl.DataFrame(
    [
        (0, "North", "water", 300, 28, 28),
        (1, "North", "water", 100, 28, 21),
        (2, "South", "water", 50, 28, 28),
        (3, None, "water", 50, 14, 7),
        (0, "North", "power", 0, 28, 0),
    ],
    schema={
        "home": pl.UInt32,
        "district": pl.Enum(["North", "South"]),
        "signal": pl.String,
        "value": pl.Int64,
        "days": pl.UInt32,
        "good": pl.UInt32,
    },
    orient="row",
)


def test_quality_of_the_whole_site_and_of_each_district():
    """Power stood still in North, so the largest part of a home there is that of water."""
    shares = night_report._largest_shares(WEEKS)
    assert dict(shares.iter_rows()) == {"North": 0.75, "South": 1.0}
    quality = night_report._quality(WEEKS, shares)
    assert quality.schema == QUALITY_SCHEMA
    assert sorted(quality.rows(), key=repr) == sorted(
        [
            (None, "water", 4, 98, 84, 0.0),
            (None, "power", 1, 28, 0, 0.0),
            ("North", "water", 2, 56, 49, 0.75),
            ("North", "power", 1, 28, 0, 0.75),
            ("South", "water", 1, 28, 28, 1.0),
        ],
        key=repr,
    )


def test_homes_and_doors_of_each_district():
    shares = pl.DataFrame({"district": ["North"], "largest_share": [0.75]})
    homes = pl.DataFrame({"household": ["1", "2", "3", "4"], "district": ["North", "North", "South", None]})
    doors = pl.DataFrame({"district": ["North", None]}, schema={"district": pl.String})
    counts = night_report._district_counts(shares, homes, doors)
    assert sorted(counts.select("district", "homes", "doors", "largest_share").rows()) == [
        ("North", 2, 1, 0.75),
        ("South", 1, 0, 1.0),
    ]
    nowhere = homes.with_columns(district=pl.lit(None, pl.String))
    assert night_report._district_counts(shares, nowhere, doors) is None


def test_the_small_line_is_of_the_signal_that_has_risen_most():
    def days(value: float) -> pl.DataFrame:
        return pl.DataFrame({"value": [value] * 3, "expected": [1.0] * 3})

    series = {"water": days(2.0), "power": days(3.0)}
    ratios = [{"key": "water", "value": 2.0}, {"key": "power", "value": 3.0}, {"key": "gas", "value": 9.0}]
    spark = night_report._spark(series, ratios)
    assert spark == night_report._spark({"power": series["power"]}, ratios) != ""
    assert night_report._spark(series, [{"key": "gas", "value": 9.0}]) == ""
    assert night_report._spark(series, None) == ""


def test_a_homes_signals_have_their_own_days_and_the_sample_for_neighbours(monkeypatch):
    asked = []
    keys = {"household": ["0001", "0001"], "signal": ["power", "water"], "day": [LAST, LAST]}
    days = pl.DataFrame(keys | {"value": [9, 5], "quality": ["read", "read"]}).with_columns(
        pl.lit(1.0).alias(name) for name in ("expected", "low", "high")
    )

    def peer_medians_frame(neighbours, night, district_of, days, least):
        asked.append((neighbours, night, district_of, days, least))
        return pl.DataFrame(keys | {"peers": [None, 4.0]})

    monkeypatch.setattr(night_report, "peer_medians_frame", peer_medians_frame)
    monkeypatch.setattr(night_report, "readings_with_expected", lambda *given, **named: days)
    # home 0001 is in the second row, in district 7; the sample ends with the night, its twelfth day
    grid = SimpleNamespace(households=["0000", "0001"], group=[3, 7])
    sample = SimpleNamespace(index=lambda night: 11)
    context = SimpleNamespace(
        judged_nights=SimpleNamespace(expected=SimpleNamespace(grid=grid), neighbours=sample),
        inputs=None,
        settings=SimpleNamespace(retention=RetentionSection()),
        night=LAST,
    )
    series = series_by_home(context, ["0001"])
    assert series["0001"]["water"].select("value", "peers").rows() == [(5, 4.0)]
    assert series["0001"].keys() == {"power", "water"}
    assert asked == [(sample, 11, {"0001": 7}, night_report.SHOWN_DAYS, night_report.MIN_PEERS)]


@pytest.mark.parametrize(("kept", "shown"), [(1, 1), (41, 20), (240, 120), (1100, 120)])
def test_a_page_shows_at_most_half_of_the_days_that_readings_are_kept(kept, shown):
    settings = SimpleNamespace(retention=RetentionSection(readings_days=kept))
    assert night_report.days_on_page(settings) == shown


def test_the_first_day_that_is_drawn_is_noted_and_an_earlier_one_stands(tmp_path):
    store = Store(tmp_path / "anomaly.duckdb")

    def note(*first_days: dt.date) -> dt.date:
        frames = {str(day): pl.DataFrame({"day": [day, LAST]}) for day in first_days}
        settings = SimpleNamespace(reports=tmp_path)
        context = SimpleNamespace(settings=settings, night=LAST, flow=pl.DataFrame({"household": []}))
        night_report._note_first_day_drawn(store, context, {"0001": frames})
        return night_report.first_day_drawn(store, LAST)

    assert night_report.first_day_drawn(store, LAST) == LAST - dt.timedelta(days=119)  # of an older version
    assert note(day(-9)) == day(-9)
    assert note() == LAST
    assert note(day(-2), day(-9)) == day(-9)
    (tmp_path / str(LAST)).mkdir()
    (tmp_path / str(LAST) / "index.html").touch()
    assert note(day(-2)) == day(-9)
