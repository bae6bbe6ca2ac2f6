"""Sixty nights in a row with something wrong on each: every invariant holds every night, memory and disk stay
flat.

The number of homes is HOMES unless the environment says otherwise; the whole trial is

    NIGHTS_HOMES=20000 python -m pytest tests/robustness/test_sixty_nights.py -m endurance -s

which prints what each night took.
"""

import os
import re
import signal
import time
from dataclasses import dataclass, field

import numpy as np
import polars as pl
import pytest

from tests.support.kills import leftovers, recorded, start
from tests.support.site import SIGNALS, SURGED, Site, daily, rows

HOMES = int(os.environ.get("NIGHTS_HOMES", "600"))
NIGHTS, HISTORY = 60, 60
FAULTS = ("decided", "empty", "torn", "restated", "twice", "killed")
BYTES_A_READING = 30
"""At most so much of the store for each reading that came: its row, its day, and what is kept with the
night."""
BYTES_A_NIGHT = 150_000
"""And so much for a night of any size: its small tables, journals and lines."""
MEMORY_A_READING = 120
"""And so much in memory, on a night that makes the readings of a signal anew for every home."""


@dataclass
class City:
    """The exports day by day, and what must hold of what was told about them."""

    site: Site
    values: dict[str, np.ndarray] = field(default_factory=lambda: daily(HOMES, HISTORY + NIGHTS))
    told: int = 0
    again: dict[str, bytes] = field(default_factory=dict)
    """Files to be brought whole tomorrow."""
    lacking: int = 0
    """How many of tonight's files hold nothing."""

    def __post_init__(self):
        self.values["entries"][int(SURGED), HISTORY:] *= 3  # a case that is there on every night
        self.exports = {name: rows(name, values) for name, values in self.values.items()}

    def bring(self, first: int, last: int) -> None:
        """A file a signal for the days first … last - 1."""
        for name, frame in self.exports.items():
            self.site.put(f"{name}-{last:03}.csv", frame.slice(first * HOMES, (last - first) * HOMES))

    def spoil(self, fault: str, day: int) -> int:
        """Bring the day's exports with that fault; the exit code to come."""
        for name, content in self.again.items():
            self.site.put(name, content)
        self.again, self.lacking = {}, int(fault == "empty")
        self.bring(day, day + 1)
        power, water = (self.site.root / f"{name}-{day + 1:03}.csv" for name in ("power", "water"))
        if fault == "empty":
            self.again[power.name] = power.read_bytes()
            power.write_bytes(b"")
            return 3
        if fault == "torn":
            self.again[water.name] = water.read_bytes()
            water.write_bytes(self.again[water.name][:-3])
        if fault == "restated":
            self.values["power"][3, day - 7] += 1_000
            week = rows("power", self.values["power"][:, day - 7 : day - 6]).with_columns(
                day=self.exports["power"]["day"].slice((day - 7) * HOMES, HOMES)
            )
            self.site.put(f"power-{day + 1:03}-restated.csv", week)
        if fault == "twice":
            self.site.put(f"water-{day + 1:03}-again.csv", water.read_bytes())
        return 0

    def decide(self) -> None:
        """Say of the first door of the list that nobody was in, and give it to somebody."""
        doors = self.site.view("worklist")
        if doors.height:
            case = doors.sort("night", "rank")["case_id"][-1]
            assert self.site.run("decide", case, "no_access", "--reason", f"visit {self.told}").exit_code == 0
            assert self.site.run("assign", case, "--to", f"team {self.told}").exit_code == 0
            self.told += 1


def night(site: Site, seconds: float | None = None) -> tuple[int, float, float]:
    """Run the night as a process of its own, killed after so many seconds where given: exit code, seconds,
    peak memory in MB."""
    with start(site, 0, "nightly") as process:
        process.stdout.readline()
        begun = time.monotonic()
        if seconds is not None:
            time.sleep(seconds)
            process.kill()
        said, why = process.communicate()
    assert process.returncode in (0, 3, -signal.SIGKILL), why
    peak = re.search(r"(\d+) MB", said)
    return process.returncode, time.monotonic() - begun, float(peak[1]) if peak else 0.0


def check(city: City, number: int) -> None:
    """What must hold of the published file after every night."""
    site, nights = city.site, number + 2  # the first was the history's last day
    assert leftovers(site) == [] and site.run("audit verify").exit_code == 0
    runs = site.view("runs")
    assert (
        runs["night"].n_unique() == nights
        and runs["night"].max() == city.exports["power"]["day"].str.to_date()[(HISTORY + number) * HOMES]
    )
    assert runs.sort("night", "started_utc")["judged"][-1] >= 0.98 * HOMES
    outcomes = site.view("outcomes")
    assert (
        outcomes.height == city.told == len(recorded(site)[0])
        and site.view("assignments").height == city.told
    )
    doors, cases = site.view("worklist"), site.view("cases")
    assert (
        doors.join(cases, on="case_id", how="anti").is_empty() and cases["case_id"].n_unique() == cases.height
    )
    assert (
        doors.group_by("night")
        .agg(pl.col("rank").sort())
        .filter(pl.col("rank") != pl.int_ranges(1, pl.col("rank").list.len() + 1))
        .is_empty()
    )
    ((held, single),) = site.ask("SELECT count(*), count(DISTINCT (household, signal, day)) FROM v1.readings")
    assert held == single == 3 * HOMES * (HISTORY + number + 1) - HOMES * city.lacking
    restated = [
        value
        for (value,) in site.ask(
            "SELECT value FROM v1.readings WHERE household = '0003' AND signal = 'power' ORDER BY day"
        )
    ]
    assert restated == city.values["power"][3, : len(restated)].tolist()


@pytest.mark.endurance
def test_sixty_nights_with_a_fault_on_each(tmp_path):
    site = Site(tmp_path)
    site.configure(SIGNALS)
    city = City(site)
    city.bring(0, HISTORY)
    code, seconds, _ = night(site)
    assert code == 0
    sizes, peaks = [], []
    for number in range(NIGHTS):
        fault = FAULTS[number % len(FAULTS)]
        wanted = city.spoil(fault, HISTORY + number)
        if fault == "decided":
            city.decide()
        if fault == "killed":
            night(site, seconds * (number % 4 + 1) / 5)
        code, seconds, peak = night(site)
        assert code == wanted, (number, fault)
        check(city, number)
        peaks.append(peak)
        sizes.append(
            sum(path.stat().st_size for path in (site.file.parent / "state").rglob("*") if path.is_file())
        )
        print(
            f"night {number + 1:2} {fault:<9}{seconds:6.1f} s  {peak:6.0f} MB  state {sizes[-1] / 1e6:7.2f} MB"
        )
    growth = (sizes[-1] - sizes[5]) / (NIGHTS - 6)
    assert growth <= BYTES_A_READING * 3 * HOMES + BYTES_A_NIGHT
    assert sizes[-1] - sizes[NIGHTS // 2] <= 1.25 * (sizes[NIGHTS // 2] - sizes[0])
    early, late = max(peaks[6:18]), max(peaks[-12:])
    more = (
        3 * HOMES * (NIGHTS - 18)
    )  # readings a night holds more of at the end: the past it learns from doubles here
    assert late - early <= 0.15 * early + MEMORY_A_READING * more / 1e6
