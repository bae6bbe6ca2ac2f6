import polars as pl
import pytest

from anomaly.readings import SignalRule
from pipelines.config.sections import Source
from pipelines.ingest.lost_meaning import refuse_doubtful_decimals, refuse_lost_ids
from pipelines.ingest.text_table import MalformedFile

COLUMNS = {"household": "id", "time": "t", "value": "v"}


def remedy_for_ids(*ids):
    cells = pl.DataFrame({"household": pl.Series(ids, dtype=pl.String)})
    try:
        refuse_lost_ids(cells, Source("water", "water.csv", COLUMNS))
    except MalformedFile as error:
        assert not any(one in error.kept_problem for one in ids if one)
        return error.problem
    return None


@pytest.mark.parametrize(
    "ids",
    [
        ["5,41E+17", "A1"],
        ["5.41E+17"],
        ["5E+12", None],
        ["5.41448860012345e17"],
        ["541448860012345000", "541448860012346000"],
        ["5414488600123450", "5414488600123460", "5414488600123470"],
    ],
)
def test_ids_that_a_spreadsheet_spoilt_stop_their_source(ids):
    assert "ids such as" in remedy_for_ids(*ids)


@pytest.mark.parametrize(
    "ids",
    [
        ["0001", "A1", None],
        ["12E3", "1E10", "5e10"],  # flats by building, entrance and number
        ["541448860012345678", "541448860012345000"],
        ["5414488600123450"],  # one id may end in a zero
        ["123456789012345", "100000000000000"],
        [],
    ],
)
def test_other_ids_are_left_alone(ids):
    assert remedy_for_ids(*ids) is None


def asked(*values, kind="usage", unit="m3", separator=",", decimal="."):
    """The decimal sign that the file is said to need."""
    source = Source("water", "water.csv", COLUMNS, separator=separator, decimal=decimal)
    cells = pl.DataFrame({"value": pl.Series(values, dtype=pl.String)})
    try:
        refuse_doubtful_decimals(cells, source, SignalRule("water", kind, unit, decimal=decimal))
    except MalformedFile as error:
        assert not any(value in error.kept_problem for value in values if value)
        return error.remedy[len("set decimal = ") :][:3].strip('"')
    return None


@pytest.mark.parametrize("separator", ",;\t")
@pytest.mark.parametrize("kind", ["usage", "register"])
def test_a_lone_zero_and_uneven_groups_are_never_thousands(kind, separator):
    assert asked("0,312", "12", kind=kind, separator=separator) == ","
    assert asked("8,312", "8,31", kind=kind, separator=separator) == ","
    assert asked("1234,567", kind=kind, separator=separator) == ","
    assert asked("0.312", "8.312", kind=kind, separator=separator, decimal=",") == "."


def test_three_decimals_behind_every_comma_in_a_file_of_semicolons():
    assert asked("8,312", "9,313", separator=";") == ","
    assert asked("135,000", "135,200", kind="register", separator=";") == ","
    assert asked("135,000", None, "", "135,200", kind="register", separator=";") == ","


def test_whole_numbers_beside_them_make_the_comma_one_between_thousands():
    assert asked("950", "980", "995", "1,010", "1,030", kind="register", separator=";") is None
    assert asked("1,234,567", "8,312", kind="register", separator=";") is None
    assert asked("1,234.5", "8,312", kind="register", separator=";") is None


def test_what_no_home_uses_in_a_day_is_no_group_of_thousands():
    assert asked("8,312", "9,313", unit="kWh") == ","
    assert asked("1,312", "1,313", unit="litre") is None
    assert asked("8,312", "9,313", kind="register") is None


def test_points_where_commas_are_expected():
    assert asked("8.312", "9.313", kind="register", decimal=",") == "."
    assert asked("8.312", "9.313", "8.312,5", kind="register", decimal=",") is None
    assert asked("950", "980", "995", "1.010", kind="register", decimal=",") is None


def test_other_columns_cost_and_say_nothing():
    assert asked("12.5", "13", None) is None and asked() is None
    assert asked("n,a", "12") is None
