"""What looks like a failed sensor: a note for the technician, never a case.

Every rule asks what the home itself, or its building, usually does, on days before the odd stretch; a stretch that the
home's own past makes likely is no failure. Kind "count" is a door, every other kind a meter.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

DOOR_SILENT = "door silent while meters run: check the sensor"
GATEWAY_SILENT = "gateway of the building silent"
METER_STUCK = "meter stuck at zero while the door is busy"
METER_REPEATS = "meter repeats the same value"

FAULT_SCHEMA = {"night": pl.Date, "household": pl.String, "signal": pl.String, "reason": pl.String}

LOOK_BACK_DAYS = 120  # days that say what is usual; a failure can be noted until fewer than MIN_WORKING_DAYS working days are among them
MIN_WORKING_DAYS = 14  # days with a value above zero before the odd stretch
MIN_SILENT_DAYS = 3
MIN_REPEAT_DAYS = 7
RUNS = 0.5  # share of its usual from which a door or meter is said to run
BUILDING_HOMES = 4  # homes with doors from which a building can be said to be silent
BUILDING_SHARE = 0.8  # of them silent on the night
CHANCE = 1e-3  # what the earlier days of the home, or the building, make likelier than this is no failure


@dataclass(frozen=True)
class SensorReadings:
    """Readings as (S, H, T) arrays: value, NaN unknown (a contradicted zero is known), and lag, days until it was known."""

    households: Sequence[str]
    signals: Sequence[str]
    first: dt.date
    value: np.ndarray
    lag: np.ndarray

    def known(self, night: dt.date) -> np.ndarray:
        """(S, H, LOOK_BACK_DAYS) values as the night knew them, the night last."""
        last = (night - self.first).days
        at = np.arange(max(0, last - LOOK_BACK_DAYS + 1), last + 1)
        return np.where(self.lag[:, :, at] + at <= last, self.value[:, :, at], np.nan)


@dataclass(frozen=True)
class _Stretch:
    """The odd days up to the night and what was before them; arrays are (S, H).

    length: days of the run that ends at the night; working: earlier days above zero; chance: that a day is odd, from
    the earlier days (one odd and one other day more are counted, so that a short past promises little).
    """

    length: np.ndarray
    working: np.ndarray
    chance: np.ndarray

    def failed(self, least: int) -> np.ndarray:
        """(S, H) bool: at least so long, after enough working days, and not to be expected from them."""
        return (
            (self.length >= least) & (self.working >= MIN_WORKING_DAYS) & (self.chance**self.length < CHANCE)
        )


def find_sensor_faults(
    readings: pl.DataFrame, register: pl.DataFrame, kinds: Mapping[str, str], nights: Sequence[dt.date]
) -> pl.DataFrame:
    """night, household, signal, reason of what looked like a failed sensor on each night, one row at most for each.

    readings: tables.Readings and known_on, in any order; register: household, building (null: unknown); kinds: signal →
    "count", "usage" or "register". Each night knows the days on or before it, as far as they were known then.
    """
    nights = sorted(set(nights))
    empty = pl.DataFrame(schema=FAULT_SCHEMA)
    if not nights or readings.is_empty():
        return empty
    return find_sensor_faults_in_arrays(_days(readings, kinds, nights), register, kinds, nights)


def find_sensor_faults_in_arrays(
    days: SensorReadings, register: pl.DataFrame, kinds: Mapping[str, str], nights: Sequence[dt.date]
) -> pl.DataFrame:
    """`device_notes` of readings that are arrays already."""
    building = _buildings(register, days.households)
    doors = np.array([kinds[signal] == "count" for signal in days.signals], dtype=bool)
    found = [_night(days, night, doors, building) for night in nights]
    return pl.concat([pl.DataFrame(schema=FAULT_SCHEMA), *found]).sort("night", "household", "signal")


def homes_to_check(value: np.ndarray) -> np.ndarray:
    """(S, H, T) values as a night knew them → (H,) bool: homes of which something may be noted, but for their building's sake."""
    silent = ~(value[:, :, -MIN_SILENT_DAYS:] > 0).any(axis=2)
    recent = value[:, :, -MIN_REPEAT_DAYS:]
    same = (recent == recent[:, :, -1:]).all(axis=2) & (recent[:, :, -1] > 0)
    return (silent | same).any(axis=0)


