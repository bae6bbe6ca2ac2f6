"""What goes wrong around a night: each ends in one line and the right code, yesterday's file or tonight's,
and the next night mends it."""

import datetime as dt
import errno
import os
import random
import shutil
import signal
import subprocess
import time
from pathlib import Path

import polars as pl
import pytest

from pipelines.jobs import nightly as flow
from pipelines.storage.state import Store
from tests.support.kills import differing, recorded, shown, start
from tests.support.site import LAST, SURGED, VALUE, Site, daily, day, make_site, rows, until

FULL = os.strerror(errno.ENOSPC)


def bring(site: Site, last: dt.date = LAST) -> None:
    """The exports up to the end of `last`."""
    for name, values in daily().items():
        site.put(f"{name}.csv", until(rows(name, values), last))


def one_line(told: str, *words: str) -> None:
    assert told.count("\n") == 1 and all(word in told for word in words), told


def same(site: Site, other: Site, but: tuple[str, ...] = ()) -> None:
    """Both show the same; how many runs it took, and what each changed, is told, and is another matter."""
    differ = {line.split()[0] for line in differing(shown(site), shown(other))}
    assert differ - {"runs", "revisions", *but} == set()


@pytest.fixture
def yesterday(tmp_path) -> Site:
    """A site judged last night; its exports of tonight wait to be brought."""
    site = make_site(tmp_path / "site", last=day(-2))
    site.nightly()
    return site


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> Site:
    """The same two nights with nothing in their way."""
    site = make_site(tmp_path_factory.mktemp("undisturbed"), last=day(-2))
    site.nightly()
    bring(site)
    site.nightly()
    return site


# disks


@pytest.fixture
def disk(tmp_path):
    """Make a small disk of its own at a place; what is mounted is taken down again."""
    mounted = []

    def mount(place: Path, kilobytes: int) -> Path:
        place.mkdir(parents=True, exist_ok=True)
        made = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "none", str(place)],
            capture_output=True,
            text=True,
        )
        if made.returncode:
            pytest.skip(f"a disk of its own can only be mounted as root: {made.stderr.strip()}")
        mounted.append(place)
        return place

    yield mount
    for place in mounted:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def fill(place: Path, spare: int) -> Path:
    """Leave no more than so many bytes on a disk."""
    filler = place / "filler"
    free = os.statvfs(place)
    filler.write_bytes(b"\0" * max(0, free.f_bavail * free.f_frsize - spare))
    return filler


def test_a_full_disk_leaves_yesterdays_file_and_the_next_run_makes_it_good(tmp_path, disk, undisturbed):
    place = disk(tmp_path / "site" / "out", 64_000)
    site = make_site(tmp_path / "site", last=day(-2))
    site.nightly()
    bring(site)
    before = shown(site)
    for spare in (0, 60_000, 400_000, 1_500_000):  # the load, the night and the draft fail
        filler = fill(place, spare)
        one_line(site.nightly(code=4).stderr, FULL, "yesterday's file stands", "make room and run again")
        assert shown(site) == before
        assert not list(place.rglob("*.draft"))
        filler.unlink()
    site.nightly()
    same(site, undisturbed)


def test_a_decision_on_a_full_disk_is_recorded_or_refused_and_once_is_enough(tmp_path, disk):
    place = disk(tmp_path / "site" / "out", 64_000)
    site = make_site(tmp_path / "site")
    site.nightly()
    said = ("decide", site.view("cases")["case_id"][0], "benign", "--reason", "guests", "--day", str(LAST))
    for spare in (0, 500_000):  # the journal and the draft fail
        filler, before = fill(place, spare), shown(site)
        one_line(site.run(*said).stderr, FULL, "make room and run again")
        assert shown(site) == before and len(recorded(site)[0]) == (spare > 0)
        filler.unlink()
    assert "it was recorded already" in site.run(*said).stderr
    assert site.view("outcomes")["reason"].to_list() == ["guests"] and site.run("audit verify").exit_code == 0


def test_a_report_folder_that_takes_nothing_is_2_and_the_report_comes_later(
    tmp_path, disk, yesterday, undisturbed
):
    site, place = yesterday, tmp_path / "pages"
    site.change("[store]", f'[reports]\npath = "{place}"\n\n[store]')
    bring(site)
    disk(place, 4_000)
    filler = fill(place, 8_000)
    one_line(
        site.nightly(code=2).stderr, str(place), FULL, "the file is published, its report is not", "run again"
    )
    same(site, undisturbed)
    subprocess.run(["mount", "-o", "remount,ro", str(place)], check=True)
    before = site.file.read_bytes()
    one_line(site.nightly(code=2).stderr, str(place), os.strerror(errno.EROFS), "[reports] path")
    assert site.file.read_bytes() == before
    subprocess.run(["mount", "-o", "remount,rw", str(place)], check=True)
    filler.unlink()
    site.nightly()
    same(site, undisturbed)
    assert (place / str(LAST) / "index.html").exists() and not list(place.glob(".*"))


