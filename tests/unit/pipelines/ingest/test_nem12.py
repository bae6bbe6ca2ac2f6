"""Metered intervals of consumption become rows in market time; what was not metered becomes none."""

import polars as pl
import pytest

from anomaly.readings import SignalRule, parse_rows
from pipelines.config.sections import MADE_COLUMNS
from tests.support.export_files import broken

FIELDS = {"shape": "nem12", "columns": dict(MADE_COLUMNS["nem12"]), "unit": "kWh"}


def register(name: str, minutes: int = 30, unit: str = "KWH", nmi: str = "6102000001") -> str:
    return f"200,{nmi},E1B1,1,{name},N1,METER1,{unit},{minutes},\n"


def day(value: str, flag: str, date: str = "20260301", count: int = 48) -> str:
    return f"300,{date},{','.join([value] * count)},{flag},,,20260302120000,\n"


def file(*records: str) -> str:
    return "100,NEM12,202603021200,MDP,RET\n" + "".join(records) + "900\n"


def rows(frame: pl.DataFrame) -> list[tuple]:
    return frame.filter(pl.col("broken").is_null()).select("household", "time", "value", "row").rows()


def test_each_metered_interval_is_a_row_in_market_time(read):
    found = rows(
        read(file(register("E1"), day("0.5", "A"), "500,O,S1,,\n", day("0.25", "A", "20260302")), **FIELDS)
    )
    assert len(found) == 96
    assert found[0] == ("6102000001", "20260301 00:00:00+10:00", "0.5", 2)
    assert found[95] == ("6102000001", "20260302 23:30:00+10:00", "0.25", 4)


def test_perth_is_two_hours_behind_market_time(read):
    frame = read(file(register("E1", 5), day("0.1", "A", count=288)), **FIELDS)
    taken, refused = parse_rows(frame, SignalRule("power", "usage", "kWh", timezone="Australia/Perth"))
    assert refused.is_empty() and str(taken["time"].min()) == "2026-02-28 22:00:00" and len(taken) == 288


@pytest.mark.parametrize("flag", ["S14", "F14", "E52", "N", "V"])
def test_what_was_not_metered_has_no_row(read, flag):
    assert rows(read(file(register("E1"), day("0.5", flag)), **FIELDS)) == []


def test_intervals_have_flags_of_their_own(read):
    text = file(
        register("E1"), day("0.5", "V"), "400,1,40,A,,\n", "400,41,48,S14,32,\n", day("1", "A", "20260302")
    )
    found = rows(read(text, **FIELDS))
    assert len(found) == 40 + 48 and found[39][1] == "20260301 19:30:00+10:00"


def test_registers_of_consumption_are_summed_and_others_left_out(read):
    text = file(
        register("E1"), day("0.1", "A"), register("E2"), day("0.2", "A"), register("B1"), day("9", "A")
    )
    assert {row[2] for row in rows(read(text, **FIELDS))} == {"0.3"}


def test_a_day_of_another_number_of_values_is_refused(read):
    frame = read(file(register("E1"), day("0.5", "A", count=47), day("0.5", "A", "20260302")), **FIELDS)
    assert broken(frame) == [(2, "wrong number of cells")] and len(rows(frame)) == 48


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("home,day\n1,2\n", "does not begin with a record 100,NEM12"),
        (",,\n", "does not begin with a record 100,NEM12"),
        (file(register("E1"), day("1", "A"))[:-4], "does not end with a record 900, it is cut short"),
        (file(register("B1"), day("1", "A")), "has no day of a register of consumption"),
        (file(register("E1", unit="WH"), day("1", "A")), "holds values in wh, and `unit` says kWh"),
    ],
)
def test_another_file_is_told(refused, text, message):
    assert message in str(refused(text, **FIELDS))
