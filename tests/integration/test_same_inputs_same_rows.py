"""The same inputs, settings and version give the same tables, row for row: whatever the threads, the order of
rows, the files they come in."""

import os
import subprocess
import sys
from pathlib import Path

import duckdb
import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from anomaly import tables
from tests.support.paths import ROOT
from tests.support.site import LAST, SIGNALS, SURGED, Site, daily, day, make_site, rows

pytestmark = pytest.mark.long
CLOCK = ("run", "started_utc", "finished_utc")
BAD = {
    "entries": ("0003", "2026-05-02", "-4"),
    "water": ("0004", "2026-05-03", "wet"),
    "power": ("", "2026-05-04", "7.5"),
}
"""A row of each export that is refused."""


def everything(site: Site) -> dict[str, list[tuple]]:
    """Every view of v1 and table of meta, without the clock, as it lies in the file; the readings, which lie
    in blocks, in order."""
    with duckdb.connect(str(site.file), read_only=True, config={"threads": 1}) as con:
        names = [f"v1.{name}" for name in tables.PUBLISHED] + [f"meta.{name}" for name in tables.META]
        some = {"v1.runs": f"* EXCLUDE ({', '.join(CLOCK)})"}
        return {
            name: con.execute(
                f"SELECT {some.get(name, '*')} FROM {name}" + " ORDER BY ALL" * (name == "v1.readings")
            ).fetchall()
            for name in names
        }


def differing(one: dict[str, list], other: dict[str, list]) -> list[str]:
    return [name for name in one if one[name] != other[name]]


def exports(homes: int = 24) -> dict[str, pl.DataFrame]:
    """signal → its rows, one of them to be refused."""
    every = {name: rows(name, values) for name, values in daily(homes).items()}
    return {
        name: pl.concat([frame, pl.DataFrame([BAD[name]], schema=frame.schema, orient="row")])
        for name, frame in every.items()
    }


def site_of(root: Path, files: dict[str, pl.DataFrame], more: str = "") -> Site:
    """A site with these files, by name without ending."""
    root.mkdir(parents=True, exist_ok=True)
    site = Site(root)
    site.configure(SIGNALS, more=more)
    for name, frame in files.items():
        site.put(f"{name}.csv", frame)
    return site


LARGE = "[engine]\nsample_homes = 100\n"


@pytest.mark.parametrize(("homes", "more"), [(24, ""), (160, LARGE)], ids=["looked at whole", "by a sample"])
def test_with_one_thread_and_with_two_and_a_second_time(tmp_path, homes, more):
    files, told = exports(homes), []
    for number, threads in enumerate(("1", "2", "2")):
        site = site_of(tmp_path / str(number), files, more)
        env = os.environ | dict.fromkeys(
            ("POLARS_MAX_THREADS", "NUMBA_NUM_THREADS", "OMP_NUM_THREADS"), threads
        )
        code = "from pipelines.cli.commands import program; program()"
        asked = [
            sys.executable,
            "-c",
            code,
            "backfill",
            "--settings",
            str(site.settings),
            "--from",
            str(day(-3)),
            "--to",
            str(LAST),
        ]
        done = subprocess.run(
            asked,
            env=env | {"PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, done.stderr
        told.append(everything(site))
    assert differing(told[0], told[1]) == differing(told[1], told[2]) == []
    assert (
        SURGED in {row[2] for row in told[0]["v1.worklist"]} | {row[3] for row in told[0]["v1.worklist"]}
        and len(told[0]["v1.rejects"]) == 3
    )
    assert {row[0] for row in told[0]["v1.evidence"]} >= {LAST} and len(told[0]["v1.runs"]) == 3


@pytest.fixture(scope="module")
def plain(tmp_path_factory) -> dict[str, list[tuple]]:
    """What comes of one file a signal, day after day, and home after home within a day."""
    site = site_of(tmp_path_factory.mktemp("plain"), exports())
    site.nightly()
    return everything(site)


@settings(max_examples=8, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(0, 2**32 - 1), parts=st.integers(1, 4), at_once=st.booleans())
def test_in_any_order_and_in_any_files(tmp_path_factory, plain, seed, parts, at_once):
    """Rows shuffled over several files, which come all at once or night after night: the tables are the
    same."""
    rng = np.random.default_rng(seed)
    shuffled = {
        name: frame[rng.permutation(frame.height)].with_columns(
            part=pl.Series(rng.integers(0, parts, frame.height))
        )
        for name, frame in exports().items()
    }
    files = {
        f"{name}-{part}": frame.filter(pl.col("part") == part).drop("part")
        for name, frame in shuffled.items()
        for part in range(parts)
    }
    files = {name: frame for name, frame in files.items() if frame.height}
    root = tmp_path_factory.mktemp("other")
    names = list(rng.permutation(sorted(files)))
    if not at_once:
        first = {name: files[name] for name in names[: len(names) // 2 + 1]}
        site_of(root, first).run("nightly", "--night", str(LAST))
    site = site_of(root, {name: files[name] for name in names})
    site.nightly("--night", str(LAST))
    told = everything(site)
    where = [sorted((source, reason) for source, _, _, reason in one["v1.rejects"]) for one in (plain, told)]
    apart = {
        "v1.rejects",
        "v1.revisions",
        "v1.runs",
    }  # a refused row lies elsewhere, and the night may have been judged before
    assert set(differing(plain, told)) <= apart and where[0] == where[1] and len(where[0]) == 3
    assert told["v1.runs"][-1][:-1] == plain["v1.runs"][0][:-1]  # but for how often it was judged


def test_a_second_run_after_the_folder_was_removed(tmp_path, plain):
    site = make_site(tmp_path)
    for name, frame in exports().items():
        site.put(f"{name}.csv", frame)
    site.configure(SIGNALS)
    site.nightly()
    assert differing(plain, everything(site)) == []