# others on the same machine


def test_a_second_run_is_told_which_process_and_command_hold_the_lock_and_since_when(yesterday, monkeypatch):
    monkeypatch.setattr(flow, "RUN_LOCK_SECONDS", 0.1)
    bring(yesterday)
    holder = yesterday.file.parent / "run.holder"
    with start(yesterday, 0, "nightly") as first:
        deadline = time.monotonic() + 60
        while not holder.exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        first.send_signal(signal.SIGSTOP)
        second = yesterday.run("nightly")
        first.send_signal(signal.SIGCONT)
        first.communicate(timeout=60)
    assert (first.returncode, second.exit_code) == (0, 11)
    one_line(
        second.stderr, f"process {first.pid}, anomaly nightly, since 20", "wait for it to end, or stop it"
    )
    assert yesterday.view("runs")["night"].to_list() == [day(-2), LAST]


def clock(monkeypatch, ahead: dt.timedelta) -> None:
    """The night's clock goes so far ahead, or behind."""

    class Clock(dt.datetime):
        @classmethod
        def now(cls, zone=None):
            return dt.datetime.now(zone) + ahead

    class Time:
        def __getattr__(self, name):
            return Clock if name == "datetime" else getattr(dt, name)

    monkeypatch.setattr(flow, "dt", Time())


def test_a_clock_that_jumps_back_and_forward_loses_nothing(yesterday, undisturbed, monkeypatch):
    now = dt.datetime.now()
    bring(yesterday)
    clock(
        monkeypatch, dt.datetime.combine(day(-3), dt.time(3)) - now
    )  # to before the last day of the exports
    yesterday.nightly(code=3)
    assert (
        set(yesterday.view("rejects")["reason"]) == {"in the future"}
        and yesterday.view("runs")["night"].max() < LAST
    )
    clock(monkeypatch, dt.timedelta(days=400))
    assert "no source has a whole day since" in yesterday.nightly(code=3).stderr
    same(yesterday, undisturbed, but=("sources",))  # which tell of the rows refused meanwhile
    clock(monkeypatch, day(-1) + dt.timedelta(days=1) - now.date())
    assert "nothing to do" in yesterday.nightly().stderr
    assert yesterday.run("audit verify").exit_code == 0


# state that went bad on the disk


@pytest.mark.parametrize("harm", ["a bit", "cut"])
@pytest.mark.parametrize("kind", ["days", "rows"])
def test_a_damaged_part_is_named_and_made_anew_once_it_is_gone(tmp_path, yesterday, kind, harm):
    part = min((yesterday.root / "out/state" / kind / "power").glob("*.parquet"))
    whole = part.read_bytes()
    chance = random.Random(kind + harm)
    late = pl.DataFrame({"id": ["0003"], "day": [str(day(5))], "used": ["4.5"]})
    before = shown(yesterday)
    for name in ("power-2.csv", "power-3.csv"):  # late rows, so that the part is looked at
        yesterday.put(name, late)
    for _ in range(2):
        at = chance.randrange(len(whole))
        part.write_bytes(
            whole[:at]
            if harm == "cut"
            else whole[:at] + bytes([whole[at] ^ 1 << chance.randrange(8)]) + whole[at + 1 :]
        )
        one_line(
            yesterday.nightly(code=4).stderr, f"{kind}/power/{part.name}", "remove that file and run again"
        )
        assert shown(yesterday) == before
    part.unlink()
    yesterday.nightly()
    anew = Site(shutil.copytree(yesterday.root, tmp_path / "anew", ignore=shutil.ignore_patterns("out")))
    anew.nightly()
    same(yesterday, anew)


@pytest.mark.parametrize(
    "name",
    [
        "carry/power/*.rows.parquet",
        pytest.param("carry/water/??????.parquet", marks=pytest.mark.long),
        "nights/*/evidence.parquet",
        pytest.param("nights/*/control.parquet", marks=pytest.mark.long),
    ],
)
def test_a_torn_file_that_can_be_made_anew_is_told_and_made_anew(yesterday, undisturbed, name):
    bring(yesterday)
    (torn,) = (yesterday.root / "out/state").glob(name)
    torn.write_bytes(torn.read_bytes()[:-5])
    assert f"{torn}: was damaged, and is made anew\n" in yesterday.nightly().stderr
    same(yesterday, undisturbed)


