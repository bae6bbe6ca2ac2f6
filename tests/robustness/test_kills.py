"""Killed at any moment: the published file is yesterday's or tonight's, nothing recorded is lost, and the
next run mends the rest."""

import datetime as dt
import itertools
import multiprocessing
import random
import shutil
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import polars as pl
import pytest

from pipelines.config.settings import load_settings
from pipelines.ingest.loader import load
from pipelines.jobs import record_outcome, retention
from pipelines.storage import daily_readings
from pipelines.storage.state import Store
from tests.support import kills
from tests.support.site import LAST, SIGNALS, SURGED, Site, daily, day, rows

HOMES = 36
SEED = 20260514
COMMANDS = ["first", "later", "compaction", "backfill", "decide", "import", "assign", "prune"]
TIMES = 3
"""Kills at random times of each command, beside those at its writes."""
WRITES = 24
"""Writes of each command before which it is killed, at even steps from the first to the last."""


def put_days(site: Site, first: dt.date, last: dt.date, name: str) -> None:
    """Files of every signal with the rows of those days."""
    for signal, values in daily(HOMES).items():
        told = rows(signal, values).filter(pl.col("day").is_between(pl.lit(str(first)), pl.lit(str(last))))
        site.put(f"{signal}-{name}.csv", told)


def fresh(root: Path) -> Site:
    """A site with a register, three files a signal, and nothing loaded."""
    root.mkdir(parents=True)
    site = Site(root)
    site.configure(
        SIGNALS, more='[households]\nfiles = "homes.csv"\ncolumns = { household = "id", district = "d" }\n'
    )
    site.put("homes.csv", "id,d\n" + "".join(f"{h:04},{'AB'[h % 2]}\n" for h in range(HOMES)))
    for number in range(3):
        put_days(site, day(24 * number), day(24 * number + 23 if number < 2 else -3), str(number))
    return site


def prepared(root: Path, name: str) -> tuple[Site, tuple[str, ...]]:
    """A site on which the command of that name has something to do, and the command."""
    site = fresh(root)
    if name == "first":
        return site, ("nightly",)
    site.nightly()
    (code,) = site.view("worklist").filter(pl.col("household") == SURGED)["case_id"]
    site.nightly("--night", str(day(-4)))
    assert (
        site.run("decide", code, "no_access", "--reason", "nobody in", "--day", str(day(-3))).exit_code == 0
    )
    if name == "later":
        put_days(site, day(-2), LAST, "3")
        return site, ("nightly",)
    if name == "compaction":
        return many_parts(site), ("nightly",)
    if name == "prune":
        keep = (kills.TODAY - day(-4)).days
        site.change(
            "[households]",
            f"[retention]\nreadings_days = {(kills.TODAY - day(30)).days}\nnights_days = {keep}\nreports_days = {keep}\n\n[households]",
        )
        site.nightly()
        return site, ("prune",)
    field = site.put(
        "field.csv",
        "case,day,outcome,reason\n" + "".join(f"{code},{day(-n)},no_access,visit {n}\n" for n in (5, 4, 3)),
    )
    return site, {
        "backfill": ("backfill", "--from", str(day(-6)), "--to", str(day(-3)), "--reports"),
        "decide": ("decide", code, "benign", "--reason", "guests", "--day", str(day(-3))),
        "import": ("outcomes import", str(field)),
        "assign": ("assign", code, "--to", "team 2"),
    }[name]


def many_parts(site: Site) -> Site:
    """The site with so many loads behind it that the next one puts months together."""
    settings = load_settings(site.settings)
    store = Store(settings.store)
    power = rows("power", daily(HOMES)["power"])
    for number in range(daily_readings.MAX_LOOSE_PARTITIONS + 1):
        late = power.filter(pl.col("day") == str(day(number))).with_columns(used=pl.lit("9.25"))
        site.put(f"power-3-{number:02}.csv", late)
        with store.locked():
            load(settings, store, LAST)
    put_days(site, day(-2), LAST, "4")
    return site


def split(command: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(" ".join(command[:1]).split()) + command[1:]


def trial(
    root: Path,
    source: Path,
    at: int | float,
    command: tuple[str, ...],
    before: kills.SiteState,
    after: kills.SiteState,
) -> list[str]:
    """Kill the command on a copy of the site, and look; run it again, and look again."""
    kills.fix_today()
    shutil.copytree(source, root)
    site = Site(root)
    killed = kills.kill(site, at, *split(command))
    told = kills.troubles(site, before, after) if killed else []
    told += kills.troubles_after_rerun(site, after, *command)
    shutil.rmtree(root)
    return [f"killed at {at}: {line}" for line in told] + (
        [] if killed or isinstance(at, float) else [f"killed at {at}: it was not"]
    )


@pytest.fixture(autouse=True)
def calendar(monkeypatch):
    """The day is held in this process too, and let go again."""
    for module in (record_outcome, retention):
        monkeypatch.setattr(module, "local_today", module.local_today)
    kills.fix_today()


@pytest.fixture(scope="module")
def lanes():
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool:
        yield pool


def survive(lanes, root: Path, name: str, some) -> int:
    """Kill the command of that name at `some` of (its writes, its seconds); every kill must be survived. How
    many there were."""
    site, command = prepared(root / "before", name)
    before = kills.site_state(site)
    whole = shutil.copytree(site.root, root / "after")
    writes, seconds = kills.writes_of(Site(whole), *split(command))
    after = kills.site_state(Site(whole))
    points = some(writes, seconds)
    copies = (root / str(number) for number in range(len(points)))
    same = (itertools.repeat(value) for value in (command, before, after))
    found = lanes.map(trial, copies, itertools.repeat(site.root), points, *same)
    assert [line for told in found for line in told] == []
    return len(points)


def throughout(writes: int, seconds: float) -> list[int | float]:
    """Writes and moments of a command at which it is killed."""
    chance = random.Random(SEED)
    some = min(writes, WRITES)
    return [
        *(1 + n * (writes - 1) // (some - 1) for n in range(some)),
        *(chance.uniform(0, seconds) for _ in range(TIMES)),
    ]


@pytest.mark.endurance
@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_killed_anywhere(lanes, tmp_path, name):
    assert survive(lanes, tmp_path, name, throughout) >= 200 / len(COMMANDS)


def thrice(writes: int, seconds: float) -> list[int | float]:
    """In the first half of its writes, near the last, and at half time."""
    return [writes // 3, writes - 2, seconds / 2]


@pytest.mark.parametrize(
    "name", ["decide", *(pytest.param(name, marks=pytest.mark.long) for name in COMMANDS if name != "decide")]
)
def test_a_command_killed_thrice(lanes, tmp_path, name):
    assert survive(lanes, tmp_path, name, thrice) == 3
