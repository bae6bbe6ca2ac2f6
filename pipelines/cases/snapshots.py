"""Snapshots: what a night knew of its cases, written down when it was judged and never worked out again.

Numbers, not words: the cases not closed that night as it saw them (`cases`), the last weeks of their homes'
readings beside what was expected (`series`), the minimum flow of each night (`flow`), the control doors, and
the version and settings that made them. Later data, later settings and later answers leave them alone.
"""

import datetime as dt
from collections.abc import Collection, Sequence

import numpy as np
import polars as pl

from anomaly import __version__, cases
from anomaly.expected import Expectation, expected_frame
from anomaly.outcomes import CONTROL, draw_control_doors
from anomaly.readings import has_night_flow, minimum_night_flow
from pipelines.cases.build import with_reasons
from pipelines.config.settings import Settings
from pipelines.ingest.inputs import Inputs
from pipelines.scoring.night import FROZEN_DAYS, JudgedNights
from pipelines.storage.partitions import collect
from pipelines.storage.raw_rows import RawRows, concat_rows, scan_rows
from pipelines.storage.state import Store

FLOW_DAYS = 84
FLOW_SCHEMA = {"household": pl.String, "signal": pl.String, "day": pl.Date, "flow": pl.Int64}
SERIES_COLUMNS = (
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
_CONTROL_SCHEMA = {"night": pl.Date, "case_id": pl.String, "household": pl.String, "district": pl.String}


def write_snapshots(
    settings: Settings,
    store: Store,
    inputs: Inputs,
    judged_nights: JudgedNights,
    history: cases.CaseHistory,
    nights: Sequence[dt.date],
) -> None:
    """Write down what each of the nights knew. history: built with these as its snapshot_nights."""
    for night in nights:
        folder = f"nights/{night}"
        case_frame = _cases_with_their_doors(history, night)
        with_case = set(case_frame["household"])
        with_evidence = set(store.read(f"{folder}/evidence.parquet")["household"])
        homes = sorted(with_case | with_evidence)
        # the arrays hold homes with a case; what was expected of the others is in the night's own file
        of_others = store.read(f"{folder}/expected.parquet")
        series = readings_with_expected(inputs, judged_nights.expected, homes, night, more_expected=of_others)
        store.write(f"{folder}/cases.parquet", case_frame)
        store.write(f"{folder}/series.parquet", series)
        store.write(f"{folder}/flow.parquet", _minimum_flows(settings, store, inputs, homes, night))
        store.write_json(
            f"{folder}/frozen.json", {"version": __version__, "settings_sha256": settings.sha256}
        )
        control = _draw_control_doors(settings, inputs, judged_nights, night, with_case)
        store.write(f"{folder}/control.parquet", control)


def readings_with_expected(
    inputs: Inputs,
    expected: Expectation,
    homes: Collection[str],
    night: dt.date,
    more_expected: pl.DataFrame | None = None,
    days: int = FROZEN_DAYS,
) -> pl.DataFrame:
    """Return SERIES_COLUMNS of the homes' last days, by household, signal and day, as the night knew them.

    A value that only a later reading confirmed is null and its quality doubtful. expected: of the
    homes on the days up to the night; more_expected: of homes that it lacks, what the night wrote down
    (`nights/<night>/expected.parquet`).
    """
    grid = expected.grid
    rows = np.flatnonzero(np.isin(np.array(grid.households, dtype=str), list(homes)))
    frame = expected_frame(expected, grid.index(night), rows, days).drop("value")
    if more_expected is not None:
        others = more_expected.filter(~pl.col("household").is_in(grid.households)).drop("value")
        frame = pl.concat([frame, others])
    readings = inputs.readings_of(list(homes), night - dt.timedelta(days=days - 1), night)
    not_known_yet = pl.col("known_on") > night
    readings = readings.with_columns(
        value=pl.when(~not_known_yet).then("value"),
        quality=pl.when(not_known_yet).then(pl.lit("doubtful")).otherwise("quality"),
    )
    both = readings.join(frame, on=["household", "signal", "day"], how="left")
    return both.sort("household", "signal", "day").select(SERIES_COLUMNS)


def read_snapshot(store: Store, night: dt.date, name: str) -> pl.DataFrame:
    """Read the night's `cases`, `series` or `flow`; an empty frame where it wrote none."""
    if store.path(f"nights/{night}/{name}.parquet").exists():
        return store.read(f"nights/{night}/{name}.parquet")
    return pl.DataFrame(schema=dict.fromkeys(("case_id", "household", "signal"), pl.String))


def find_case(store: Store, name: str, night: dt.date) -> dict | None:
    """Return the case of that code, or the latest of that home, among those not closed on the night."""
    found = read_snapshot(store, night, "cases")
    if found.is_empty():
        return None
    found = found.filter((pl.col("case_id") == name) | (pl.col("household") == name))
    return found.sort("opened", "case_id").row(-1, named=True) if found.height else None


def last_night_with_case(store: Store, name: str) -> dt.date | None:
    """Return the last judged night that had this case, or a case of this home, open."""
    return next((night for night in reversed(store.judged_nights()) if find_case(store, name, night)), None)


def _cases_with_their_doors(history: cases.CaseHistory, night: dt.date) -> pl.DataFrame:
    """Return the night's cases with their reasons, and rank, desk and chances of those on its list."""
    doors = history.worklist.filter(pl.col("night") == night).select(
        "case_id", "rank", "desk", "chance_before", rarity_night="rarity", corrected="chance_wrong"
    )
    case_frame = with_reasons(history.snapshots[night]).join(
        doors, on="case_id", how="left", maintain_order="left"
    )
    # a listed case has the chance its list promised, corrected by what outcomes have taught
    return case_frame.with_columns(chance_wrong=pl.coalesce("corrected", "chance_wrong")).drop("corrected")


def _minimum_flows(
    settings: Settings, store: Store, inputs: Inputs, homes: Collection[str], night: dt.date
) -> pl.DataFrame:
    """Return the minimum flow of each of the last nights, of water meters read more often than daily."""
    numbers = inputs.stored.home_numbers().filter(pl.col("household").is_in(list(homes)))
    first = night - dt.timedelta(days=FLOW_DAYS - 1)
    flows = [pl.DataFrame(schema=FLOW_SCHEMA)]
    # the night of the first day begins on the evening before
    finer = ~pl.col("dated") & pl.col("time").dt.date().is_between(first - dt.timedelta(days=1), night)
    for name, rule in settings.rules.items():
        if not has_night_flow(rule):
            continue
        partitions = [
            one for one in RawRows(store, name).partitions() if one.last >= first and one.first <= night
        ]
        found = [collect(scan_rows(one, numbers["home"]).filter(finer), [one]) for one in partitions]
        if not found:
            continue
        rows = concat_rows(found)
        key = ["home", "time", *(name for name in ("meter",) if name in rows.columns)]
        rows = rows.unique(key, keep="last", maintain_order=True)
        flow = minimum_night_flow(rows.join(numbers, on="home"), rule).filter(pl.col("day") >= first)
        flows.append(flow.with_columns(signal=pl.lit(name)).select(FLOW_SCHEMA.keys()))
    return pl.concat(flows)


def _draw_control_doors(
    settings: Settings,
    inputs: Inputs,
    judged_nights: JudgedNights,
    night: dt.date,
    with_case: Collection[str],
) -> pl.DataFrame:
    """Draw judged homes without an open case at random (tables.Control)."""
    with_case = set(with_case)
    homes = [home for home in judged_nights.judged_households(night) if home not in with_case]
    drawn = draw_control_doors(homes, night, settings.control.doors_per_night)
    districts = dict(inputs.dwellings.filter(pl.col("household").is_in(drawn)).iter_rows())
    rows = [
        (night, "k" + cases.make_case_id(home, CONTROL, night)[1:], home, districts[home]) for home in drawn
    ]
    return pl.DataFrame(rows, schema=_CONTROL_SCHEMA, orient="row")
