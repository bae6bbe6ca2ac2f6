"""Small made-up sites as readings and grids, for the tests of what is expected, of the detectors and of the
evidence."""

from datetime import date, timedelta

import numpy as np
import polars as pl

from anomaly.expected import make_grid

FIRST = date(2025, 1, 1)  # a Wednesday
UNITS = {"entries": "count", "water": "litre", "power": "Wh", "gas": "cent"}
READINGS = {
    "household": pl.String,
    "signal": pl.String,
    "day": pl.Date,
    "value": pl.Int64,
    "unit": pl.String,
    "quality": pl.String,
    "known_on": pl.Date,
}


def day(index):
    return FIRST + timedelta(days=int(index))


def calendar(days):
    """Plain weeks, no holiday."""
    all_days = [day(t) for t in range(days)]
    return pl.DataFrame(
        {"day": all_days, "weekday": [d.weekday() for d in all_days]},
        schema={"day": pl.Date, "weekday": pl.Int8},
    )


def readings(series, late=None):
    """{(household, signal): [a value a day, None: not known]} to readings; late: {(household, signal, day
    index): days}."""
    late = late or {}
    rows = [
        (
            household,
            signal,
            day(t),
            None if value is None else int(value),
            UNITS[signal],
            "missing" if value is None else "read",
        )
        + (day(t + late.get((household, signal, t), 0)),)
        for (household, signal), values in series.items()
        for t, value in enumerate(values)
    ]
    return pl.DataFrame(rows, schema=READINGS, orient="row")


def grid_of(series, late=None, districts=None):
    """Those readings as a grid over their own days."""
    districts = districts or dict.fromkeys(household for household, _ in series)
    return make_grid(readings(series, late), calendar(max(map(len, series.values()), default=0)), districts)


def city(homes, days, seed=0, signals=("entries", "water", "power")):
    """{(household, signal): (days,) array}: ordinary homes, each with its level, week and noise, all with the
    season."""
    rng = np.random.default_rng(seed)
    season = 1 + 0.2 * np.sin(2 * np.pi * np.arange(days) / 365)
    week = np.where((np.arange(days) + FIRST.weekday()) % 7 >= 5, 1.15, 1.0)
    level = {"entries": 8.0, "water": 250.0, "power": 8000.0, "gas": 300.0}
    out = {}
    for h in range(homes):
        home = rng.lognormal(0.0, 0.3)
        for signal in signals:
            mean = level[signal] * home * season * week * rng.lognormal(0.0, 0.2, days)
            out[f"{h:04d}", signal] = (
                rng.poisson(mean) if signal == "entries" else np.round(mean).astype(np.int64)
            )
    return out
