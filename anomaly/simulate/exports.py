"""Make exports of the true use: door counts and registers, with faults of gateways, meters and files."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from anomaly.simulate.city import City, CityDays
from anomaly.simulate.homes import HOMES_PER_BUILDING, Homes

EXCHANGES_PER_YEAR = 0.04  # of a register
ROLL_OVER_SHARE = 0.01  # of homes
GLITCHES_PER_YEAR = 0.05  # of a register
GLITCH_SIZE = {"water": 248_000, "power": 500_000}  # litre (as seen in Alicante), Wh
DIAL_END = {"water": 10**7, "power": 10**8}  # 9,999 m3 and 99,999 kWh
LATE_SHARE, REPEATED_SHARE, RESTATED_SHARE = 0.002, 0.0005, 0.0003  # of rows


@dataclass(frozen=True)
class DataFault:
    """A fault in the data of one home, for the truth; never a target. Day numbers, both included."""

    home: int
    kind: str
    first: int
    last: int


def export_doors(
    city: City, homes: Homes, days: CityDays, use: dict[str, np.ndarray], rng: np.random.Generator
) -> tuple[pl.DataFrame, list[DataFault]]:
    """Return the rows of the door export, and its gateway outages.

    Rows: household_id, day, entries, exits, arrived. In an outage a whole building sends zeros or nothing.
    """
    entries, exits = use["entries"].copy(), use["exits"].copy()
    shown = _has_data(city, homes) & homes.has_signal["entries"][:, None]
    faults = []
    for begin in range(0, city.homes, HOMES_PER_BUILDING):
        building = slice(begin, begin + HOMES_PER_BUILDING)
        for first in rng.integers(0, city.days, rng.poisson(city.outage_rate * city.days / 365)):
            span = slice(first, first + rng.integers(1, 5))
            if rng.random() < 0.4:
                entries[building, span] = exits[building, span] = 0
            else:
                shown[building, span] = False
            last = min(span.stop, city.days) - 1
            in_building = range(begin, min(begin + HOMES_PER_BUILDING, city.homes))
            faults += [DataFault(home, "outage", int(first), int(last)) for home in in_building]
    shown &= rng.random(shown.shape) > 0.001
    home, day = np.nonzero(shown)
    rows = _rows_of(homes, days, home, day)
    rows = rows.with_columns(entries=entries[home, day], exits=exits[home, day])
    rows = _deliver(rows, "entries", city, rng)
    return rows.select("household_id", "day", "entries", "exits", "arrived"), faults


def export_register(
    name: str, city: City, homes: Homes, days: CityDays, use: np.ndarray, rng: np.random.Generator
) -> tuple[pl.DataFrame, list[DataFault]]:
    """Return the rows of a register export, and the faults of its meters.

    Rows: household_id, day, reading, arrived; reading: the register at the end of each day as the export
    writes it. Water is text in m3 with 3 decimals, power in kWh with 2; coarse registers show whole units,
    cut and not rounded.
    """
    meter, faults = _draw_dials(name, city, homes, use, rng)
    step = np.where(homes.coarse, 1000, 1 if name == "water" else 10)[:, None]
    meter = meter // step * step
    if name == "water":  # a register that trembles by a litre while nothing flows
        trembles = (use == 0) & (rng.random(use.shape) < 0.03 * city.fault_scale)
        meter -= trembles & ~homes.coarse[:, None] & (meter > 0)
    faults += _add_glitches(name, city, meter, rng)
    shown = _has_data(city, homes) & homes.has_signal[name][:, None] & ~_draw_gaps(name, city, rng)
    home, day = np.nonzero(shown)
    rows = _rows_of(homes, days, home, day)
    rows = rows.with_columns(reading=meter[home, day], coarse=homes.coarse[home])
    rows = _deliver(rows, "reading", city, rng).with_columns(reading=_as_printed(name))
    return rows.select("household_id", "day", "reading", "arrived"), faults


def _as_printed(name: str) -> pl.Expr:
    """Return a reading as the export prints it.

    "1234.567" m3, "1234.56" kWh, "1234" from a coarse register.
    """
    value, digits = pl.col("reading"), 3 if name == "water" else 2
    decimals = (value % 1000 // 10 ** (3 - digits)).cast(pl.String).str.zfill(digits)
    whole = (value // 1000).cast(pl.String)
    return pl.when("coarse").then(whole).otherwise(whole + pl.lit(".") + decimals)


def _draw_dials(
    name: str, city: City, homes: Homes, use: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, list[DataFault]]:
    """Return cumulative readings (litre, Wh), and the meters exchanged or past the end of the dial."""
    total, end = np.cumsum(use, axis=1), DIAL_END[name]
    start = (use.mean(axis=1) * rng.uniform(200, 2500, city.homes)).astype(np.int64) % (end // 2)
    faults = []
    rolls_over = rng.random(city.homes) < ROLL_OVER_SHARE * city.fault_scale
    near_end = end - (total[:, -1] * rng.uniform(0.2, 0.8, city.homes)).astype(np.int64) - 1
    start = np.where(rolls_over, near_end, start)
    meter = total + start[:, None]
    for home in np.flatnonzero(rolls_over):
        day = int(np.argmax(meter[home] >= end))
        faults.append(DataFault(int(home), f"{name}_roll_over", day, day))
    meter %= end
    exchange_chance = EXCHANGES_PER_YEAR * city.fault_scale * city.days / 365
    for home in np.flatnonzero(rng.random(city.homes) < exchange_chance):
        day = int(rng.integers(1, city.days))
        midday = total[home, day - 1] // 2 + total[home, day] // 2  # the new meter begins at zero
        meter[home, day:] = total[home, day:] - midday
        faults.append(DataFault(int(home), f"{name}_exchange", day, day))
    return meter, faults


def _add_glitches(name: str, city: City, meter: np.ndarray, rng: np.random.Generator) -> list[DataFault]:
    """Shift readings by a constant for one to three days, in place; they are back on their line after it."""
    faults = []
    chance = GLITCHES_PER_YEAR * city.fault_scale * city.days / 365
    for home in np.flatnonzero(rng.random(city.homes) < chance):
        first = int(rng.integers(1, city.days))
        span = slice(first, first + int(rng.integers(1, 4)))
        sign = 1 if rng.random() < 0.5 else -1
        meter[home, span] = np.maximum(0, meter[home, span] + sign * GLITCH_SIZE[name])
        faults.append(DataFault(int(home), f"{name}_glitch", first, min(span.stop, city.days) - 1))
    return faults


def _draw_gaps(name: str, city: City, rng: np.random.Generator) -> np.ndarray:
    """Return (homes, days) bool: no reading came.

    Homes differ widely: a few registers are silent half of the time.
    """
    missing = np.zeros((city.homes, city.days), bool)
    rate, mean_days = {"water": (city.water_gap_rate, 3.0), "power": (city.power_gap_rate, 1.2)}[name]
    scale = np.exp(rng.normal(0, 0.9, city.homes))
    home = np.repeat(np.arange(city.homes), rng.poisson(rate * scale * city.days / 365))
    first = rng.integers(0, city.days, len(home))
    length = rng.geometric(1 / mean_days, len(home))
    for h, begin, days in zip(home, first, length, strict=True):
        missing[h, begin : begin + days] = True
    return missing


def _has_data(city: City, homes: Homes) -> np.ndarray:
    """Return (homes, days) bool: days on or after the first of a home's data."""
    return np.arange(city.days) >= homes.first_day[:, None]


