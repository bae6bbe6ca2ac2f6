"""The data sets of the benchmark as grids: simulated cities with their truth, and the real homes of
sample_data."""

from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl

from anomaly import readings as room
from anomaly.calendar import calendar_days
from anomaly.expected import Grid, make_grid
from anomaly.simulate import PRESETS, simulate, standard_city
from pipelines.config.settings import load_settings
from pipelines.ingest.files import find_files
from pipelines.ingest.formats import read_file
from tests.benchmarks.scoring import Episodes

SAMPLES = Path(__file__).parents[2] / "sample_data"
FIRST_NIGHT = 200  # of a city: nights before it are history only
SIZES = (2.0, 5.0)  # people over people before
LEAST_HISTORY = 21  # known days before a surge that recall asks for
CITIES = {name: (name, SIZES) for name in PRESETS} | {
    "mixed-x2": ("mixed", (2.0, 2.0)),
    "mixed-x1.5": ("mixed", (1.5, 1.5)),
}
CITY_RULES = {
    "entries": room.SignalRule("entries", "count"),
    "water": room.SignalRule("water", "register", "m3"),
    "power": room.SignalRule("power", "register", "kWh"),
}


@dataclass(frozen=True)
class World:
    """A grid, what truly happened in it and the nights to be judged, [start, stop)."""

    name: str
    grid: Grid
    truth: Episodes
    nights: tuple[int, int]
    stands_for: float = 1.0  # homes for each home without an episode, where only some of these are in it

    @property
    def present(self) -> np.ndarray:
        """(H, T) bool: some signal of the home has a value that day."""
        return ~np.isnan(self.grid.value).all(axis=0)

    def part(self, homes: int) -> "World":
        """All homes with an episode and `homes` of the others, evenly taken."""
        others = np.setdiff1d(np.arange(len(self.grid.households)), self.truth.home)
        taken = others[np.linspace(0, len(others) - 1, min(homes, len(others))).astype(int)]
        keep = np.unique(np.concatenate([self.truth.home, taken]))
        grid = replace(
            self.grid,
            households=tuple(self.grid.households[h] for h in keep),
            group=self.grid.group[keep],
            **{name: getattr(self.grid, name)[:, keep] for name in ("value", "lag", "resolution")},
        )
        truth = replace(self.truth, home=np.searchsorted(keep, self.truth.home))
        return replace(self, grid=grid, truth=truth, stands_for=len(others) / max(len(taken), 1))


def city(name: str, seed: int, homes: int = 1000, days: int = 427) -> World:
    """A standard city read as its exports would be; recall asks for the surges of occupancy, leaks are right
    to alarm on."""
    preset, sizes = CITIES[name]
    plan = replace(standard_city(preset, homes, days), surge_sizes=sizes)
    frames = simulate(plan, seed)
    parts = [room.daily_readings(_rows(frames[signal], rule), rule) for signal, rule in CITY_RULES.items()]
    daily = room.cross_check(pl.concat(parts), {name: rule.kind for name, rule in CITY_RULES.items()})
    register = frames["households"].filter(pl.col("class") == "dwelling")
    moved = register.select("household_id", "moved_in")
    daily = daily.join(moved, left_on="household", right_on="household_id").filter(
        pl.col("moved_in").is_null() | (pl.col("day") >= pl.col("moved_in"))
    )
    last = daily["day"].max()
    calendar = calendar_days(plan.calendar, plan.first_day, last)
    grid = make_grid(daily, calendar, dict(register.select("household_id", "district").iter_rows()))
    nights = (FIRST_NIGHT, grid.days)
    return World(f"{name}/{seed}", grid, _city_truth(frames["truth"], grid, nights), nights)


def _rows(frame: pl.DataFrame, rule: room.SignalRule) -> pl.DataFrame:
    """An export's frame as `merge_rows` gives it."""
    value = "entries" if rule.kind == "count" else "reading"
    exits = [pl.col("exits").cast(pl.String)] if rule.kind == "count" else []
    raw = frame.select(
        *exits,
        household="household_id",
        time=pl.col("day").cast(pl.String),
        value=pl.col(value).cast(pl.String),
    ).with_row_index("row", 1)
    rows, _ = room.parse_rows(raw.with_columns(pl.col("row").cast(pl.Int64)), rule)
    rows = rows.with_columns(order=pl.lit("one file"))
    return room.merge_rows(rows.clear(), rows)[0]


def _city_truth(truth: pl.DataFrame, grid: Grid, nights: tuple[int, int]) -> Episodes:
    """Targets of the city's dwellings; asked: occupancy that begins in the judged nights, a week before their
    end at the latest,
    in a home with data during it and three weeks of them before: of a home nobody knew, nobody can say that
    it surged."""
    at = {home: h for h, home in enumerate(grid.households)}
    targets = truth.filter(pl.col("target") & pl.col("household_id").is_in(list(at)))
    home = np.array([at[h] for h in targets["household_id"]], dtype=np.int64)
    first, last = (
        np.array([grid.index(day) for day in targets[name]], dtype=np.int64) for name in ("first", "last")
    )
    known = ~np.isnan(grid.value).all(axis=0)
    seen = np.array(
        [
            known[h, a : b + 1].any() and known[h, :a].sum() >= LEAST_HISTORY
            for h, a, b in zip(home, first, last, strict=True)
        ],
        dtype=bool,
    )
    asked = (
        (targets["kind"] == "occupancy").to_numpy() & (first >= nights[0]) & (first <= nights[1] - 8) & seen
    )
    return Episodes(home, first, last, targets["size"].to_numpy(), asked)


def sample(name: str) -> Grid:
    """The readings of a sample of real homes, read by its own settings; every home is its own peer group."""
    settings = load_settings(SAMPLES / name / "anomaly.toml")
    parts = []
    for signal, source in settings.sources.items():
        rule, rows = settings.rules[signal], []
        for path in find_files(settings.root, source):
            new, _ = room.parse_rows(read_file(path, source), rule)
            rows.append(new.with_columns(order=pl.lit(room.file_sort_key(path.name))))
        rows = pl.concat(rows)
        parts.append(room.daily_readings(room.merge_rows(rows.clear(), rows)[0], rule))
    daily = room.cross_check(pl.concat(parts), {name: rule.kind for name, rule in settings.rules.items()})
    calendar = calendar_days(settings.site.calendar, daily["day"].min(), daily["day"].max())
    return make_grid(daily, calendar, dict.fromkeys(daily["household"].unique()))


def span(grid: Grid, first: date, last: date) -> tuple[int, int]:
    """The nights first … last, both included, as [start, stop)."""
    return grid.index(first), grid.index(last) + 1


def labelled_days(name: str, grid: Grid) -> np.ndarray:
    """(T,) bool: the days with a labelled event."""
    events = pl.read_csv(SAMPLES / name / "events.csv", infer_schema=False)["date"].str.to_date()
    out = np.zeros(grid.days, dtype=bool)
    out[[grid.index(day) for day in events]] = True
    return out
