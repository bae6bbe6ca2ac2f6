"""Find what looks like a failed sensor: a note for the technician, never a case.

Every rule asks what the home itself, or its building, usually does, on days before the odd stretch; a stretch
that the home's own past makes likely is no failure. Kind "count" is a door, every other kind a meter. The
rules are in `_faults_of_night`.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from anomaly.tables import JUDGED_QUALITIES, MAX_LAG

DOOR_SILENT = "door silent while meters run: check the sensor"
GATEWAY_SILENT = "gateway of the building silent"
METER_STUCK = "meter stuck at zero while the door is busy"
METER_REPEATS = "meter repeats the same value"

FAULT_SCHEMA = {"night": pl.Date, "household": pl.String, "signal": pl.String, "reason": pl.String}

LOOK_BACK_DAYS = (
    120  # that say what is usual; a failure is noted until fewer than MIN_WORKING_DAYS are among them
)
MIN_WORKING_DAYS = 14  # days with a value above zero before the odd stretch
MIN_SILENT_DAYS = 3
MIN_REPEAT_DAYS = 7
RUNNING_SHARE = 0.5  # of its usual, from which a door or meter runs
MIN_BUILDING_DOORS = 4  # from which a building can be called silent
SILENT_BUILDING_SHARE = 0.8  # of them silent on the night
MAX_CHANCE = 1e-3  # what the earlier days of the home, or the building, make likelier than this is no failure


@dataclass(frozen=True)
class SensorReadings:
    """Readings of S signals of H households on T days from `first_day` on.

    value: (S, H, T) float, NaN unknown; a zero that the doors contradict is known here. lag: (S, H, T) days
    until it was known.
    """

    households: Sequence[str]
    signals: Sequence[str]
    first_day: dt.date
    value: np.ndarray
    lag: np.ndarray

    def known_on(self, night: dt.date) -> np.ndarray:
        """Return the (S, H, up to LOOK_BACK_DAYS) values that the night knew, the night last."""
        last = (night - self.first_day).days
        day = np.arange(max(0, last - LOOK_BACK_DAYS + 1), last + 1)
        return np.where(self.lag[:, :, day] + day <= last, self.value[:, :, day], np.nan)


@dataclass(frozen=True)
class _OddStretches:
    """The odd days up to the night, and what was before them; arrays are (S, H).

    length: days of the run that ends at the night. working_days: earlier days above zero. chance: that a day
    is odd, from the earlier days (one odd and one other day more are counted, so that a short past promises
    little).
    """

    length: np.ndarray
    working_days: np.ndarray
    chance: np.ndarray

    def is_failure(self, min_days: int) -> np.ndarray:
        """Return (S, H) bool: long enough, after enough working days, and unlikely from them."""
        is_unlikely = self.chance**self.length < MAX_CHANCE
        return (self.length >= min_days) & (self.working_days >= MIN_WORKING_DAYS) & is_unlikely


def find_sensor_faults(
    readings: pl.DataFrame, register: pl.DataFrame, kinds: Mapping[str, str], nights: Sequence[dt.date]
) -> pl.DataFrame:
    """Return what looked like a failed sensor on each night (FAULT_SCHEMA).

    At most one row a signal of a household and night.

    readings: tables.Readings and known_on, in any order. register: household, building (null: unknown).
    kinds: signal → "count", "usage" or "register". Each night knows the days on or before it, as far as they
    were known then.
    """
    nights = sorted(set(nights))
    if not nights or readings.is_empty():
        return pl.DataFrame(schema=FAULT_SCHEMA)
    arrays = _to_arrays(readings, kinds, nights[0], nights[-1])
    return find_sensor_faults_in_arrays(arrays, register, kinds, nights)


def find_sensor_faults_in_arrays(
    readings: SensorReadings, register: pl.DataFrame, kinds: Mapping[str, str], nights: Sequence[dt.date]
) -> pl.DataFrame:
    """Return the same as `find_sensor_faults` of readings that are arrays already."""
    building = building_numbers(register, readings.households)
    is_door = np.array([kinds[signal] == "count" for signal in readings.signals], dtype=bool)
    found = [_faults_of_night(readings, night, is_door, building) for night in nights]
    return pl.concat([pl.DataFrame(schema=FAULT_SCHEMA), *found]).sort("night", "household", "signal")


def homes_to_check(value: np.ndarray) -> np.ndarray:
    """Return (H,) bool: homes in which something may have failed, whatever their building does.

    value: (S, H, T) as the night knew them, the night last.
    """
    is_silent = ~(value[:, :, -MIN_SILENT_DAYS:] > 0).any(axis=2)
    recent = value[:, :, -MIN_REPEAT_DAYS:]
    repeats = (recent == recent[:, :, -1:]).all(axis=2) & (recent[:, :, -1] > 0)
    return (is_silent | repeats).any(axis=0)


def silent_buildings(silent: np.ndarray, working: np.ndarray, building: np.ndarray) -> np.ndarray:
    """Return (H,) bool: homes in a building that may have fallen silent; all arrays are (H,).

    silent: the door gave nothing tonight. working: it has MIN_WORKING_DAYS above zero. building: number, −1
    unknown.
    """
    counted = working & (building >= 0)
    if not counted.any():
        return np.zeros(len(building), dtype=bool)
    doors, silent_doors = np.bincount(building[counted]), np.bincount(building[counted], silent[counted])
    is_down = (doors >= MIN_BUILDING_DOORS) & (silent_doors >= SILENT_BUILDING_SHARE * doors)
    # buildings without a counted door have no place in `is_down`: they get the one added at its end
    place = np.where(building < is_down.size, building, is_down.size)
    return (building >= 0) & np.append(is_down, False)[place]


def _to_arrays(
    readings: pl.DataFrame, kinds: Mapping[str, str], first_night: dt.date, last_night: dt.date
) -> SensorReadings:
    first_day = first_night - dt.timedelta(days=LOOK_BACK_DAYS - 1)
    # a zero that a busy door contradicts is doubtful as a use, and just what is looked for here
    is_contradicted_zero = (pl.col("quality") == "doubtful") & (pl.col("value") == 0)
    is_known = pl.col("quality").is_in(JUDGED_QUALITIES) | is_contradicted_zero
    rows = readings.filter(
        pl.col("day").is_between(first_day, last_night) & pl.col("signal").is_in(list(kinds))
    )
    households, signals = rows["household"].unique().sort().to_list(), sorted(rows["signal"].unique())
    cells = rows.filter(is_known & pl.col("value").is_not_null()).select(
        "value",
        pl.col("signal").cast(pl.Enum(signals)).to_physical(),
        pl.col("household").cast(pl.Enum(households)).to_physical(),
        at=(pl.col("day") - first_day).dt.total_days(),
        lag=(pl.col("known_on") - pl.col("day")).dt.total_days().clip(0, MAX_LAG),
    )
    shape = (len(signals), len(households), (last_night - first_day).days + 1)
    value, lag = np.full(shape, np.nan), np.zeros(shape, dtype=np.int16)
    place = tuple(cells[name].to_numpy() for name in ("signal", "household", "at"))
    value[place], lag[place] = cells["value"].to_numpy(), cells["lag"].to_numpy()
    return SensorReadings(households, signals, first_day, value, lag)


def building_numbers(register: pl.DataFrame, households: Sequence[str] | np.ndarray) -> np.ndarray:
    """Return (H,) number of each home's building, −1 where unknown."""
    numbers = register.select("building").unique().drop_nulls().sort("building").with_row_index("number")
    homes = pl.DataFrame({"household": pl.Series(households, dtype=pl.String)})
    places = register.select("household", "building").join(numbers, on="building", how="left")
    numbered = homes.join(places, on="household", how="left", maintain_order="left")
    return numbered["number"].cast(pl.Int64).fill_null(-1).to_numpy()


