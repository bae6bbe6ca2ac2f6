"""Simulate a city with known truth: homes, doors, water and power registers, and faulty data.

The order, each step a module and a function of a random stream of its own:

1. `city`: the parameters of the city (`City`), its calendar and weather (`draw_days`).
2. `homes`: where homes are, who lives there and what each usually uses (`draw_homes`).
3. `events`: surges, leaks and the ordinary causes that look like them (`draw_events`), and their effects on
   the signals (`combine_effects`).
4. `daily_use`: what each home truly uses on each day (`draw_daily_use`).
5. `exports`: what doors and registers show of it, faults included (`export_doors`, `export_register`).

`settings` is the settings file that goes with a city. Nothing here knows the tool that will look at the city:
levels, spreads and faults are those measured on real homes.
"""

from collections.abc import Iterator

import numpy as np
import polars as pl

from anomaly.simulate.city import PRESETS, City, CityDays, draw_days, standard_city
from anomaly.simulate.daily_use import draw_daily_use
from anomaly.simulate.events import Event, combine_effects, draw_events
from anomaly.simulate.exports import DataFault, export_doors, export_register
from anomaly.simulate.homes import Homes, draw_homes
from anomaly.simulate.settings import settings_text

__all__ = ["PRESETS", "City", "settings_text", "simulate", "standard_city"]

TRUTH_SCHEMA = {
    "household_id": pl.String,
    "kind": pl.String,
    "first": pl.Date,
    "last": pl.Date,
    "size": pl.Float64,
    "target": pl.Boolean,
}


def simulate(city: City, seed: int) -> dict[str, pl.DataFrame]:
    """Return the exports and the truth of a city; the same city and seed give the same frames.

    - `households`: household_id, building, district, class, moved_in (null where unknown)
    - `entries`: household_id, day, entries, exits, arrived
    - `water`, `power`: household_id, day, reading (text, m3 and kWh, at the end of the day), arrived
    - `truth`: household_id ("" for the whole city), kind, first, last, size (people over people before, litre
      a day, kWh a day, degrees; null where it has none), target (whether a case is wanted)

    Rows stand in the order of a file; `arrived` is the day the export delivered a row, and not part of the
    export.
    """
    streams = np.random.default_rng(seed).spawn(8)
    weather_rng, home_rng, event_rng, effect_rng, use_rng, door_rng, water_rng, power_rng = streams
    days = draw_days(city, weather_rng)
    homes = draw_homes(city, home_rng)
    events = draw_events(city, homes, days, event_rng)
    effects = combine_effects(events, city.homes, city.days, effect_rng)
    use = draw_daily_use(city, homes, days, effects, use_rng)
    entries, outages = export_doors(city, homes, days, use, door_rng)
    water, water_faults = export_register("water", city, homes, days, use["water"], water_rng)
    power, power_faults = export_register("power", city, homes, days, use["power"], power_rng)
    return {
        "households": _household_register(homes, days),
        "entries": entries,
        "water": water,
        "power": power,
        "truth": _truth(homes, days, events, outages + water_faults + power_faults),
    }


def _household_register(homes: Homes, days: CityDays) -> pl.DataFrame:
    moved_in = [days.dates[day] if day >= 0 else None for day in homes.moved_in]
    return pl.DataFrame(
        {
            "household_id": homes.ids,
            "building": homes.building,
            "district": homes.district,
            "class": homes.dwelling_class,
            "moved_in": pl.Series(moved_in, dtype=pl.Date),
        }
    )


def _truth(homes: Homes, days: CityDays, events: list[Event], faults: list[DataFault]) -> pl.DataFrame:
    """Return TRUTH_SCHEMA: events, faults of the data, spells of weather and changes of tenants."""

    def rows() -> Iterator[tuple[str, str, int, int, float | None, bool]]:
        for event in events:
            size = None if event.kind.away else event.size
            yield homes.ids[event.home], event.kind.name, event.first, event.last, size, event.kind.target
        for fault in faults:
            yield homes.ids[fault.home], fault.kind, fault.first, fault.last, None, False
        for spell in days.spells:
            yield "", spell.kind, spell.first, spell.last, spell.degrees, False
        for home in np.flatnonzero(homes.moved_in >= 0):
            day = homes.moved_in[home]
            yield homes.ids[home], "move_in", day, day, 1 / homes.former_level[home], False

    table = [
        (str(home), kind, days.dates[first], days.dates[last], size and round(float(size), 2), target)
        for home, kind, first, last, size, target in rows()
    ]
    return pl.DataFrame(table, schema=TRUTH_SCHEMA, orient="row").sort(
        "first", "household_id", "kind", "last"
    )
