"""Failed sensors: what the parts of a site say of their sensors, and that homes in silent buildings are
looked at."""

import numpy as np
import polars as pl
import pytest

from anomaly import sensor_faults
from anomaly.readings import ReadingArrays
from anomaly.tables import UNKNOWN
from pipelines.config.settings import load_settings
from pipelines.scoring.sensors import sensor_state, values_known_on_last_day
from pipelines.storage.stored_readings import StoredReadings
from tests.support.site import make_site
from tests.support.town import town


def arrays(value: list, lag: list | None = None, contradicted: list | None = None) -> ReadingArrays:
    """Readings (S, H, T) with a reading on every day."""
    values = np.array(value, dtype=np.int32)
    return ReadingArrays(
        value=values,
        lag=np.zeros(values.shape, np.int16) if lag is None else np.array(lag, np.int16),
        contradicted_zero=np.zeros(values.shape, bool) if contradicted is None else np.array(contradicted),
        first_reading=np.zeros(values.shape[:2], np.int32),
    )


def test_the_last_day_knows_values_in_time_and_a_contradicted_zero_as_zero():
    readings = arrays(
        [[[5, 6, 7], [8, UNKNOWN, 9]]],
        lag=[[[2, 2, 0], [0, 0, 1]]],
        contradicted=[[[False, False, False], [False, True, False]]],
    )
    assert values_known_on_last_day(readings, 2).tolist() == [[[UNKNOWN, 7], [0, UNKNOWN]]]
    assert values_known_on_last_day(readings, 4).tolist() == [
        [[UNKNOWN, 5, UNKNOWN, 7], [UNKNOWN, 8, 0, UNKNOWN]]
    ]


def test_homes_that_are_silent_odd_or_the_first_that_is_not_silent_keep_their_last_days(tmp_path):
    """Doors of four homes: one that works, one that fell silent tonight, two more that work, of which only
    rows 1 to 3 are asked."""
    settings = load_settings(make_site(tmp_path, ["entries"]).settings)
    busy = [[3, 1, 4, 1, 5, 9, 2, 6] * 2] * 4
    readings = arrays([busy])
    readings.value[0, 1, -1] = 0
    state = sensor_state(settings, np.array([11, 12, 13]), readings, np.array([1, 2, 3]))
    assert state.silent.tolist() == [[True, False, False]] and state.working.all()
    assert not state.to_check.any() and state.recent_homes.tolist() == [11, 12]
    assert state.recent.shape == (1, 2, sensor_faults.LOOK_BACK_DAYS)
    assert state.recent[0, 0, -2:].tolist() == [2, 0] and state.recent[0, 0, 0] == UNKNOWN
    everybody = sensor_state(settings, np.arange(4), readings, np.arange(4), keep_all=True)
    assert everybody.recent_homes.tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("sample", [None, 130])
@pytest.mark.parametrize("giving", [(), (46,)])
def test_a_gateway_that_failed_is_found_from_what_was_at_hand(tmp_path, giving, sample, monkeypatch):
    read, read_arrays = [], StoredReadings.read_arrays

    def note(stored, homes, first, days):
        read.append((days, stored.households.gather(homes).to_list()))
        return read_arrays(stored, homes, first, days)

    monkeypatch.setattr(StoredReadings, "read_arrays", note)
    site = town(tmp_path / "town", sample, giving=giving)
    site.nightly()
    failed = site.view("not_judged").filter(pl.col("reason") == sensor_faults.GATEWAY_SILENT)
    # 43 is too young
    assert failed.select("household", "signal").rows() == [
        (f"{home:04}", "entries") for home in range(40, 50) if home not in (43, *giving)
    ]
    # a door that goes on in a silent building is nothing odd by itself: outside the sample that home is read
    # once more
    again = [homes for days, homes in read if days == sensor_faults.LOOK_BACK_DAYS]
    assert again == ([[f"{home:04}"] for home in giving] if sample else [])
