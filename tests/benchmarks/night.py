"""How long a night takes at size: a city of many homes made at once, its load, its publication and its night,
timed step by step.

    # one night, with its last day loaded first
    python tests/benchmarks/night.py --homes 100000 --days 400 --folder /tmp/city
    # a first load from files
    python tests/benchmarks/night.py --homes 100000 --days 30 --folder /tmp/city --first csv

Each step runs in a process of its own, so that seconds and peak memory are its own; what a night did when,
and with how much memory, goes to stderr, with --profile where its time went. `floor` is a bare scan of the
readings, in the same run.
"""

import argparse
import datetime as dt
import itertools
import json
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parents[1]))

from tests.benchmarks import elsewhere  # noqa: E402

FIRST = dt.date(2025, 3, 1)
SAMPLE = 700  # homes of which others are given the series
SIGNALS = ("entries", "power", "water")
MISSING = 0.015
BUILDING = 50  # homes behind one gateway
SETTINGS = """[site]
name = "Large"
timezone = "Asia/Shanghai"
languages = ["en"]
[purpose]
name = "Measuring the night"
legal_basis = "none needed: invented homes"
owner = "the benchmark"
contact = "objections@example.org"
expires = 2099-12-31
signatures = ["people", "water", "power", "door"]
[store]
path = "out/anomaly.duckdb"
[worklist]
doors_per_night = 200
[households]
files = "households.parquet"
columns = { household = "id", building = "building", district = "district" }
[signals.entries]
files = "entries/*"
kind = "count"
columns = { household = "id", time = "day", value = "entries" }
[signals.power]
files = "power/*"
kind = "register"
unit = "kWh"
columns = { household = "id", time = "day", value = "reading" }
[signals.water]
files = "water/*"
kind = "register"
unit = "m3"
columns = { household = "id", time = "day", value = "reading" }
"""


