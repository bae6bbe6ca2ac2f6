import polars as pl
import pytest

from anomaly.readings import SignalRule, parse_rows
from pipelines.config.sections import Source
from pipelines.ingest.refused_rows import describe_refused_rows, form_to_try, guess_time_format

COLUMNS = {"household": "id", "time": "Date", "value": "kWh"}
POWER = SignalRule("power", "usage", "kWh")


def told(*cells, rule=POWER):
    raw = pl.DataFrame(cells, schema=["household", "time", "value"], orient="row").with_row_index("row", 1)
    _, refused = parse_rows(raw, rule)
    return describe_refused_rows(refused, raw, rule, Source("power", "x.csv", COLUMNS), "power.csv")


def test_a_refused_row_is_told_with_its_cell_and_the_form_to_try():
    assert told(("a", "2026-06-01", "8"), ("a", "2026-06-02", "9,5"), ("a", "2026-06-03", "7,25")) == [
        "power: power.csv row 2: value not a number ('9,5', '7,25' in `kWh`), and 1 more; "
        'set decimal = "," in [signals.power]'
    ]
    assert told(("a", "31.07.2026 10:00", "8")) == [
        "power: power.csv row 1: time not readable ('31.07.2026 10:00' in `Date`); "
        'set time_format = "%d.%m.%Y %H:%M" in [signals.power]'
    ]


def test_the_commonest_reasons_come_first_and_cells_cannot_steer_the_terminal():
    lines = told(("a", "2026-06-01", "\x1b[31m--"), ("a", "2026-06-02", "-1"), ("a", "2026-06-03", "-2"))
    assert "value negative ('-1', '-2'" in lines[0] and "\x1b" not in "".join(lines)


@pytest.mark.parametrize(
    ("cell", "remedy"),
    [
        ("9,5", 'set decimal = ","'),
        ("1.234,5", 'set decimal = ","'),
        ("--", 'set absent = ["--"], where it says that there was no reading'),
        ("unavailable", 'set absent = ["unavailable"], where it says that there was no reading'),
        ("12.5 kWh", "export the number without its unit, and name that as `unit`"),
        ("12.5m3", "export the number without its unit, and name that as `unit`"),
    ],
)
def test_forms_of_numbers(cell, remedy):
    assert form_to_try("value not a number", cell, POWER) == remedy


@pytest.mark.parametrize(
    ("cell", "form"),
    [
        ("01/06/2026", "%d/%m/%Y"),
        ("06/13/2026", "%m/%d/%Y"),
        ("1.6.2026 00:15:00", "%d.%m.%Y %H:%M:%S"),
        ("06/13/2026 12:15 AM", "%m/%d/%Y %I:%M %p"),
        ("13 Jun 2026", "%d %b %Y"),
        ("yesterday", None),
    ],
)
def test_forms_of_times(cell, form):
    assert guess_time_format(cell) == form
