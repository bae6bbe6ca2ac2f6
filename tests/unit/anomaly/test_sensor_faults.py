from datetime import timedelta
from html import escape

import numpy as np
import polars as pl
import pytest

from anomaly import detectors, evidence, sensor_faults
from anomaly.expected import expect
from anomaly.messages import translate_reason
from anomaly.sensor_faults import DOOR_SILENT, GATEWAY_SILENT, METER_REPEATS, METER_STUCK, find_sensor_faults
from tests.support.grids import city, day, grid_of, readings
from tests.support.site import LAST, SURGED, daily, make_site, rows

KINDS = {"entries": "count", "water": "register", "power": "usage"}
DAYS = 60


def ordinary(signal, days=DAYS):
    """A home's days that never repeat and are never zero."""
    level = {"entries": 8, "water": 200, "power": 8000}[signal]
    return [level + (t * 7) % 5 for t in range(days)]


def home(name="a", days=DAYS, **tail):
    """A home of three signals; `tail` replaces the last days of a signal."""
    out = {}
    for signal in KINDS:
        last = list(tail.get(signal, ()))
        out[name, signal] = ordinary(signal, days - len(last)) + last
    return out


def register_of(series, building=None):
    homes = sorted({name for name, _ in series})
    return pl.DataFrame(
        {"household": homes, "building": [building] * len(homes)},
        schema={"household": pl.String, "building": pl.String},
    )


def notes(series, night=None, building=None, late=None, kinds=KINDS):
    """{(household, signal): reason} of the last night."""
    night = day(max(map(len, series.values())) - 1) if night is None else night
    told = find_sensor_faults(readings(series, late), register_of(series, building), kinds, [night])
    assert told["night"].unique().to_list() in ([], [night])
    return {(household, signal): reason for _, household, signal, reason in told.iter_rows()}


def test_working_sensors_need_no_note():
    assert notes(home()) == {}


# the door


def test_a_door_silent_for_three_days_while_meters_run():
    assert notes(home(entries=[0] * 2)) == {}
    assert notes(home(entries=[0] * 3)) == {("a", "entries"): DOOR_SILENT}


def test_a_door_that_sends_nothing_is_noted_where_other_doors_send():
    # alone it is the source that is missing, which is said elsewhere
    assert notes(home(entries=[None] * 3)) == {}
    assert notes(home(entries=[None] * 3) | home("b")) == {("a", "entries"): DOOR_SILENT}
    assert notes(home(entries=[None, 0, None]) | home("b")) == {("a", "entries"): DOOR_SILENT}


def test_a_door_stays_noted_until_it_works_again():
    series = home(days=120, entries=[0] * 60 + [8])
    # silent from the sixtieth day on, day 59 by its number
    assert [bool(notes(series, day(t))) for t in (60, 61, 90, 118, 119)] == [False, True, True, True, False]


def test_an_empty_home_is_not_a_broken_door():
    assert notes(home(entries=[0] * 5, water=[0] * 5, power=[900] * 5)) == {}
    # one meter at less than half speaks for an empty home
    assert notes(home(entries=[0] * 5, power=[3900] * 5)) == {}
    assert notes(home(entries=[0] * 5, power=[4100, 4200, 4100, 4200, 4100])) == {
        ("a", "entries"): DOOR_SILENT
    }
    # without a meter nothing can be said
    assert notes({("a", "entries"): ordinary("entries", DAYS - 5) + [0] * 5}) == {}


def test_a_door_whose_own_zeros_make_the_silence_likely_is_believed():
    seldom = (
        [0, 1, 0, 2, 1] * 11 + [1, 1] + [0] * 3
    )  # two days in five: three in a row come about once in sixteen
    assert notes(home() | {("a", "entries"): seldom}) == {}
    assert notes(
        home()
        | {("a", "entries"): seldom + [0] * 5}
        | home("b", days=DAYS + 5)
        | {("a", "water"): ordinary("water", 65)}
    ) == {("a", "entries"): DOOR_SILENT}


def test_a_door_never_seen_working_is_not_broken():
    assert notes(home() | {("a", "entries"): [0] * DAYS}) == {}
    assert notes(home() | {("a", "entries"): [None] * (DAYS - 16) + ordinary("entries", 13) + [0] * 3}) == {}
    assert notes(home() | {("a", "entries"): [None] * (DAYS - 17) + ordinary("entries", 14) + [0] * 3}) == {
        ("a", "entries"): DOOR_SILENT
    }


