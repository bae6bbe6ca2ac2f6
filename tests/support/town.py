"""A town of a few hundred homes with much that is odd, to be judged with everybody in the sample or with a
part of it."""

import datetime as dt
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import polars as pl

from tests.support.site import FIRST, SIGNALS, VALUE, Site, daily, rows

HOMES = 260


def town(
    root: Path,
    sample: int | None = None,
    days: int = 90,
    over: Mapping[int, int] = MappingProxyType({}),
    giving: tuple[int, ...] = (),
) -> Site:
    """A register of districts, buildings, shops and a silent home; young homes, a failed sensor, a building
    without gateway but for the doors of `giving`."""
    root.mkdir()
    site = Site(root)
    site.configure(
        {name: SIGNALS[name] for name in SIGNALS},
        more='[households]\nfiles = "homes.csv"\ncolumns = { household = "id", district = "d", building = "b", class = "use" }\n',
    )
    if sample is not None:
        site.change("[households]", f"[engine]\nsample_homes = {sample}\n\n[households]")
    site.put(
        "homes.csv",
        "id,d,b,use\n"
        + "".join(
            f"{h:04},{'ABC'[h % 3]},{h // 10},{'shop' if h == 9 else 'dwelling'}\n" for h in range(HOMES + 1)
        ),
    )
    for name, values in daily(HOMES, days).items():
        for home, ago in over.items():
            values[home, days - ago - 14 : days - ago] *= 3
        home, nothing = pl.col("id").cast(pl.Int64), pl.lit(False)
        frame, value = rows(name, values), VALUE[name]
        stuck = (home == 30) & _last(6, days) if name == "entries" else nothing
        lost = (home == 15) | ((home % 20 == 3) & ~_last(12, days))
        lost |= (
            (home == 14) & _last(10, days)
            if name == "power"
            else (home // 10 == 4) & ~home.is_in(giving) & _last(4, days)
            if name == "entries"
            else nothing
        )
        site.put(
            f"{name}.csv",
            frame.with_columns(pl.when(stuck).then(pl.lit("0")).otherwise(value).alias(value)).filter(~lost),
        )
    return site


def _last(number: int, days: int) -> pl.Expr:
    return pl.col("day") >= str(FIRST + dt.timedelta(days=days - number))