def silent_buildings(silent: np.ndarray, working: np.ndarray, building: np.ndarray) -> np.ndarray:
    """(H,) bool: homes in a building that may have fallen silent.

    silent: doors that gave nothing tonight; working: doors with MIN_WORKING_DAYS days above zero; building: number, −1 unknown.
    """
    asked = working & (building >= 0)
    if not asked.any():
        return np.zeros(len(building), dtype=bool)
    homes, quiet = np.bincount(building[asked]), np.bincount(building[asked], silent[asked])
    down = (homes >= BUILDING_HOMES) & (quiet >= BUILDING_SHARE * homes)
    return (building >= 0) & np.append(down, False)[np.where(building < down.size, building, down.size)]


def _days(readings: pl.DataFrame, kinds: Mapping[str, str], nights: Sequence[dt.date]) -> SensorReadings:
    first = nights[0] - dt.timedelta(days=LOOK_BACK_DAYS - 1)
    # a zero that a busy door contradicts is doubtful as a use, and just what is looked for here
    believed = pl.col("quality").is_in(["read", "interpolated"]) | (
        (pl.col("quality") == "doubtful") & (pl.col("value") == 0)
    )
    rows = readings.filter(pl.col("day").is_between(first, nights[-1]) & pl.col("signal").is_in(list(kinds)))
    households, signals = rows["household"].unique().sort().to_list(), sorted(rows["signal"].unique())
    cells = rows.filter(believed & pl.col("value").is_not_null()).select(
        "value",
        pl.col("signal").cast(pl.Enum(signals)).to_physical(),
        pl.col("household").cast(pl.Enum(households)).to_physical(),
        at=(pl.col("day") - first).dt.total_days(),
        lag=(pl.col("known_on") - pl.col("day")).dt.total_days().clip(0, 32_000),
    )
    shape = (len(signals), len(households), (nights[-1] - first).days + 1)
    value, lag = np.full(shape, np.nan), np.zeros(shape, dtype=np.int16)
    box = tuple(cells[name].to_numpy() for name in ("signal", "household", "at"))
    value[box], lag[box] = cells["value"].to_numpy(), cells["lag"].to_numpy()
    return SensorReadings(households, signals, first, value, lag)


def _buildings(register: pl.DataFrame, households: Sequence[str]) -> np.ndarray:
    """(H,) number of each home's building, −1 where unknown."""
    place = dict(
        register.filter(pl.col("household").is_in(list(households)))
        .select("household", "building")
        .iter_rows()
    )
    number = {name: i for i, name in enumerate(sorted({b for b in place.values() if b is not None}))}
    return np.array([number.get(place.get(household), -1) for household in households], dtype=np.int64)