# the building


def block(silent, homes=5, **tail):
    """A building of so many homes, some of whose doors are silent on the night."""
    return {
        key: value
        for h in range(homes)
        for key, value in home(str(h), **(tail | {"entries": [0]} if h < silent else {})).items()
    }


def test_a_silent_gateway():
    assert notes(block(4), building="B") == {(str(h), "entries"): GATEWAY_SILENT for h in range(4)}
    assert notes(block(3), building="B") == {}  # 60 %
    assert notes(block(3, 3), building="B") == {}  # three homes make no building
    assert notes(block(4)) == {}  # building unknown


def test_a_gateway_that_takes_the_meters_with_it_is_noted_and_a_building_on_holiday_is_not():
    assert len(notes(block(4, water=[None], power=[None]), building="B")) == 4
    assert notes(block(4, water=[0], power=[900]), building="B") == {}


def test_doors_that_are_often_silent_together_tell_nothing():
    series = block(4)
    for h in range(5):
        series[str(h), "entries"] = [0 if t % 2 else 9 for t in range(DAYS)]
    assert series["0", "entries"][-1] == 0
    assert notes(series, building="B") == {}


def test_the_gateway_comes_before_the_door():
    series = block(4)
    for h in range(4):
        series[str(h), "entries"][-4:] = [0] * 4
    assert set(notes(series, building="B").values()) == {GATEWAY_SILENT}


# the meters


@pytest.mark.parametrize("signal", ["water", "power"])
def test_a_meter_stuck_at_zero_next_to_a_busy_door(signal):
    assert notes(home(**{signal: [0] * 2})) == {}
    assert notes(home(**{signal: [0] * 3})) == {("a", signal): METER_STUCK}
    assert notes(home(**{signal: [0] * 3, "entries": [1, 2, 1]})) == {}  # nobody comes or goes
    assert (
        notes({key: values for key, values in home(**{signal: [0] * 3}).items() if key[1] != "entries"}) == {}
    )  # no door to tell


def test_a_zero_that_was_not_believed_as_a_use_still_counts():
    frame = readings(home(water=[0] * 3)).with_columns(
        quality=pl.when(pl.col("value") == 0).then(pl.lit("doubtful")).otherwise("quality")
    )
    told = find_sensor_faults(frame, register_of(home()), KINDS, [day(DAYS - 1)])
    assert told["reason"].to_list() == [METER_STUCK]


def test_a_coarse_register_may_stand_still_for_days():
    coarse = [1000 if t % 5 == 0 else 0 for t in range(DAYS - 3)] + [0] * 3
    assert notes(home() | {("a", "water"): coarse}) == {}


def test_a_meter_that_repeats_itself():
    assert notes(home(power=[7000] * 6)) == {}
    assert notes(home(power=[7000] * 7)) == {("a", "power"): METER_REPEATS}
    assert notes(home(water=[1] * 7)) == {("a", "water"): METER_REPEATS}
    assert notes(home(entries=[8] * 7)) == {}  # a door may
    assert notes(home(power=[7000] * 3 + [None] + [7000] * 3)) == {}
    # a register in whole m³ does so by itself
    assert notes(home() | {("a", "water"): [1000] * DAYS}) == {}


def test_nothing_depends_on_the_names():
    names = {"entries": "gate", "water": "gas", "power": "heat"}
    series = home(entries=[0] * 3) | home("b", water=[0] * 3)
    frame = readings(series).with_columns(pl.col("signal").replace(names))
    told = find_sensor_faults(
        frame, register_of(series), {names[s]: kind for s, kind in KINDS.items()}, [day(DAYS - 1)]
    )
    assert told.select("household", "signal", "reason").rows() == [
        ("a", "gate", DOOR_SILENT),
        ("b", "gas", METER_STUCK),
    ]


# the nights