def _faults_of_night(
    readings: SensorReadings, night: dt.date, is_door: np.ndarray, building: np.ndarray
) -> pl.DataFrame:
    """Return the faults of one night. A later rule here replaces the note of an earlier one.

    is_door: (S,); building: (H,) number, −1 unknown.
    """
    value = readings.known_on(night)
    is_known = ~np.isnan(value)
    doors, meters, is_meter = value[is_door], value[~is_door], ~is_door[:, None]
    # zero or missing counts as silent, once there was a day
    silent = _odd_stretches(~(value > 0), np.logical_or.accumulate(is_known, axis=2), value)
    zero = _odd_stretches(value == 0, is_known, value)
    repeats, could_repeat = _repeated_days(value)
    same = _odd_stretches(repeats, could_repeat, value)
    door_is_busy = (_runs_as_usual(doors, MIN_SILENT_DAYS) == 1).any(axis=0)
    # where nothing at all came from a signal, its source is what is missing
    door_came = is_door & is_known[:, :, -1].any(axis=1)
    reason = np.full(value.shape[:2], None, dtype=object)
    reason[same.is_failure(MIN_REPEAT_DAYS - 1) & is_meter] = METER_REPEATS
    reason[zero.is_failure(MIN_SILENT_DAYS) & is_meter & door_is_busy] = METER_STUCK
    meters_run = _meters_run(meters, MIN_SILENT_DAYS)
    reason[silent.is_failure(MIN_SILENT_DAYS) & door_came[:, None] & meters_run] = DOOR_SILENT
    # a building whose people are away is not one whose gateway is down; a gateway may take the meters with it
    is_away = ~_meters_run(meters, 1) & is_known[~is_door, :, -1].any(axis=0)
    for signal in np.flatnonzero(door_came):
        homes = np.flatnonzero((silent.working_days[signal] >= MIN_WORKING_DAYS) & (building >= 0))
        is_silent = silent.length[signal, homes] > 0
        down = _gateway_is_down(is_silent, silent.chance[signal, homes], is_away[homes], building[homes])
        reason[signal, homes[down]] = GATEWAY_SILENT
    in_signal, of_home = np.nonzero(reason.astype(bool))
    columns = {
        "household": [readings.households[h] for h in of_home.tolist()],
        "signal": [readings.signals[s] for s in in_signal.tolist()],
        "reason": reason[in_signal, of_home].tolist(),
    }
    faults = pl.DataFrame(columns, schema={name: FAULT_SCHEMA[name] for name in columns})
    return faults.select(pl.lit(night).alias("night"), *columns)


