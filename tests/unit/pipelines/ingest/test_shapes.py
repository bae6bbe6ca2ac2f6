"""Tables of other shapes become a row for each home and time, and every row says where its cell stood."""

import polars as pl
import pytest

from anomaly.readings import SignalRule, parse_rows
from pipelines.config.sections import FILE_COLUMN, MADE_COLUMNS, PASSAGE_COLUMN, Source
from pipelines.ingest.shapes import find_periods
from tests.support.export_files import broken, cells, parquet, workbook

ROLES = {"intervals": {"household": "home", "time": "day"}, "meters": {"time": "day"}}


def fields(shape: str, **more) -> dict:
    return {"shape": shape, "columns": ROLES[shape] | MADE_COLUMNS[shape]} | more


def clock(minute: int) -> str:
    return f"{minute // 60:02}:{minute % 60:02}"


def rows(frame: pl.DataFrame, shape: str) -> list[tuple]:
    order = ["household", "time", "value", "row"]
    frame = frame.select(order + [name for name in frame.columns if name not in order])
    return [row[:4] for row in frame.filter(pl.col("broken").is_null()).rows()]


HOURS = [f"{hour:02}:00" for hour in range(24)]


def one(value: str, place: int, of: int = 24) -> str:
    """Return the cells of a row of which a single one is filled."""
    return ",".join(value if at == place else "" for at in range(of))


A_DAY = ",".join(["1.5"] + ["0"] * 22 + ["2"])


# a column for each period


def test_each_period_of_a_day_becomes_a_row_that_names_its_time_and_the_row_of_the_file(read):
    text = f"home,day,{','.join(HOURS)}\n0001,2024-01-01,{A_DAY}\n\n0002,2024-01-02,{one('7', 22)}\n"
    found = rows(read(text, **fields("intervals")), "intervals")
    assert len(found) == 25
    assert found[0] == ("0001", "2024-01-01 00:00:00", "1.5", 1)
    assert found[1] == ("0001", "2024-01-01 01:00:00", "0", 1)
    assert found[-2:] == [
        ("0001", "2024-01-01 23:00:00", "2", 1),
        ("0002", "2024-01-02 22:00:00", "7", 3),
    ]


NAMES = {
    "times": [clock(30 * n) for n in range(48)],
    "times, ends": [clock(30 * n + 30) for n in range(48)],
    "times, the last midnight behind": [clock((30 * n + 30) % 1440) for n in range(48)],
    "last minutes": [clock(30 * n + 29) for n in range(48)],
    "ranges": [f"{clock(30 * n)}-{clock(30 * n + 30)}" for n in range(48)],
    "without colon": [f"{30 * n // 60:02}{30 * n % 60:02}" for n in range(48)],
    "with a word": [f"kWh {clock(30 * n)}:00" for n in range(48)],
    "numbers": [str(n + 1) for n in range(48)],
    "numbers from 0": [f"P{n:02}" for n in range(48)],
    "numbered": [f"HH{n + 1}" for n in range(48)],
    "时段": [f"时段{n + 1}" for n in range(48)],
    "of a sheet": [f"1899-12-31 {clock(30 * n)}:00" for n in range(48)],
}


@pytest.mark.parametrize("names", NAMES)
def test_periods_are_named_in_many_ways(names):
    found = find_periods(NAMES[names], Source("power", "x", {}))
    assert [period.start for period in found.periods] == [30 * n for n in range(48)]
    assert (found.minutes, found.elapsed) == (30, False)


def test_hours_have_halves_of_the_day_in_america():
    names = [f"{(n + 11) % 12 + 1} {'AM' if n < 12 else 'PM'}" for n in range(24)]
    assert (names[0], names[13]) == ("12 AM", "1 PM")
    assert [period.start // 60 for period in find_periods(names, Source("power", "x", {})).periods] == [
        *range(24)
    ]
    names = [str(100 * (n + 1)) for n in range(24)]  # 100, 200 … 2400
    assert [period.start // 60 for period in find_periods(names, Source("power", "x", {})).periods] == [
        *range(24)
    ]


def test_a_first_column_that_ends_at_midnight_closes_the_day_before_where_the_settings_say_so():
    names = [clock(60 * n) for n in range(24)]
    assert find_periods(names, Source("power", "x", {}, stamp="start")).periods[1].start == 60
    assert find_periods(names, Source("power", "x", {}, stamp="end")).periods[0].start == -60