def test_a_night_knows_only_what_was_known_by_then():
    series = home(entries=[0] * 3) | home("b")
    night = day(DAYS - 1)
    assert notes(series, night - timedelta(days=1)) == {}  # two silent days by then
    # the door's zero became known a day late: missing till then, silent all the same; a meter that is late is
    # not known to run
    assert notes(series, night, late={("a", "entries", DAYS - 1): 1}) == {("a", "entries"): DOOR_SILENT}
    late = {("a", signal, DAYS - back): 5 for signal in ("water", "power") for back in (1, 2, 3)}
    assert notes(series, night, late=late) == {}


def test_many_nights_at_once_say_what_each_says_alone_in_any_row_order():
    series = home(entries=[0] * 6, power=[5000] * 8) | home("b", water=[0] * 5) | home("c")
    frame, register = readings(series), register_of(series, "B")
    nights = [day(t) for t in range(DAYS - 8, DAYS)]
    told = find_sensor_faults(frame.sample(fraction=1, shuffle=True, seed=1), register, KINDS, nights)
    alone = pl.concat(
        find_sensor_faults(frame.filter(pl.col("day") <= night), register, KINDS, [night]) for night in nights
    )
    assert told.rows() == alone.rows() and told.height > 8
    assert told.select("night", "household", "signal").is_unique().all()


def test_empty_readings_and_no_night():
    assert (
        find_sensor_faults(readings({}), register_of({}), KINDS, [day(0)]).schema
        == sensor_faults.FAULT_SCHEMA
    )
    assert (
        find_sensor_faults(readings(home()), register_of(home()), KINDS, []).schema
        == sensor_faults.FAULT_SCHEMA
    )


def test_a_door_that_comes_back_after_ten_silent_days_is_no_case():
    series = city(40, 200)
    for h in range(5):
        series[f"{h:04d}", "entries"][180:190] = 0
    for signal in KINDS:
        series["0005", signal][190:] *= 4
    grid = grid_of(series)
    seen = expect(grid)
    scores = [
        one for detector in detectors.chosen_detectors(detectors.DetectorRules()) for one in detector(seen)
    ]
    needed = evidence.opening_rarity(evidence.EvidenceRules(), 4)
    rated = evidence.rate_scores(scores, range(180, 200), needed, ("forest",))
    largest = np.array(
        [np.nanmax([one.rarity[t][:6] for one in rated if one.opens], axis=0) for t in range(180, 200)]
    )
    assert (largest[:, :5] < needed).all()
    assert largest[-1, 5] > needed  # what a case would look like


# in the night


@pytest.fixture(scope="module")
def night(tmp_path_factory):
    """A judged site whose home 0003 has a silent door, 0004 a power meter at rest and the surged home a water
    meter that repeats itself."""
    site = make_site(tmp_path_factory.mktemp("devices") / "site")
    values = daily()
    values["entries"][3, -4:] = 0
    values["power"][4, -4:] = 0
    values["water"][int(SURGED), -14:] = 1_200  # far above its usual
    for name, cells in values.items():
        site.put(f"{name}.csv", rows(name, cells))
    site.nightly()
    return site


def test_failed_sensors_are_among_what_could_not_be_judged(night):
    noted = {
        (r["household"], r["signal"]): r["reason"] for r in night.view("not_judged").iter_rows(named=True)
    }
    assert noted == {
        ("0003", "entries"): DOOR_SILENT,
        ("0004", "power"): METER_STUCK,
        (SURGED, "water"): METER_REPEATS,
    }
    page = (night.root / "out" / "reports" / str(LAST) / "index.html").read_text("utf-8")
    assert all(escape(translate_reason("en", reason), quote=False) in page for reason in noted.values())


def test_a_failed_sensor_is_no_evidence_and_no_case(night):
    assert night.view("evidence").filter(household=SURGED, signal="water").is_empty()
    assert night.view("cases")["household"].to_list() == [SURGED]


def test_a_people_case_says_how_many_more_it_is_like(night):
    case = night.view("cases").row(0, named=True)
    assert 0 < case["extra_people_low"] < case["extra_people"] < case["extra_people_high"]
    told = f"extra people would add ({case['extra_people_low']:.0f}–{case['extra_people_high']:.0f})."
    assert told in (
        night.root / "out" / "reports" / str(LAST) / "cases" / f"{case['case_id']}.html"
    ).read_text("utf-8")
    assert told in night.run("explain", case["case_id"]).output