@pytest.mark.parametrize("name", ["nights/*/late.json", "register.parquet", "late.jsonl", "chain.json"])
def test_a_torn_file_ends_the_night_before_anything_is_written(yesterday, name):
    bring(yesterday)
    Store(yesterday.file).write("register.parquet", pl.DataFrame({"household": ["0001"]}))
    Store(yesterday.file).append_line("late.jsonl", {"number": 0, "days": {"2026-03-09": 1}})
    Store(yesterday.file).append_line("late.jsonl", {"number": 1, "days": {"2026-03-09": 1}})
    (torn,) = (yesterday.root / "out/state").glob(name)
    torn.write_bytes(torn.read_bytes()[5:])
    before = files_of(yesterday)
    one_line(
        yesterday.nightly(code=4).stderr,
        str(torn),
        "is damaged",
        "from a copy" if name.startswith(("late", "chain")) else "run again",
    )
    assert files_of(yesterday) == before


def files_of(site: Site) -> dict[str, bytes]:
    """Return the content of every file of the store but the log and the settled checksums."""
    files = (
        path
        for path in site.file.parent.rglob("*")
        if path.is_file() and path.name not in ("log.jsonl", "sums.json")
    )
    return {str(path): path.read_bytes() for path in files}


def test_a_lost_list_of_homes_never_mixes_homes(yesterday, undisturbed):
    """What lies under a number is somebody else's under another list: all is loaded again, or nothing is."""
    bring(yesterday)
    homes = yesterday.root / "out/state/homes.parquet"
    homes.unlink()
    moved = (yesterday.root / "water.csv").rename(yesterday.root / "elsewhere")
    one_line(yesterday.nightly(code=4).stderr, "homes.parquet: is lost", "water.csv")
    moved.rename(yesterday.root / "water.csv")
    yesterday.nightly()
    same(yesterday, undisturbed)


# exports


def test_a_file_cut_within_its_last_line_is_made_good_by_the_whole_one(yesterday, undisturbed):
    bring(yesterday)
    whole = (yesterday.root / "power.csv").read_bytes()
    yesterday.put("power.csv", whole[: whole.rindex(b",") - 3])
    assert yesterday.run("nightly").exit_code in (0, 3)
    yesterday.put("power.csv", whole)
    yesterday.nightly()
    same(yesterday, undisturbed)


def test_a_source_missing_tonight_and_there_tomorrow(yesterday, undisturbed):
    bring(yesterday)
    power = (yesterday.root / "power.csv").rename(yesterday.root / "elsewhere")
    assert "power stopped" in yesterday.nightly(code=3).stderr
    assert (
        yesterday.view("runs")["night"].max() == LAST
        and "power stopped" in yesterday.view("runs").sort("night")["notes"][-1]
    )
    assert (
        yesterday.view("expected")
        .filter((pl.col("day") == LAST) & (pl.col("signal") == "power") & pl.col("value").is_not_null())
        .is_empty()
    )
    power.rename(yesterday.root / "power.csv")
    yesterday.nightly()
    same(yesterday, undisturbed)
    assert SURGED in yesterday.view("worklist")["household"].to_list() and set(VALUE) == set(
        yesterday.view("expected")["signal"]
    )


# nights


def test_a_week_of_nights_skipped_is_said_and_caught_up(tmp_path):
    site = make_site(tmp_path, last=day(-8))
    site.nightly()
    bring(site)
    line = f"6 nights before {LAST} not judged: {day(-7)} … {day(-2)}; `anomaly backfill --from {day(-7)} --to {day(-2)}` judges them"
    assert line in site.nightly().stderr
    assert site.view("runs").sort("night")["notes"].to_list() == ["", line]
    assert site.run("backfill", "--from", str(day(-7)), "--to", str(day(-2))).exit_code == 0
    assert site.view("runs")["night"].n_unique() == 8 and site.view("evidence")["night"].n_unique() >= 5
    site.change('name = "Tiny"', 'name = "Small"')
    assert "not judged" not in site.nightly().stderr


def test_a_run_broken_off_is_finished_by_the_next_one(yesterday, monkeypatch):
    """Judged, published or not, and without a report: the next night brings what is missing of it."""
    with monkeypatch.context() as patch:
        patch.setattr(flow.night_report, "write_night_report", lambda *args: 1 / 0)
        yesterday.change('name = "Tiny"', 'name = "Small"')
        assert yesterday.run("nightly").exit_code == 1
    report = yesterday.root / "out/reports" / str(day(-2)) / "index.html"
    report.unlink()
    bring(yesterday)
    yesterday.nightly()
    assert report.exists() and yesterday.view("runs")["night"].unique().to_list() == [day(-2), LAST]