@pytest.mark.parametrize(
    ("stamp", "times"),
    [
        ("start", ["2024-01-01 00:00:00", "2024-01-01 23:30:00"]),
        ("end", ["2024-01-01 00:30:00", "2024-01-02 00:00:00"]),
    ],
)
def test_times_are_written_as_the_settings_say_they_are_meant(read, stamp, times):
    """Periods that are named by their ends stay on their day, whichever end the settings mean."""
    text = f"home,day,{','.join(NAMES['times, ends'])}\n1,2024-01-01,{one('2', 0, 48)}\n1,2024-01-01,{one('2', 47, 48)}\n"
    frame = read(text, **fields("intervals", stamp=stamp))
    assert [row[1] for row in rows(frame, "intervals")] == times


def test_days_are_read_by_their_form_and_a_day_that_is_none_is_refused_as_it_stands(read):
    text = f"home;day;{';'.join(HOURS)}\n1;31/08/2024;1;2{';' * 22}\n1;soon;3{';' * 23}\n"
    frame = read(text, **fields("intervals", separator=";", time_format="%d/%m/%Y"))
    assert rows(frame, "intervals") == [
        ("1", "2024-08-31 00:00:00", "1", 1),
        ("1", "2024-08-31 01:00:00", "2", 1),
        ("1", "soon", "3", 2),
    ]
    taken, refused = parse_rows(frame, SignalRule("power", "usage", "kWh"))
    assert taken.height == 2 and refused.rows() == [(2, "time not readable")]


def test_periods_beyond_the_day_count_on_over_the_hour_that_comes_twice(read):
    """Hours 2 and 3 of Berlin's 25 hours both read 02:00 on the clock; of its 23 none reads it."""
    names = ",".join(f"H{n + 1}" for n in range(25))
    full, short = ",".join(map(str, range(25))), ",".join(map(str, range(23))) + ",,"
    text = f"home,day,{names}\n1,2024-10-27,{full}\n1,2024-03-31,{short}\n"
    frame = read(text, **fields("intervals", timezone="Europe/Berlin"))
    found = {(row[3], row[2]): row[1] for row in rows(frame, "intervals")}
    assert found[1, "2"] == "2024-10-27 02:00:00+02:00" and found[1, "3"] == "2024-10-27 02:00:00+01:00"
    assert found[1, "24"] == "2024-10-27 23:00:00+01:00"
    assert found[2, "1"] == "2024-03-31 01:00:00+01:00" and found[2, "2"] == "2024-03-31 03:00:00+02:00"
    assert found[2, "22"] == "2024-03-31 23:00:00+02:00" and len(found) == 48


def test_columns_that_are_no_periods_are_passed_over(read):
    text = f"home,Total,day,{','.join(HOURS)},Note\n1,9,2024-01-01,{A_DAY},see page 3\n"
    assert len(read(text, **fields("intervals"))) == 24


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (HOURS[:-1], "has 23 columns for periods ('00:00', '01:00'"),
        (["Total", "Note"], "has 0 columns for periods"),
        (
            [f"{kind}{n}" for kind in "VQ" for n in range(1, 49)],
            "has several columns for each period of the day",
        ),
        ([*HOURS[:-1], "23:30"], "has 24 columns for periods"),
        ([f"P{n}" for n in range(2, 50)], "has 48 columns for periods"),
    ],
)
def test_periods_that_make_no_day_are_told(refused, names, message):
    error = refused(f"home,day,{','.join(names)}\n1,2024-01-01{',1' * len(names)}\n", **fields("intervals"))
    assert message in str(error) and names[0] not in error.kept


def test_a_sheet_and_a_typed_file_hold_periods_too(read):
    typed = pl.DataFrame({"home": ["1"], "day": [pl.Series(["2024-01-01"]).str.to_date()[0]]} | {
        name: [0.5] for name in HOURS
    })  # fmt: skip
    found = rows(read(parquet(typed), "p.parquet", **fields("intervals", decimal=",")), "intervals")
    assert found[23] == ("1", "2024-01-01 23:00:00", "0,5", 1) and len(found) == 24
    sheet = workbook([("home", "day", *range(1, 25)), ("1", "2024-01-01", *[0.5] * 24)])
    assert rows(read(sheet, "p.xlsx", **fields("intervals")), "intervals")[0] == (
        ("1", "2024-01-01 00:00:00", "0.5", 1)
    )


# a column for each home


