"""The least flow of the night on a case's page: from hourly readings to a sentence for or against a leak."""

import dataclasses
import datetime as dt

import numpy as np
import polars as pl

from anomaly import report
from tests.support.report_pages import NIGHT, ONSET, case_page
from tests.support.site import Site

NIGHTS = [NIGHT - dt.timedelta(days=back) for back in reversed(range(40))]


def page_with(before, since):
    flow = [since if day >= ONSET else before for day in NIGHTS]
    frame = pl.DataFrame({"household": "x", "signal": "water", "day": NIGHTS, "flow": flow}).drop_nulls(
        "flow"
    )
    return dataclasses.replace(case_page(signature="water"), flow=frame)


def test_water_that_runs_all_night_agrees_with_a_leak():
    told = report.case_html(page_with(0, 12), "en", "x.png")
    assert (
        "at least 12 L in every hour of the 9 nights since" in told
        and "Before, the usual least was 0 L an hour." in told
    )
    assert "至少12升" in report.case_html(page_with(0, 12), "zh", "x.png")
    assert "What it was before is not known." in report.case_html(page_with(None, 12), "en", "x.png")


def test_water_that_stands_still_speaks_against_one():
    told = report.case_html(page_with(0, 0), "en", "x.png")
    assert (
        "Water stood still for an hour or more in 9 of 9 nights since" in told and "in every hour" not in told
    )


def test_a_flow_that_was_there_before_says_nothing():
    told = report.case_html(page_with(12, 12), "en", "x.png")
    assert "in every hour" not in told and "stood still" not in told


def test_a_leak_in_hourly_readings_reaches_the_page_and_stays_with_the_night(tmp_path):
    homes, days, leak, last = 20, 90, 10, dt.datetime(2026, 5, 1)
    rng = np.random.default_rng(1)
    hours = np.zeros((homes, days, 24))
    hours[:, :, 7:22] = rng.gamma(4.0, 4.0, (homes, days, 15))
    hours[3, -leak:] += 25
    level = 10_000 + hours.reshape(homes, -1).cumsum(axis=1).round()
    times = [last + dt.timedelta(days=1 - days, hours=h + 1) for h in range(days * 24)]
    rows = [
        (f"h{n:02d}", t.isoformat(sep=" "), int(v))
        for n in range(homes)
        for t, v in zip(times, level[n], strict=True)
    ]
    site = Site(tmp_path)
    signal = 'files = "water.csv"\nkind = "register"\nunit = "litre"\ncolumns = { household = "id", time = "time", value = "value" }\n'
    site.configure({"water": signal}, signatures=["water"])
    site.put("water.csv", pl.DataFrame(rows, schema=["id", "time", "value"], orient="row"))
    site.nightly()
    (found,) = site.view("cases").rows(named=True)
    assert found["household"] == "h03" and found["signature"] == "water"
    told = (tmp_path / "out" / "reports" / str(last.date()) / "cases" / f"{found['case_id']}.html").read_text(
        "utf-8"
    )
    assert (
        f"at least 25 L in every hour of the {(last.date() - found['onset']).days + 1} nights since" in told
    )
    frozen = pl.read_parquet(tmp_path / "out" / "state" / "nights" / str(last.date()) / "flow.parquet").sort(
        "day"
    )
    assert (
        set(frozen["household"]) == {"h03"}
        and frozen["flow"].to_list()[-leak - 3 :] == [0, 0, 0] + [25] * leak
    )
