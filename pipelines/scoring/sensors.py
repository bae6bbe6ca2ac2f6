"""Find sensors that seem to have failed by a night, from what each part of the site says of its sensors."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from anomaly import sensor_faults
from anomaly.readings import ReadingArrays
from anomaly.sensor_faults import LOOK_BACK_DAYS, MIN_WORKING_DAYS
from anomaly.tables import UNKNOWN
from pipelines.config.settings import Settings
from pipelines.ingest.inputs import Inputs
from pipelines.scoring.homes import HomeIndex
from pipelines.storage.stored_readings import StoredReadings


@dataclass(frozen=True)
class SensorState:
    """What the sensors of H homes gave by a night; D of the signals are doors."""

    homes: np.ndarray
    """(H,) numbers of the homes."""
    to_check: np.ndarray
    """(H,) bool: something may have failed, whatever the building does."""
    silent: np.ndarray
    """(D, H) bool: the door gave nothing tonight."""
    working: np.ndarray
    """(D, H) bool: the door has enough days above zero."""
    recent_homes: np.ndarray
    """(R,) numbers of the homes to check, of those with a silent door, and of the first without."""
    recent: np.ndarray
    """(S, R, LOOK_BACK_DAYS) values of these homes, as in `values_known_on_last_day`."""


def sensor_state(
    settings: Settings, homes: np.ndarray, readings: ReadingArrays, rows: np.ndarray, keep_all: bool = False
) -> SensorState:
    """Return the state of the homes' sensors on the last day of their readings.

    homes: their numbers; rows: their rows in the readings. keep_all: keep the recent values of all of them.
    """
    recent = values_known_on_last_day(readings, LOOK_BACK_DAYS)[:, rows]
    doors = np.array([settings.rules[name].kind == "count" for name in sorted(settings.rules)], dtype=bool)
    silent = ~(recent[doors, :, -1] > 0)
    working = (recent[doors] > 0).sum(axis=2) >= MIN_WORKING_DAYS
    to_check = sensor_faults.homes_to_check(recent)
    first_with_a_door = (np.cumsum(~silent, axis=1) == 1).any(axis=0)
    kept = to_check | silent.any(axis=0) | first_with_a_door | keep_all
    return SensorState(homes, to_check, silent, working, homes[kept], recent[:, kept])


def values_known_on_last_day(readings: ReadingArrays, days: int) -> np.ndarray:
    """Return (S, H, days) the last values; UNKNOWN where the last day did not know them, and before the
    first.

    A zero that the doors contradict is a zero here.
    """
    value, lag = readings.value[:, :, -days:], readings.lag[:, :, -days:]
    value = np.where(readings.contradicted_zero[:, :, -days:], 0, value)
    age = np.arange(value.shape[2])[::-1]
    known = np.where(lag > age, UNKNOWN, value).astype(value.dtype, copy=False)
    return np.pad(known, ((0, 0), (0, 0), (days - known.shape[2], 0)), constant_values=UNKNOWN)


def find_failed_sensors(
    settings: Settings, inputs: Inputs, homes: HomeIndex, night: dt.date, states: Sequence[SensorState]
) -> pl.DataFrame:
    """Return household, signal, reason of what looks like a failed sensor on the night.

    states: of the parts that together are the site. Only homes where something is odd are checked, and the
    first whose door gave anything: where no door did, it is the source that is missing.
    """
    numbers = np.concatenate([state.homes for state in states])
    to_check = np.empty(len(homes), dtype=bool)
    to_check[numbers] = np.concatenate([state.to_check for state in states])
    silent, working = np.empty((2, len(states[0].silent), len(homes)), dtype=bool)
    silent[:, numbers] = np.concatenate([state.silent for state in states], axis=1)
    working[:, numbers] = np.concatenate([state.working for state in states], axis=1)
    building = sensor_faults.building_numbers(inputs.register, homes.names)
    for s in range(len(silent)):
        to_check |= sensor_faults.silent_buildings(silent[s], working[s], building)
        to_check[np.flatnonzero(~silent[s])[:1]] = True
    checked = np.flatnonzero(to_check)
    first = night - dt.timedelta(days=LOOK_BACK_DAYS - 1)
    recent = _recent_values(inputs.stored, checked, first, states)
    readings = sensor_faults.SensorReadings(
        list(homes.names[checked]),
        sorted(settings.rules),
        first,
        np.where(recent == UNKNOWN, np.nan, recent),
        np.zeros(recent.shape, np.int8),
    )
    kinds = {name: rule.kind for name, rule in settings.rules.items()}
    faults = sensor_faults.find_sensor_faults_in_arrays(readings, inputs.register, kinds, [night])
    return faults.join(inputs.dwellings, on="household", how="semi", maintain_order="left").drop("night")


def _recent_values(
    stored: StoredReadings, checked: np.ndarray, first: dt.date, states: Sequence[SensorState]
) -> np.ndarray:
    """Return (S, checked, LOOK_BACK_DAYS) the recent values of the homes that are checked.

    A home that is checked for its building's sake alone may be in no state's recent homes: it is read once
    more.
    """
    homes = np.concatenate([state.recent_homes for state in states])
    order = np.argsort(homes)
    recent = np.concatenate([state.recent for state in states], axis=1)
    at_hand = np.isin(checked, homes)
    out = np.empty((len(recent), len(checked), LOOK_BACK_DAYS), np.int64)
    out[:, at_hand] = recent[:, order[np.searchsorted(homes[order], checked[at_hand])]]
    if not at_hand.all():
        others = stored.read_arrays(checked[~at_hand], first, LOOK_BACK_DAYS)
        out[:, ~at_hand] = values_known_on_last_day(others, LOOK_BACK_DAYS)
    return out