def test_each_home_of_a_row_becomes_a_row(read):
    text = "0001,day,0002,\n12.5,2024-01-01,,\n,2024-01-02 06:00,13,\n"
    assert rows(read(text, **fields("meters")), "meters") == [
        ("0001", "2024-01-01", "12.5", 1),
        ("0002", "2024-01-02 06:00", "13", 2),
    ]
    sheet = workbook([("day", 1, 2), ("2024-01-01", 0.5, None)])
    assert rows(read(sheet, "w.xlsx", **fields("meters", decimal=",")), "meters") == [
        ("1", "2024-01-01", "0,5", 1)
    ]


def test_a_broken_row_is_refused_once(read):
    for shape, header in {"meters": "day,0001,0002", "intervals": f"home,day,{','.join(HOURS)}"}.items():
        frame = read(f"{header}\n1\n", **fields(shape))
        assert broken(frame) == [(1, "wrong number of cells")]


def test_a_missing_column_and_a_table_without_homes_are_told(refused):
    assert "has no column 'day'" in str(refused("date,0001\n2024-01-01,1\n", **fields("meters")))
    assert "has no column for any home" in str(refused("day\n2024-01-01\n", **fields("meters")))


def test_personal_columns_are_searched_for_among_the_homes_too(refused):
    phones = ["13812345678", "15987654321", "18611112222", "13799990000", "17755556666"]
    text = "day,0001,x\n" + "".join(f"2024-01-0{n + 1},5,{phone}\n" for n, phone in enumerate(phones))
    assert "phone numbers" in str(refused(text, **fields("meters")))
    assert (
        "describes persons"
        in refused(f"day,{','.join(phones)}\n2024-01-01,1,2,3,4,5\n", **fields("meters")).kept
    )
    names = "王伟,李娜,张敏,刘洋"
    error = refused(f"day,{names}\n2024-01-01,1,2,3,4\n", **fields("meters"))
    assert "personal names" in str(error) and "王" not in error.kept
    hours = f"home,day,contact,{','.join(HOURS)}\n1,2024-01-01,a@b.org,{A_DAY}\n"
    assert "e-mail" in str(refused(hours, **fields("intervals")))


# the header


def test_lines_before_the_header_are_passed_over(read, refused):
    text = "Report of 2024\n\nhome,day,reading\n0001,2024-01-01,12.5\n"
    assert cells(read(text, header_row=3)) == [("0001", "2024-01-01", "12.5", 1)]
    assert cells(read(text.replace("\n", "\r"), header_row=3)) == [("0001", "2024-01-01", "12.5", 1)]
    sheet = workbook([("Report",), (), ("home", "day", "reading"), ("0001", "2024-01-01", 12.5)])
    assert cells(read(sheet, "w.xlsx", header_row=3)) == [("0001", "2024-01-01", "12.5", 1)]
    assert "is empty" in str(refused(text, header_row=9))
    assert "is empty" in str(refused(sheet, "w.xlsx", header_row=9))


# what is not in the cells


def test_the_id_may_stand_in_the_files_name(read, refused):
    named = {"columns": {"household": FILE_COLUMN, "time": "day", "value": "reading"}}
    text = "day,reading\n2024-01-01,12.5\n\n"
    found = read(text, "meter_0012.csv", household_from_file=r"meter_(\d+)", **named)
    assert cells(found) == [("0012", "2024-01-01", "12.5", 1)]
    found = read(text, "meter_0012.csv", household_from_file=r"\d+", **named)
    assert cells(found) == [("0012", "2024-01-01", "12.5", 1)]
    error = refused(text, "total.csv", household_from_file=r"meter_(\d+)", **named)
    assert "has a name in which no id is found" in str(error)
    wide = f"day,{','.join(HOURS)}\n2024-01-01,{one('3', 23)}\n"
    columns = {"household": FILE_COLUMN, "time": "day", "value": "(value)"}
    found = read(wide, "m7.csv", household_from_file=r"m(\d)", shape="intervals", columns=columns)
    assert rows(found, "intervals") == [("7", "2024-01-01 23:00:00", "3", 1)]


def test_each_row_of_an_event_log_is_one_passage(read):
    columns = {"household": "home", "time": "day", "value": PASSAGE_COLUMN}
    found = read("home,day\n0001,2024-01-01 08:00\n0001,2024-01-01 08:00\n\n1\n", columns=columns)
    assert [row[2:] for row in cells(found)] == [("1", 1), ("1", 2)]
    assert broken(found) == [(4, "wrong number of cells")]
