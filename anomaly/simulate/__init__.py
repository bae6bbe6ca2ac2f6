"""A synthetic city with known truth: homes, doors, water and power registers, and everything that makes life hard.

It knows nothing of the tool that will look at it: levels, spreads and faults are those measured on real homes.
"""

import numpy as np
import polars as pl

from anomaly.simulate.city import PRESETS, City, Days, city_days, standard
from anomaly.simulate.events import Event, apply_events, draw_events
from anomaly.simulate.exports import Fault, door_rows, register_rows
from anomaly.simulate.homes import Homes, draw_homes
from anomaly.simulate.settings import settings_text
from anomaly.simulate.signals import daily_use

__all__ = ["PRESETS", "City", "settings_text", "simulate", "standard"]


def simulate(city: City, seed: int) -> dict[str, pl.DataFrame]:
    """The exports and the truth of a city; the same city and seed give the same frames.

    - `households`: household_id, building, district, class, moved_in (null where unknown)
    - `entries`: household_id, day, entries, exits, arrived
    - `water`, `power`: household_id, day, reading (text, m3 and kWh, at the end of the day), arrived
    - `truth`: household_id ("" for the whole city), kind, first, last, size (people over people before, litre a day, kWh a day,
      degrees; null where it has none), target (whether a case is wanted)

    Rows stand in the order of a file; `arrived` is the day the export delivered a row, and not part of the export.
    """
    weather, register, happenings, effects, living, gateways, water, power = np.random.default_rng(
        seed
    ).spawn(8)
    days = city_days(city, weather)
    homes = draw_homes(city, register)
    events = draw_events(city, homes, days, happenings)
    use = daily_use(city, homes, days, apply_events(events, (city.homes, city.days), effects), living)
    door_frame, outages = door_rows(city, homes, days, use, gateways)
    water_frame, water_faults = register_rows("water", city, homes, days, use["water"], water)
    power_frame, power_faults = register_rows("power", city, homes, days, use["power"], power)
    return {
        "households": _households(homes, days),
        "entries": door_frame.select("household_id", "day", "entries", "exits", "arrived"),
        "water": water_frame.select("household_id", "day", "reading", "arrived"),
        "power": power_frame.select("household_id", "day", "reading", "arrived"),
        "truth": _truth(homes, days, events, outages + water_faults + power_faults),
    }


def _households(homes: Homes, days: Days) -> pl.DataFrame:
    moved = [days.dates[day] if day >= 0 else None for day in homes.moved_in]
    columns = {
        "household_id": homes.ids,
        "building": homes.building,
        "district": homes.district,
        "class": homes.use,
    }
    return pl.DataFrame(columns).with_columns(pl.Series("moved_in", moved, pl.Date))


def _truth(homes: Homes, days: Days, events: list[Event], faults: list[Fault]) -> pl.DataFrame:
    rows = [
        (homes.ids[e.home], e.kind.name, e.first, e.last, None if e.kind.away else e.size, e.kind.target)
        for e in events
    ]
    rows += [(homes.ids[fault.home], fault.kind, fault.first, fault.last, None, False) for fault in faults]
    rows += [("", kind, first, last, degrees, False) for kind, first, last, degrees in days.spells]
    moved = np.flatnonzero(homes.moved_in >= 0)
    rows += [
        (
            homes.ids[home],
            "move_in",
            homes.moved_in[home],
            homes.moved_in[home],
            1 / homes.before[home],
            False,
        )
        for home in moved
    ]
    table = [
        (str(home), kind, days.dates[a], days.dates[b], size and round(float(size), 2), target)
        for home, kind, a, b, size, target in rows
    ]
    schema = {
        "household_id": pl.String,
        "kind": pl.String,
        "first": pl.Date,
        "last": pl.Date,
        "size": pl.Float64,
        "target": pl.Boolean,
    }
    return pl.DataFrame(table, schema=schema, orient="row").sort("first", "household_id", "kind", "last")