class City:
    """Homes drawn at once: levels, starts, outages; each day's values follow from a seed of their own."""

    def __init__(self, homes: int, days: int, seed: int = 1):
        rng = np.random.default_rng(seed)
        self.homes, self.days, self.seed = homes, days, seed
        self.level = {
            "entries": rng.lognormal(1.8, 0.5, homes),
            "power": rng.lognormal(9.04, 0.65, homes),
            "water": rng.lognormal(5.4, 0.62, homes),
        }
        late = rng.random(homes) < 0.2
        self.start = np.where(late, rng.integers(0, max(1, days * 3 // 5), homes), 0)
        buildings = -(-homes // BUILDING)
        self.outage = rng.integers(-days * 4, days, buildings), rng.integers(2, 7, buildings)
        self.away = rng.integers(0, 365, homes), rng.integers(3, 21, homes)
        self.surge = np.where(rng.random(homes) < 0.004, rng.integers(days // 2, days + 20, homes), days * 10)
        self.register = {name: rng.integers(100_000, 9_000_000, homes) for name in ("power", "water")}

    def ids(self) -> pl.Series:
        return pl.select(
            pl.format(
                "G{}-{}",
                pl.int_range(self.homes) // 1000,
                (pl.int_range(self.homes) % 1000).cast(pl.String).str.zfill(4),
            )
        ).to_series()

    def households(self) -> pl.DataFrame:
        number = np.arange(self.homes)
        return pl.DataFrame(
            {"id": self.ids(), "building": number // BUILDING, "district": number // 2000}
        ).with_columns(
            pl.format("B{}", "building").alias("building"), pl.format("D{}", "district").alias("district")
        )

    def day(self, number: int) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """signal → which homes have a row on that day, and the use of every home."""
        rng = np.random.default_rng((self.seed, number))
        away = (number - self.away[0]) % 365 < self.away[1]
        rise = np.where((number >= self.surge) & (number < self.surge + 25), 2.5, 1.0)
        begun, length = self.outage
        down = np.repeat((number >= begun) & (number < begun + length), BUILDING)[: self.homes]
        season = 1 + 0.15 * np.cos(2 * np.pi * number / 365)
        told = {}
        for name, level in self.level.items():
            mean = level * rise * season * np.where(away, 0.08, 1.0)
            use = (
                rng.poisson(mean)
                if name == "entries"
                else np.rint(mean * np.exp(rng.standard_normal(self.homes, np.float32) * 0.28)).astype(
                    np.int64
                )
            )
            told[name] = (self.start <= number) & ~down & (rng.random(self.homes, np.float32) >= MISSING), use
        return told

    def write(self, folder: Path, first: int, last: int, form: str, together: int = 1) -> int:
        """Exports of the days first … last - 1, `together` days a file; returns how many rows. Registers
        begin anew at day 0."""
        ids, rows, kept = self.ids(), 0, {name: [] for name in SIGNALS}
        reading = {name: register.copy() for name, register in self.register.items()}
        for number in range(last):
            for name, (there, use) in self.day(number).items():
                if name in reading:
                    reading[name] += use
                if number < first:
                    continue
                told = (reading[name][there] / 1000).round(3) if name in reading else use[there]
                day = FIRST + dt.timedelta(days=number)
                kept[name].append(
                    pl.DataFrame(
                        {
                            "id": ids.filter(pl.Series(there)),
                            "day": pl.repeat(day, int(there.sum()), dtype=pl.Date, eager=True),
                            "entries" if name == "entries" else "reading": told,
                        }
                    )
                )
                rows += int(there.sum())
                if len(kept[name]) == together or number == last - 1:
                    self._file(folder / name / f"{kept[name][0]['day'][0]}.{form}", pl.concat(kept[name]))
                    kept[name] = []
        return rows

    @staticmethod
    def _file(path: Path, frame: pl.DataFrame) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        frame.write_csv(path) if path.suffix == ".csv" else frame.write_parquet(path, compression="snappy")


def make(folder: Path, homes: int, days: int, form: str, together: int) -> None:
    """The city's files up to the day before the last, and its last day as three CSV files to be loaded by
    itself."""
    city = City(homes, days)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "anomaly.toml").write_text(SETTINGS, encoding="utf-8")
    city.households().write_parquet(folder / "households.parquet")
    rows = city.write(folder, 0, days - 1, form, together)
    city.write(folder / "late", days - 1, days, "csv")
    print(
        json.dumps(
            {
                "rows": rows,
                "last_rows": sum(
                    pl.scan_csv(p).select(pl.len()).collect().item() for p in (folder / "late").rglob("*.csv")
                ),
            }
        )
    )


def state(folder: Path, homes: int, days: int) -> None:
    """The store as it is after loading all days but the last, written directly; the last day's three CSV
    files wait to be loaded."""
    from anomaly import readings as room
    from pipelines.config.settings import load_settings
    from pipelines.ingest.incremental import StoredSignal
    from pipelines.ingest.ledger import LEDGER_FILE
    from pipelines.ingest.loader import MADE_WITH_FILE, made_with
    from pipelines.storage.daily_readings import STORED_CELL_SCHEMA, DailyReadings
    from pipelines.storage.home_numbers import HOMES_FILE, HOMES_PER_BLOCK, hash_order
    from pipelines.storage.rejects import REJECTS_FILE
    from pipelines.storage.state import Store

    city = City(homes, days)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "anomaly.toml").write_text(SETTINGS, encoding="utf-8")
    city.households().write_parquet(folder / "households.parquet")
    settings = load_settings(folder / "anomaly.toml")
    store = Store(settings.store)
    store.prepare()
    order = np.argsort(hash_order(city.ids()), kind="stable")
    store.write(HOMES_FILE, pl.DataFrame({"household": city.ids().gather(order)}))
    store.write(
        REJECTS_FILE,
        pl.DataFrame(schema={"source": pl.String, "file": pl.String, "row": pl.Int64, "reason": pl.String}),
    )
    reading = {name: register.copy() for name, register in city.register.items()}
    months: dict[str, list] = {name: [] for name in SIGNALS}
    number = np.argsort(order).astype(np.uint32)
    for at in range(days - 1):
        day = FIRST + dt.timedelta(days=at)
        for name, (there, use) in city.day(at).items():
            if name in reading:
                reading[name] += use
            begun = city.start <= at
            value = pl.Series(use[begun]).set(pl.Series(~there[begun]), None)
            quality = np.where(there[begun], 0, 4).astype(np.uint8)
            cells = {
                "home": number[begun],
                "day": pl.repeat(day, int(begun.sum()), dtype=pl.Date, eager=True),
                "value": value,
                "quality": quality,
            }
            zero = {
                "note": (quality == 4).astype(np.uint8),
                "lag": np.zeros(len(quality), np.int32),
                "mark": np.zeros(len(quality), np.uint8),
            }
            months[name].append(pl.DataFrame(cells | zero).cast(STORED_CELL_SCHEMA))
            if (day + dt.timedelta(days=1)).day == 1 or at == days - 2:
                part = pl.concat(months[name]).sort(pl.col("home") // HOMES_PER_BLOCK, "day", "home")
                DailyReadings(store, name).table.append(part, part["day"].min(), part["day"].max())
                months[name] = []
            if at == days - 2:
                rows = {
                    "home": number[there],
                    "time": pl.repeat(day, int(there.sum()), dtype=pl.Date, eager=True).cast(
                        pl.Datetime("us")
                    ),
                    "dated": True,
                }
                told = {
                    "value": reading.get(name, use)[there].astype(np.int64),
                    "exits": None,
                    "periods": None,
                    "row": 1,
                    "file": f"{name}/before.csv",
                }
                signal = StoredSignal(store, settings.rules[name])
                rows = pl.DataFrame(rows | told, strict=False).with_columns(
                    pl.col("exits", "value", "row").cast(pl.Int64), pl.col("periods").cast(pl.Int32)
                )
                signal.rows.add(rows)
                signal.write_state(
                    room.advance(
                        rows.rename({"home": "household"}),
                        settings.rules[name],
                        room.IncrementalState.initial(pl.UInt32),
                    )[1]
                )
    store.write_json(MADE_WITH_FILE, made_with(settings, store))
    store.write_json(LEDGER_FILE, [])
    city.write(folder, days - 1, days, "csv")


def load(folder: Path) -> None:
    """Whatever is new, into the store."""
    from pipelines.config.settings import load_settings
    from pipelines.ingest.loader import load as load_new
    from pipelines.storage.state import Store

    settings = load_settings(folder / "anomaly.toml")
    store = Store(settings.store)
    store.prepare()
    with store.locked():
        load_new(settings, store, dt.date(2099, 1, 1), lambda event: print(event.text, file=sys.stderr))


def night(folder: Path) -> None:
    """The whole nightly run, as the command does it: load what is new, judge, publish, report. Prints where
    the time went."""
    begun = time.perf_counter()
    steps = [("starting", begun)]
    from pipelines.runtime.progress import Progress

    def show(event: Progress) -> None:
        now = time.perf_counter()
        steps.append((re.split(r"[\d:]", event.text)[0].strip(), now))
        print(
            f"{now - begun:7.1f} s  {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:5.2f} GB  {event.text}",
            file=sys.stderr,
        )

    from pipelines.config.settings import load_settings
    from pipelines.jobs.nightly import nightly

    result = nightly(load_settings(folder / "anomaly.toml"), progress=show)
    show(Progress(f"done: {result.run}"))
    spent = dict.fromkeys((what for what, _ in steps[:-1]), 0.0)
    for (what, since), (_, until) in itertools.pairwise(steps):
        spent[what] += until - since
    print(json.dumps(spent))


STEPS = {"load": load, "night": night}


def timed(step: str, folder: Path) -> dict:
    """A step in a process of its own: seconds of wall clock and of processors (its own workers counted), peak
    memory, and what it printed."""
    begun = time.perf_counter()
    run = subprocess.Popen(
        [sys.executable, __file__, "--step", step, "--folder", str(folder)], stdout=subprocess.PIPE, text=True
    )
    said = run.stdout.read()
    _, status, used = os.wait4(run.pid, 0)  # of this step alone
    if status:
        raise SystemExit(f"{step} failed")
    return {
        "step": step,
        "seconds": round(time.perf_counter() - begun, 1),
        "cpu": round(used.ru_utime + used.ru_stime, 1),
        "peak_gb": round(used.ru_maxrss / 1e6, 2),
        "said": said,
    }


def floor(files: list[Path]) -> float:
    """Seconds of a bare scan of Parquet files: every value looked at once, nothing kept."""
    begun = time.perf_counter()
    for path in files:
        pl.scan_parquet(path, glob=False).select(pl.all().max()).collect(engine="streaming")
    return time.perf_counter() - begun


def peers(folder: Path, homes: int, days: int) -> list[dict]:
    """What others take for a night of as many series, from SAMPLE of the city's own: peer, series, seconds,
    refused."""
    city, there = City(homes, days), []
    for number in range(days):
        there.append(
            np.stack([np.where(known, use, np.nan)[:SAMPLE] for known, use in city.day(number).values()])
        )
    series = np.concatenate(np.stack(there, axis=2).astype(float))
    series = series[(~np.isnan(series)).sum(axis=1) > days // 2]
    told = [_stl(series)]
    with tempfile.TemporaryDirectory(prefix="night-") as place:
        np.save(Path(place) / "series.npy", series)
        try:
            command = [
                elsewhere.python_of(folder),
                HERE / "other" / "night_peers.py",
                Path(place) / "series.npy",
            ]
            told += [
                json.loads(line)
                for line in subprocess.run(
                    command, capture_output=True, text=True, check=True
                ).stdout.splitlines()
            ]
        except elsewhere.NoPeer as missing:
            print(missing, file=sys.stderr)
        except subprocess.CalledProcessError as failed:
            print(
                f"statsforecast, ADTK: left out, {(failed.stderr.strip() or 'no message').splitlines()[-1]}",
                file=sys.stderr,
            )
    return told


def _stl(series: np.ndarray, few: int = 30) -> dict:
    from statsmodels.tsa.seasonal import STL

    whole = (
        pl.DataFrame(series[:few].T, nan_to_null=True)
        .fill_null(strategy="forward")
        .fill_null(strategy="backward")
        .to_numpy()
        .T
    )
    begun = time.perf_counter()
    for one in whole:
        STL(one, period=7, robust=True).fit()
    return {
        "peer": "statsmodels STL, robust",
        "series": len(whole),
        "seconds": time.perf_counter() - begun,
        "refused": 0,
    }


def _made(step: str, given: argparse.Namespace, *more: object) -> None:
    """Made by a process of its own: those that are measured would be told with this one's peak memory."""
    asked = ["--step", step, "--homes", given.homes, "--days", given.days, "--folder", given.folder, *more]
    subprocess.run([sys.executable, Path(__file__).resolve(), *map(str, asked)], check=True)


def measure(given: argparse.Namespace) -> None:
    """Make the city, run the steps, print a row each; then what others would take, and where the night's time
    goes."""
    if given.first:
        _made("make", given, "--form", given.first, "--together", given.together)
        rows = sum(
            pl.scan_parquet(p).select(pl.len()).collect().item()
            if p.suffix == ".parquet"
            else pl.scan_csv(p).select(pl.len()).collect().item()
            for name in SIGNALS
            for p in (given.folder / name).iterdir()
        )
        told = [timed("load", given.folder)]
        print(f"{rows:,} rows, {rows / told[0]['seconds'] / 1e6:.2f} million a second")
    else:
        _made("state", given)
        told = [timed("load", given.folder), timed("night", given.folder)]
    kept = sorted((given.folder / "out/state/days").rglob("*.parquet"))
    bare = floor(kept)
    print(
        f"{given.homes:,} homes, {len(SIGNALS)} signals, {given.days} days, {sum(path.stat().st_size for path in kept) / 1e9:.2f} GB of readings"
    )
    print(f"{'step':<8}{'seconds':>9}{'cpu':>9}{'peak GB':>9}{'× floor':>9}")
    for row in told:
        print(
            f"{row['step']:<8}{row['seconds']:>9}{row['cpu']:>9}{row['peak_gb']:>9}{row['seconds'] / bare:>9.1f}"
        )
    print(f"{'floor':<8}{bare:>9.1f}")
    print("floor: a bare scan of the same Parquet files, every value looked at once")
    if told[-1]["said"]:
        print("\nwhere the night's seconds went")
        for what, seconds in json.loads(told[-1]["said"].splitlines()[-1]).items():
            print(f"  {what:<36}{seconds:>9.1f}")
    if given.first or given.no_peers:
        return
    night = told[-1]["cpu"]
    print(f"\n{'another, for as many series':<38}{'timed':>8}{'ms each':>10}{'hours':>9}{'× night':>9}")
    for peer in peers(given.peers_env, given.homes, given.days):
        each = peer["seconds"] / peer["series"]
        whole = each * given.homes * len(SIGNALS)
        refused = f"  ({peer['refused']} series refused)" if peer["refused"] else ""
        print(
            f"{peer['peer']:<38}{peer['series']:>8}{1000 * each:>10.2f}{whole / 3600:>9.2f}{whole / night:>9.1f}{refused}"
        )
    print(
        "hours, × night: of one processor, extrapolated from the series timed; the night's own processor time is its whole run"
    )


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    asked.add_argument("--homes", type=int, default=20_000)
    asked.add_argument("--days", type=int, default=400)
    asked.add_argument("--folder", type=Path, required=True)
    asked.add_argument("--form", choices=("csv", "parquet"), default="parquet")
    asked.add_argument("--together", type=int, default=7, help="days a file of the first load")
    asked.add_argument("--step", choices=("make", "state", *STEPS))
    asked.add_argument(
        "--profile", action="store_true", help="with --step: where its time went, function by function"
    )
    asked.add_argument("--no-peers", action="store_true", help="this tool alone")
    asked.add_argument(
        "--peers-env", type=Path, default=elsewhere.PEERS_ENV, help="folder of the peers' Python environment"
    )
    asked.add_argument(
        "--first", choices=("csv", "parquet"), help="measure a first load from such files instead of a night"
    )
    given = asked.parse_args()
    if given.step is None:
        measure(given)
    elif given.step == "make":
        make(given.folder, given.homes, given.days, given.form, given.together)
    elif given.step == "state":
        state(given.folder, given.homes, given.days)
    elif given.step and given.profile:
        import cProfile
        import pstats

        with cProfile.Profile() as profile:
            STEPS[given.step](given.folder)
        pstats.Stats(profile, stream=sys.stderr).sort_stats("cumulative").print_stats(45)
    elif given.step:
        from pipelines.cli.console import run_and_exit

        run_and_exit(partial(STEPS[given.step], given.folder))  # as the command does


if __name__ == "__main__":
    main()