def _rows_of(homes: Homes, days: CityDays, home: np.ndarray, day: np.ndarray) -> pl.DataFrame:
    """Return household_id, day, arrived of rows that arrive on their day."""
    dates = np.array(days.dates, dtype="datetime64[D]")
    return pl.DataFrame({"household_id": homes.ids[home], "day": dates[day], "arrived": dates[day]})


def _deliver(rows: pl.DataFrame, value: str, city: City, rng: np.random.Generator) -> pl.DataFrame:
    """Return the rows as they arrive.

    By home and day, and behind them the late, the repeated and the corrected ones.

    value: the column that is corrected. A corrected row follows a wrong one of the same home and day; whoever
    reads the file from the top lets the last one win.
    """
    lot, delay = rng.random(rows.height), rng.integers(1, 10, rows.height)
    late = lot < LATE_SHARE * city.fault_scale
    restated = ~late & (lot < (LATE_SHARE + RESTATED_SHARE) * city.fault_scale)
    repeated = lot < (LATE_SHARE + RESTATED_SHARE + REPEATED_SHARE) * city.fault_scale
    repeated &= ~late & ~restated
    delayed = pl.min_horizontal(
        pl.col("day") + pl.duration(days=pl.lit(pl.Series(delay))), pl.lit(rows["day"].max())
    )
    behind = rows.with_columns(arrived=delayed).filter(pl.Series(late | restated | repeated))
    behind = behind.sort("arrived", "household_id", "day", maintain_order=True)
    too_low = pl.col(value) * 9 // 10
    in_order = rows.with_columns(
        pl.when(pl.Series(restated)).then(too_low).otherwise(pl.col(value)).alias(value)
    )
    return pl.concat([in_order.filter(pl.Series(~late)), behind])
