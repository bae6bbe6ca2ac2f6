"""What a night knew of its cases, written down when it was judged and never worked out again.

Numbers, not words: the cases not closed that night as it saw them, the last weeks of their homes' readings beside what was
expected, and the version and settings that made them. Later data, later settings and later answers leave them alone.
"""

import datetime as dt
from collections.abc import Sequence

import numpy as np
import polars as pl

from anomaly import __version__, cases
from anomaly.expected import expected_frame, judged
from anomaly.outcomes import CONTROL, draw_control_doors
from anomaly.readings import minimum_night_flow
from pipelines.cases.build import worded
from pipelines.config.settings import Settings
from pipelines.ingest.loader import Inputs
from pipelines.scoring.night import FROZEN_DAYS, JudgedNights
from pipelines.storage.partitions import collect, scan
from pipelines.storage.raw_rows import RawRows
from pipelines.storage.state import Store

FLOW_DAYS = 84
FLOW = {"household": pl.String, "signal": pl.String, "day": pl.Date, "flow": pl.Int64}


def freeze(
    settings: Settings,
    store: Store,
    inputs: Inputs,
    judged_nights: JudgedNights,
    folded: cases.CaseHistory,
    nights: Sequence[dt.date],
) -> None:
    """Write down what each of the nights knew; `folded` has watched them."""
    for night in nights:
        then = worded(folded.snapshots[night])
        doors = folded.worklist.filter(pl.col("night") == night)
        then = then.join(
            doors.select(
                "case_id", "rank", "desk", "chance_before", rarity_night="rarity", corrected="chance_wrong"
            ),
            on="case_id",
            how="left",
        )
        then = then.with_columns(chance_wrong=pl.coalesce("corrected", "chance_wrong")).drop("corrected")
        seen = store.read(f"nights/{night}/evidence.parquet")["household"].to_list()
        homes = sorted({*then["household"], *seen})
        store.write(f"nights/{night}/cases.parquet", then)
        written = store.read(
            f"nights/{night}/expected.parquet"
        )  # at a large site the arrays lack who stood out on that night alone
        store.write(f"nights/{night}/series.parquet", series(inputs, judged_nights, homes, night, written))
        store.write(f"nights/{night}/flow.parquet", _flow(settings, store, inputs, homes, night))
        store.write_json(
            f"nights/{night}/frozen.json", {"version": __version__, "settings_sha256": settings.sha256}
        )
        store.write(
            f"nights/{night}/control.parquet",
            _control(settings, store, inputs, judged_nights, night, {*then["household"]}),
        )


def series(
    inputs: Inputs,
    judged_nights: JudgedNights,
    homes: Sequence[str],
    night: dt.date,
    written: pl.DataFrame | None = None,
    days: int = FROZEN_DAYS,
) -> pl.DataFrame:
    """household, signal, unit, day, value, expected, low, high, surprise, quality, note of the homes' last days, as the night knew them.

    written: the same of homes that may not be in the verdicts' arrays, from `expected` on, as the night wrote it down.
    """
    grid = judged_nights.expected.grid
    at = np.flatnonzero(np.isin(np.array(grid.households, dtype=str), list(homes)))
    told = expected_frame(judged_nights.expected, grid.index(night), at, days).drop("value")
    if written is not None:
        told = pl.concat([told, written.filter(~pl.col("household").is_in(grid.households)).drop("value")])
    first = night - dt.timedelta(days=days - 1)
    read = inputs.readings_of(homes, first, night)
    unknown = pl.col("known_on") > night  # what had not been confirmed by then is not shown as if it had
    read = read.with_columns(
        value=pl.when(~unknown).then("value"),
        quality=pl.when(unknown).then(pl.lit("doubtful")).otherwise("quality"),
    )
    both = read.join(told, on=["household", "signal", "day"], how="left").sort("household", "signal", "day")
    return both.select(
        "household",
        "signal",
        "unit",
        "day",
        "value",
        "expected",
        "low",
        "high",
        "surprise",
        "quality",
        "note",
    )


def _flow(
    settings: Settings, store: Store, inputs: Inputs, homes: Sequence[str], night: dt.date
) -> pl.DataFrame:
    """FLOW: the least flow of each of the last nights, of the homes' water meters that are read more often than daily."""
    numbers = inputs.stored.homes().filter(pl.col("household").is_in(list(homes)))
    first, told = night - dt.timedelta(days=FLOW_DAYS - 1), [pl.DataFrame(schema=FLOW)]
    for name, rule in settings.rules.items():
        parts = [
            part
            for part in RawRows(store, name).partitions()
            if rule.base == "litre" and part.last >= first and part.first <= night
        ]
        finer = ~pl.col("dated") & pl.col("time").dt.date().is_between(first - dt.timedelta(days=1), night)
        found = [collect(scan([part], numbers["home"]).filter(finer), [part]) for part in parts]
        if found:
            rows = (
                pl.concat(found)
                .unique(["home", "time"], keep="last", maintain_order=True)
                .join(numbers, on="home")
            )
            told.append(
                minimum_night_flow(rows, rule)
                .filter(pl.col("day") >= first)
                .with_columns(signal=pl.lit(name))
                .select(FLOW.keys())
            )
    return pl.concat(told)


def frozen_case(store: Store, name: str, night: dt.date) -> dict | None:
    """The case of that code, or the home's latest, among those not closed on the night; None where there is none."""
    found = frozen(store, night, "cases")
    if found.is_empty():
        return None
    found = found.filter((pl.col("case_id") == name) | (pl.col("household") == name)).sort(
        "opened", "case_id"
    )
    return found.row(-1, named=True) if found.height else None


def last_night_of(store: Store, name: str) -> dt.date | None:
    """The last judged night that had this case, or a case of this home, open."""
    return next((night for night in reversed(store.judged_nights()) if frozen_case(store, name, night)), None)


def frozen(store: Store, night: dt.date, what: str) -> pl.DataFrame:
    """The night's frozen `cases` or `series`, empty where it froze none."""
    if store.path(f"nights/{night}/{what}.parquet").exists():
        return store.read(f"nights/{night}/{what}.parquet")
    return pl.DataFrame(schema=dict.fromkeys(("case_id", "household", "signal"), pl.String))


def _control(
    settings: Settings,
    store: Store,
    inputs: Inputs,
    judged_nights: JudgedNights,
    night: dt.date,
    with_case: set[str],
) -> pl.DataFrame:
    """tables.Control: judged homes without an open case, drawn at random."""
    grid, places = judged_nights.expected.grid, inputs.dwellings
    if len(grid.households) == places.height:
        seen = judged(judged_nights.expected, grid.index(night)).any(axis=0)
        could = [
            home
            for home, looked_at in zip(grid.households, seen, strict=True)
            if looked_at and home not in with_case
        ]
    else:  # at a large site the arrays hold only homes that stand out: of the others those that were judged by every signal
        not_all = pl.concat(
            [
                store.read(f"nights/{night}/not_judged.parquet")["household"],
                pl.Series(list(with_case), dtype=pl.String),
            ]
        )
        could = places.filter(~pl.col("household").is_in(not_all.implode()))["household"].to_list()
    drawn = draw_control_doors(could, night, settings.control.doors_per_night)
    where = dict(places.filter(pl.col("household").is_in(drawn)).iter_rows())
    rows = [(night, "k" + cases.make_case_id(home, CONTROL, night)[1:], home, where[home]) for home in drawn]
    return pl.DataFrame(
        rows,
        schema={"night": pl.Date, "case_id": pl.String, "household": pl.String, "district": pl.String},
        orient="row",
    )
