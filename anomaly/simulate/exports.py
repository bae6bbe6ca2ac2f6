"""What the exports show of the truth: door counts and register readings, with the faults of gateways, meters and files."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from anomaly.simulate.city import City, Days
from anomaly.simulate.homes import PER_BUILDING, Homes

EXCHANGES, ROLL_OVERS, GLITCHES = 0.04, 0.01, 0.05  # per register: a year, a home, a year
GLITCH = {"water": 248_000, "power": 500_000}  # litre (as seen in Alicante), Wh
WRAP = {"water": 10**7, "power": 10**8}  # the dial's end: 9,999 m3 and 99,999 kWh
LATE, REPEATED, RESTATED = 0.002, 0.0005, 0.0003  # shares of rows


@dataclass(frozen=True)
class Fault:
    """One fault of the data of one home, for the truth table; never a target."""

    home: int
    kind: str
    first: int
    last: int


def door_rows(
    city: City, homes: Homes, days: Days, use: dict, rng: np.random.Generator
) -> tuple[pl.DataFrame, list[Fault]]:
    """Rows `household_id, day, entries, exits, arrived`; in a gateway outage a whole building sends zeros or nothing."""
    entries, exits = use["entries"].copy(), use["exits"].copy()
    shown = _live(city, homes) & homes.has["entries"][:, None]
    faults = []
    for begin in range(0, city.homes, PER_BUILDING):
        block = slice(begin, begin + PER_BUILDING)
        for first in rng.integers(0, city.days, rng.poisson(city.outages * city.days / 365)):
            span = slice(first, first + rng.integers(1, 5))
            if rng.random() < 0.4:
                entries[block, span] = exits[block, span] = 0
            else:
                shown[block, span] = False
            last = min(span.stop, city.days) - 1
            faults += [
                Fault(home, "outage", int(first), int(last))
                for home in range(begin, min(begin + PER_BUILDING, city.homes))
            ]
    shown &= rng.random(shown.shape) > 0.001
    home, day = np.nonzero(shown)
    rows = _frame(homes, days, home, day).with_columns(entries=entries[home, day], exits=exits[home, day])
    return _delivered(rows, city, rng), faults


def register_rows(
    name: str, city: City, homes: Homes, days: Days, use: np.ndarray, rng
) -> tuple[pl.DataFrame, list[Fault]]:
    """Rows `household_id, day, reading, arrived`: the register at the end of each day as the export writes it.

    Water is text in m3 with 3 decimals, power in kWh with 2; coarse registers show whole units, cut and not rounded.
    """
    meter, faults = _dial(name, city, homes, use, rng)
    step = np.where(homes.coarse, 1000, 1 if name == "water" else 10)[:, None]
    meter = meter // step * step
    if name == "water":  # a register that trembles by a litre while nothing flows
        meter -= (
            (use == 0) & (rng.random(use.shape) < 0.03 * city.faults) & ~homes.coarse[:, None] & (meter > 0)
        )
    faults += _glitches(name, city, meter, rng)
    shown = _live(city, homes) & homes.has[name][:, None] & ~_gaps(name, city, rng)
    home, day = np.nonzero(shown)
    rows = _frame(homes, days, home, day).with_columns(reading=meter[home, day], coarse=homes.coarse[home])
    rows = _delivered(rows, city, rng)
    return rows.with_columns(reading=_written(name)).drop("coarse"), faults


def _written(name: str) -> pl.Expr:
    """A reading as the export prints it: "1234.567" m3, "1234.56" kWh, "1234" from a coarse register."""
    value, digits = pl.col("reading"), 3 if name == "water" else 2
    decimals = (value % 1000 // 10 ** (3 - digits)).cast(pl.String).str.zfill(digits)
    whole = (value // 1000).cast(pl.String)
    return pl.when("coarse").then(whole).otherwise(whole + pl.lit(".") + decimals)


def _dial(
    name: str, city: City, homes: Homes, use: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, list[Fault]]:
    """Cumulative readings (litre, Wh); some meters are exchanged for new ones, some pass the end of the dial."""
    total = np.cumsum(use, axis=1)
    start = (use.mean(axis=1) * rng.uniform(200, 2500, city.homes)).astype(np.int64) % (WRAP[name] // 2)
    faults = []
    rolls = rng.random(city.homes) < ROLL_OVERS * city.faults
    start = np.where(
        rolls, WRAP[name] - (total[:, -1] * rng.uniform(0.2, 0.8, city.homes)).astype(np.int64) - 1, start
    )
    meter = total + start[:, None]
    for home in np.flatnonzero(rolls):
        day = int(np.argmax(meter[home] >= WRAP[name]))
        faults.append(Fault(int(home), f"{name}_roll_over", day, day))
    meter %= WRAP[name]
    for home in np.flatnonzero(rng.random(city.homes) < EXCHANGES * city.faults * city.days / 365):
        day = int(rng.integers(1, city.days))
        meter[home, day:] = (
            total[home, day:] - total[home, day - 1] // 2 - total[home, day] // 2
        )  # new meter from midday
        faults.append(Fault(int(home), f"{name}_exchange", day, day))
    return meter, faults


def _glitches(name: str, city: City, meter: np.ndarray, rng: np.random.Generator) -> list[Fault]:
    """Readings off by a constant for one to three days, then back on their line; changes `meter` in place."""
    faults = []
    for home in np.flatnonzero(rng.random(city.homes) < GLITCHES * city.faults * city.days / 365):
        first = int(rng.integers(1, city.days))
        span = slice(first, first + int(rng.integers(1, 4)))
        sign = 1 if rng.random() < 0.5 else -1
        meter[home, span] = np.maximum(0, meter[home, span] + sign * GLITCH[name])
        faults.append(Fault(int(home), f"{name}_glitch", first, min(span.stop, city.days) - 1))
    return faults


def _gaps(name: str, city: City, rng: np.random.Generator) -> np.ndarray:
    """True where no reading came. Homes differ widely: a few registers are silent half of the time."""
    missing = np.zeros((city.homes, city.days), bool)
    rate = {"water": city.water_gaps, "power": city.power_gaps}[name]
    often = np.exp(rng.normal(0, 0.9, city.homes))
    home = np.repeat(np.arange(city.homes), rng.poisson(rate * often * city.days / 365))
    first = rng.integers(0, city.days, len(home))
    length = rng.geometric(1 / (3.0 if name == "water" else 1.2), len(home))
    for h, a, n in zip(home, first, length, strict=True):
        missing[h, a : a + n] = True
    return missing


def _live(city: City, homes: Homes) -> np.ndarray:
    return np.arange(city.days) >= homes.first[:, None]


def _frame(homes: Homes, days: Days, home: np.ndarray, day: np.ndarray) -> pl.DataFrame:
    dates = np.array(days.dates, dtype="datetime64[D]")
    return pl.DataFrame({"household_id": homes.ids[home], "day": dates[day], "arrived": dates[day]})


def _delivered(rows: pl.DataFrame, city: City, rng: np.random.Generator) -> pl.DataFrame:
    """Rows as they arrive: on the day by home and day, then the late, the repeated and the corrected ones behind them.

    A corrected row follows a wrong one of the same home and day; whoever reads the file from the top lets the last one win.
    """
    lot, delay = rng.random(rows.height), rng.integers(1, 10, rows.height)
    late = lot < LATE * city.faults
    restated = ~late & (lot < (LATE + RESTATED) * city.faults)
    repeated = ~late & ~restated & (lot < (LATE + RESTATED + REPEATED) * city.faults)
    last = rows["day"].max()
    value = "entries" if "entries" in rows.columns else "reading"
    again = rows.with_columns(
        arrived=pl.min_horizontal(pl.col("day") + pl.duration(days=pl.Series(delay)), pl.lit(last))
    )
    wrong = rows.with_columns(
        pl.when(pl.Series(restated)).then(pl.col(value) * 9 // 10).otherwise(pl.col(value)).alias(value)
    )
    behind = again.filter(pl.Series(late | restated | repeated)).sort(
        "arrived", "household_id", "day", maintain_order=True
    )
    return pl.concat([wrong.filter(pl.Series(~late)), behind])
