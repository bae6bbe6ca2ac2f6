"""A leak in hourly readings, from the export to the page of its case and the state of its night."""

import datetime as dt

import numpy as np
import polars as pl

from tests.support.site import Site


def test_a_leak_in_hourly_readings_reaches_the_page_and_stays_with_the_night(tmp_path):
    homes, days, leak, last = 20, 90, 10, dt.datetime(2026, 5, 1)
    rng = np.random.default_rng(1)
    hours = np.zeros((homes, days, 24))
    hours[:, :, 7:22] = rng.gamma(4.0, 4.0, (homes, days, 15))
    hours[3, -leak:] += 25
    level = 10_000 + hours.reshape(homes, -1).cumsum(axis=1).round()
    times = [last + dt.timedelta(days=1 - days, hours=h + 1) for h in range(days * 24)]
    rows = [
        (f"h{home:02d}", time.isoformat(sep=" "), int(value))
        for home in range(homes)
        for time, value in zip(times, level[home], strict=True)
    ]
    site = Site(tmp_path)
    columns = '{ household = "id", time = "time", value = "value" }'
    water = f'files = "water.csv"\nkind = "register"\nunit = "litre"\ncolumns = {columns}\n'
    site.configure({"water": water}, signatures=["water"])
    site.put("water.csv", pl.DataFrame(rows, schema=["id", "time", "value"], orient="row"))
    site.nightly()
    (case,) = site.view("cases").rows(named=True)
    assert case["household"] == "h03" and case["signature"] == "water"
    night = str(last.date())
    page = tmp_path / "out" / "reports" / night / "cases" / f"{case['case_id']}.html"
    nights = (last.date() - case["onset"]).days + 1
    assert f"at least 25 L in every hour of the {nights} nights since" in page.read_text("utf-8")
    flow = pl.read_parquet(tmp_path / "out" / "state" / "nights" / night / "flow.parquet").sort("day")
    assert set(flow["household"]) == {"h03"}
    assert flow["flow"].to_list()[-leak - 3 :] == [0, 0, 0] + [25] * leak
