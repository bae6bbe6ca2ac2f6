from datetime import datetime, timedelta

import polars as pl
import pytest

from anomaly.readings import SignalRule, parse_rows
from pipelines.config.sections import Source
from pipelines.ingest.implausible_rows import refuse_implausible_rows
from pipelines.ingest.text_table import MalformedFile

FIRST = datetime(2026, 6, 1)


def told(rule, *cells):
    """What is said of rows of (home, days or hours after the first, value), None where nothing is."""
    raw = pl.DataFrame(
        [(home, str(at), str(value)) for home, at, value in cells],
        schema=["household", "time", "value"],
        orient="row",
    )
    rows, _ = parse_rows(raw.with_row_index("row", 1), rule)
    try:
        refuse_implausible_rows(rows, rule, Source(rule.name, "x.csv", {}))
    except MalformedFile as error:
        return f"{error.problem}; {error.remedy}"
    return None


def dated(home, step, values):
    return [(home, (FIRST + timedelta(days=step * n)).date(), value) for n, value in enumerate(values)]


def test_a_register_that_falls_every_day_is_none():
    register = SignalRule("power", "register", "kWh")
    hourly = [("a", FIRST + timedelta(hours=n), 0.4 * (n % 24)) for n in range(24 * 12)]
    line = told(register, *hourly)
    assert "falls back on 11 of 11 days" in line and 'restarts = "daily"' in line
    assert told(SignalRule("power", "register", "kWh", restarts="daily"), *hourly) is None
    uses = dated("a", 1, [8, 9, 7, 10, 8, 6, 9, 7, 11, 8])
    assert 'set kind = "usage" in [signals.power]' in told(register, *uses)


def test_a_register_that_is_exchanged_or_wavers_is_one():
    register = SignalRule("water", "register", "m3")
    assert told(register, *dated("a", 1, [100, 101, 102, 103, 2, 3, 4, 5, 6, 7])) is None
    assert told(register, *dated("a", 1, [100 + 0.005 * (n % 2) for n in range(20)])) is None


@pytest.mark.parametrize("days", [2, 7, 30])
def test_a_use_that_comes_every_few_days_is_no_days_use(days):
    use = SignalRule("power", "usage", "kWh")
    cells = dated("a", days, [50] * 6) + dated("b", days, [60] * 6)
    assert f"rows {days} days apart" in told(use, *cells)
    assert told(SignalRule("power", "register", "kWh"), *cells) is None


def test_a_use_with_lost_days_is_one():
    use = SignalRule("power", "usage", "kWh")
    assert told(use, *(cell for n, cell in enumerate(dated("a", 1, [5] * 30)) if n % 4)) is None
    few = dated("a", 7, [50] * 6) + dated("b", 1, [5] * 30) + dated("c", 1, [5] * 30)
    assert told(use, *few) is None


def test_a_use_that_no_home_can_have_is_in_another_unit():
    power = SignalRule("power", "usage", "kWh")
    cells = [cell for home in "abc" for cell in dated(home, 1, [8312, 9100, 7800])]
    assert 'set unit = "Wh" in [signals.power]' in told(power, *cells)
    assert told(power, *((home, at, value / 1000) for home, at, value in cells)) is None
    uncapped = SignalRule("power", "usage", "kWh", max_per_day=0)
    assert told(uncapped, *cells) is None
    low = SignalRule("water", "usage", "litre", max_per_day=50)
    assert "max_per_day" in told(low, *(cell for home in "abc" for cell in dated(home, 1, [200, 300])))
    one_home = [cell for home in "bcde" for cell in dated(home, 1, [8, 9])] + dated("a", 1, [8312, 9100])
    assert told(power, *one_home) is None
