import polars as pl

from anomaly.expected import peer_medians_frame
from tests.support.grids import day, grid_of

NORTH = {f"n{h}": [10 * (h + 1), 1] for h in range(3)}  # 10, 20, 30 on the first day
SOUTH = {f"s{h}": [1000, 2] for h in range(2)}


def told(series, least, homes=("n0",), late=None, districts=True):
    place = {home: "North" if home.startswith("n") else "South" for home in series} if districts else None
    grid = grid_of({(home, "water"): values for home, values in series.items()}, late, place)
    district_of = {home: int(grid.group[grid.households.index(home)]) for home in homes}
    return peer_medians_frame(grid, 1, district_of, 2, least).rows()


def test_the_median_of_the_district():
    assert told(NORTH | SOUTH, 3) == [("n0", "water", day(0), 20.0), ("n0", "water", day(1), 1.0)]


def test_a_small_district_is_told_by_the_whole_site():
    assert told(NORTH | SOUTH, 3, ("s0",))[0] == ("s0", "water", day(0), 30.0)  # of 10, 20, 30, 1000, 1000
    assert told(NORTH, 3, districts=False)[0][3] == 20.0


def test_too_few_homes_have_no_peers():
    assert told(NORTH, 4) == []
    assert told(NORTH | SOUTH, 6, ("n0", "s1")) == []


def test_a_day_that_too_few_know_is_left_out():
    assert told(NORTH | {"n2": [30, None]}, 3) == [("n0", "water", day(0), 20.0)]


def test_what_became_known_after_the_night_does_not_count():
    assert [row[2] for row in told(NORTH, 3, late={("n1", "water", 1): 1})] == [day(0)]


def test_each_home_by_its_own_district():
    rows = told(NORTH | SOUTH, 2, ("s1", "n1"))
    assert {(home, value) for home, _, at, value in rows if at == day(0)} == {("s1", 1000.0), ("n1", 20.0)}


def test_a_home_that_is_none_of_the_peers_is_told_by_those_of_its_district():
    grid = grid_of(
        {(home, "water"): values for home, values in (NORTH | SOUTH).items()},
        None,
        {home: "North" if home.startswith("n") else "South" for home in NORTH | SOUTH},
    )
    north = int(grid.group[grid.households.index("n0")])
    assert peer_medians_frame(grid, 1, {"elsewhere": north}, 1, 3).rows() == [
        ("elsewhere", "water", day(1), 1.0)
    ]


def test_no_home_at_all():
    grid = grid_of({(home, "water"): values for home, values in NORTH.items()})
    assert peer_medians_frame(grid, 1, {}, 2, 2).schema == {
        "household": pl.String,
        "signal": pl.String,
        "day": pl.Date,
        "peers": pl.Float64,
    }
