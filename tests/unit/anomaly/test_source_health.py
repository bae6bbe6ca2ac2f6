"""Whole, late, thin or dead: told from how many homes have which day."""

import datetime as dt

import polars as pl
import pytest

from anomaly.source_health import HOME_COUNT_SCHEMA, source_health, usual_age_days

NIGHT = dt.date(2026, 3, 31)


def counts(*judged_by_age: tuple[int, int], homes: int = 10, days: int = 28) -> pl.DataFrame:
    """Return counts of `days` days with all homes judged but where a pair (age, judged) says otherwise."""
    judged = dict(judged_by_age)
    rows = [(NIGHT - dt.timedelta(days=age), homes, judged.get(age, homes), 0) for age in range(days)]
    return pl.DataFrame(rows, schema=HOME_COUNT_SCHEMA, orient="row")


def ending(age: int, *judged_by_age: tuple[int, int]) -> pl.DataFrame:
    """Return counts of a source whose last day lies `age` days before the night."""
    return counts(*judged_by_age, days=60).filter(pl.col("day") <= NIGHT - dt.timedelta(days=age))


@pytest.mark.parametrize(
    ("found", "usual_age", "status", "age"),
    [
        (counts(), None, "ok", 0),
        (ending(3), None, "ok", 3),
        (ending(4), None, "late", 4),
        (ending(10), None, "late", 10),
        (ending(11), None, "dead", 11),
        (ending(16), None, "dead", 16),
        (ending(16), 8, "ok", 16),  # a source that comes every fortnight
        (ending(24), 8, "dead", 24),
        (ending(4), 1, "ok", 4),
        (counts((0, 4)), None, "ok", 1),  # meters of which some are read a day later
        (counts((0, 4)), 0, "thin", 1),  # … where earlier nights say that they are not
        (counts((0, 4)), 1, "ok", 1),
        (counts((0, 4), (1, 4)), None, "thin", 2),
        (counts((0, 5)), 0, "ok", 0),
        (counts(*((age, 1) for age in range(28))), None, "thin", 0),  # 9 of 10 days are missing
        (counts(*((age, 0) for age in range(28))), None, "dead", None),
        (counts(days=0), None, "dead", None),
        (ending(20, *((age, 1) for age in range(20, 60))), None, "dead", 20),
    ],
)
def test_status(found, usual_age, status, age):
    health = source_health(found, NIGHT, usual_age)
    assert (health.status, health.age_days) == (status, age)


def test_numbers_of_a_night():
    found = counts((0, 8), (2, 9)).with_columns(estimated=pl.lit(2))
    health = source_health(found, NIGHT)
    assert (health.newest_day, health.homes_usual, health.homes_read) == (NIGHT, 10, 8)
    assert (health.share_judged, health.estimated) == (0.8, 2)


def test_a_source_that_ends_before_the_night_has_no_share_of_it():
    health = source_health(ending(3), NIGHT)
    assert (health.homes_read, health.share_judged) == (10, 0.0)


def test_days_after_the_night_have_no_say():
    later = pl.DataFrame([(NIGHT + dt.timedelta(days=1), 99, 99, 0)], schema=HOME_COUNT_SCHEMA, orient="row")
    assert source_health(pl.concat([counts(), later]), NIGHT) == source_health(counts(), NIGHT)


def test_homes_that_earlier_nights_read_are_missed():
    assert source_health(counts(), NIGHT, 0, homes_before=20).status == "ok"
    assert source_health(counts(), NIGHT, 0, homes_before=21).status == "thin"


def test_the_usual_age_is_the_median_of_enough_nights():
    assert usual_age_days([3, 3, 3, 3]) is None
    assert usual_age_days([0, 3, 1, 3, 9]) == 3