def _odd_stretches(is_odd: np.ndarray, could_be_odd: np.ndarray, value: np.ndarray) -> _OddStretches:
    """Return the stretches of odd days that end at the last day; all arrays are (S, H, T).

    could_be_odd: days that count for the chance of an odd day.
    """
    days = value.shape[2]
    length = np.where(is_odd.all(axis=2), days, (~is_odd[:, :, ::-1]).argmax(axis=2))
    is_before = np.arange(days) < (days - length)[:, :, None]
    odd_before = (is_odd & could_be_odd & is_before).sum(axis=2)
    all_before = (could_be_odd & is_before).sum(axis=2)
    working_days = ((value > 0) & is_before).sum(axis=2)
    return _OddStretches(length, working_days, (odd_before + 1) / (all_before + 2))


def _repeated_days(value: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return days above zero that repeat the day before, and days of which that can be said.

    Both (S, H, T) bool.
    """
    repeats, could_repeat = np.zeros(value.shape, dtype=bool), np.zeros(value.shape, dtype=bool)
    repeats[:, :, 1:] = (value[:, :, 1:] == value[:, :, :-1]) & (value[:, :, 1:] > 0)
    could_repeat[:, :, 1:] = ~np.isnan(value[:, :, 1:] + value[:, :, :-1])
    return repeats, could_repeat


def _runs_as_usual(value: np.ndarray, days: int) -> np.ndarray:
    """Return (S, H) float: whether the mean of the last days is RUNNING_SHARE of that before.

    1 where it is, 0 where it is less, NaN unknown.
    """
    recent, before = _mean_of_known(value[:, :, -days:]), _mean_of_known(value[:, :, :-days])
    is_enough = (value[:, :, :-days] > 0).sum(axis=2) >= MIN_WORKING_DAYS
    runs = (recent >= RUNNING_SHARE * before).astype(float)
    return np.where(is_enough & ~np.isnan(recent), runs, np.nan)


def _meters_run(meters: np.ndarray, days: int) -> np.ndarray:
    """Return (H,) bool: at least one meter is known to run as usual, and none is known not to."""
    runs = _runs_as_usual(meters, days)
    return (runs == 1).any(axis=0) & ~(runs == 0).any(axis=0)


def _mean_of_known(value: np.ndarray) -> np.ndarray:
    """Return the mean over the known days, NaN where none is."""
    days = (~np.isnan(value)).sum(axis=2)
    return np.where(days > 0, np.nansum(value, axis=2) / np.maximum(days, 1), np.nan)


def _gateway_is_down(
    silent: np.ndarray, chance: np.ndarray, away: np.ndarray, building: np.ndarray
) -> np.ndarray:
    """Return which of the homes with a working door are silent because their building is.

    All arrays are (homes,).
    """
    if building.size == 0:
        return silent
    doors, silent_doors = np.bincount(building), np.bincount(building, silent)
    usual_chance = np.bincount(building, chance) / np.maximum(doors, 1)
    is_down = (doors >= MIN_BUILDING_DOORS) & (silent_doors >= SILENT_BUILDING_SHARE * doors)
    is_down &= usual_chance**silent_doors < MAX_CHANCE
    is_down &= 2 * np.bincount(building, silent & away) <= silent_doors
    return silent & is_down[building]