def _night(days: SensorReadings, night: dt.date, doors: np.ndarray, building: np.ndarray) -> pl.DataFrame:
    value = days.known(night)
    known = ~np.isnan(value)
    silent = _stretch(
        ~(value > 0), np.logical_or.accumulate(known, axis=2), value
    )  # zero or missing, once there was a day
    zero = _stretch(value == 0, known, value)
    same = _stretch(*_repeats(value), value)
    busy = _runs(value[doors], MIN_SILENT_DAYS)
    # where nothing at all came from a signal, its source is what is missing
    came = doors & known[:, :, -1].any(axis=1)
    mark = np.full(value.shape[:2], None, dtype=object)
    mark[same.failed(MIN_REPEAT_DAYS - 1) & ~doors[:, None]] = METER_REPEATS
    mark[zero.failed(MIN_SILENT_DAYS) & ~doors[:, None] & (busy == 1).any(axis=0)] = METER_STUCK
    mark[silent.failed(MIN_SILENT_DAYS) & came[:, None] & _running(value[~doors], MIN_SILENT_DAYS)] = (
        DOOR_SILENT
    )
    # a building whose people are away is not one whose gateway is down; a gateway may take the meters with it
    away = ~_running(value[~doors], 1) & known[~doors, :, -1].any(axis=0)
    for s in np.flatnonzero(came):
        at = np.flatnonzero((silent.working[s] >= MIN_WORKING_DAYS) & (building >= 0))
        mark[s, at[_gateway(silent.length[s, at] > 0, silent.chance[s, at], away[at], building[at])]] = (
            GATEWAY_SILENT
        )
    s, h = np.nonzero(mark.astype(bool))
    rows = {
        "household": [days.households[i] for i in h],
        "signal": [days.signals[i] for i in s],
        "reason": mark[s, h].tolist(),
    }
    told = pl.DataFrame(rows, schema={name: FAULT_SCHEMA[name] for name in rows})
    return told.select(pl.lit(night).alias("night"), *rows)


def _stretch(odd: np.ndarray, asked: np.ndarray, value: np.ndarray) -> _Stretch:
    """odd: (S, H, T) bool; asked: days on which a day could have been odd."""
    last = value.shape[2]
    length = np.where(odd.all(axis=2), last, (~odd[:, :, ::-1]).argmax(axis=2))
    before = np.arange(last) < (last - length)[:, :, None]
    odds, days = (odd & asked & before).sum(axis=2), (asked & before).sum(axis=2)
    return _Stretch(length, ((value > 0) & before).sum(axis=2), (odds + 1) / (days + 2))


def _repeats(value: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Days that repeat the day before, above zero; and days on which that can be asked."""
    same, pair = np.zeros(value.shape, dtype=bool), np.zeros(value.shape, dtype=bool)
    same[:, :, 1:] = (value[:, :, 1:] == value[:, :, :-1]) & (value[:, :, 1:] > 0)
    pair[:, :, 1:] = ~np.isnan(value[:, :, 1:] + value[:, :, :-1])
    return same, pair


def _runs(value: np.ndarray, days: int) -> np.ndarray:
    """(S, H): 1 where the mean of the last days is at least RUNS of the mean before, 0 where it is less, NaN unknown."""
    recent, before = _mean(value[:, :, -days:]), _mean(value[:, :, :-days])
    enough = (value[:, :, :-days] > 0).sum(axis=2) >= MIN_WORKING_DAYS
    return np.where(enough & ~np.isnan(recent), (recent >= RUNS * before).astype(float), np.nan)


def _running(meters: np.ndarray, days: int) -> np.ndarray:
    """(H,) bool: at least one meter is known to run as usual, and none is known not to."""
    runs = _runs(meters, days)
    return (runs == 1).any(axis=0) & ~(runs == 0).any(axis=0)


def _mean(value: np.ndarray) -> np.ndarray:
    """Mean of the known days, NaN where none is."""
    days = (~np.isnan(value)).sum(axis=2)
    return np.where(days > 0, np.nansum(value, axis=2) / np.maximum(days, 1), np.nan)


def _gateway(silent: np.ndarray, chance: np.ndarray, away: np.ndarray, building: np.ndarray) -> np.ndarray:
    """Which of the homes with a working door are silent because their building is; all arrays (homes,)."""
    if building.size == 0:
        return silent
    homes, quiet = np.bincount(building), np.bincount(building, silent)
    usual = np.bincount(building, chance) / np.maximum(homes, 1)
    down = (homes >= BUILDING_HOMES) & (quiet >= BUILDING_SHARE * homes) & (usual**quiet < CHANCE)
    down &= 2 * np.bincount(building, silent & away) <= quiet
    return silent & down[building]
