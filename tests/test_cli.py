"""The command: what it prints, where, and with which exit code."""

import csv
import datetime as dt
import json
import os
import subprocess
import sys
from collections import namedtuple
from pathlib import Path

import click
import filelock
import polars as pl
import pytest
from click.testing import CliRunner

from anomaly import __version__, tables
from pipelines.cli import main
from tests.site import HOMES, LAST, SURGED, Site, day, make_site

ROOT = Path(__file__).parents[1]


def anomaly(*args: str):
    return CliRunner().invoke(main, list(args))


def commands(group: click.Group = main, path: tuple[str, ...] = ()):
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))
        yield (*path, name), command


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Site:
    """Two nights of a site with one case; nobody changes it."""
    site = make_site(tmp_path_factory.mktemp("cli"))
    result = site.run("backfill", "--from", str(day(-2)), "--to", str(LAST))
    assert result.exit_code == 0, result.output
    return site


@pytest.fixture(scope="module")
def case(site) -> dict:
    return site.view("cases").filter(pl.col("household") == SURGED).row(0, named=True)


# help


@pytest.mark.parametrize("path", [path for path, _ in commands()], ids=" ".join)
def test_every_help_is_a_sentence_and_an_example(path):
    result = anomaly(*path, "--help")
    assert result.exit_code == 0
    body = [line.strip() for line in result.stdout.splitlines()[1:] if line.strip()]
    assert body[0][0].isupper() and any(line.endswith(".") for line in body[:3]), body
    (example,) = [line for line in body if line.startswith("Example: ")]
    assert example.startswith(f"Example: anomaly {' '.join(path)}")


def test_every_example_would_be_understood():
    """An example names a command and options that exist."""
    for path, command in commands():
        (line,) = [line for line in command.help.splitlines() if line.strip().startswith("Example: ")]
        words = line.split("Example: anomaly ")[1].split()
        if not isinstance(command, click.Group):
            command.make_parser(click.Context(command)).parse_args(args=words[len(path) :])


def test_help_lists_the_commands_and_version_the_version():
    listed = anomaly("--help").stdout
    for name in ("nightly", "backfill", "worklist", "explain", "evaluate", "simulate", "init", "doctor", "status", "calendar", "tables"):
        assert f"\n  {name}" in listed
    assert anomaly("--version").stdout == f"anomaly, version {__version__}\n"


def test_help_imports_nothing_slow():
    code = (
        "import sys\nfrom pipelines.cli import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        "print([name for name in ('polars', 'numba', 'duckdb', 'numpy', 'matplotlib', 'sklearn') if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]" and "Commands:" in done.stdout


@pytest.mark.parametrize(
    "args", [["nightly"], ["nightlyy"], ["nightly", "--settings", "s", "--night", "31.8.2026"], ["worklist", "--settings", "s", "--format", "xml"]]
)
def test_wrong_usage_is_2(args):
    result = anomaly(*args)
    assert result.exit_code == 2 and result.stdout == "" and "Traceback" not in result.stderr


# worklist


def test_worklist_as_a_table(site, case):
    night, head, row = site.run("worklist").stdout.splitlines()
    assert night == str(LAST) and head.split() == ["rank", "case", "home", "district", "kind", "desk", "rarity", "wrong"]
    assert row.split()[:6] == ["1", case["case_id"], SURGED, "-", "people", "occupancy"]


def test_worklist_as_csv_and_json_hold_every_column_of_the_view(site, case):
    (row,) = csv.DictReader(site.run("worklist", "--format", "csv").stdout.splitlines())
    assert list(row) == tables.Worklist.column_names() and (row["household"], row["case_id"]) == (SURGED, case["case_id"])
    (told,) = [json.loads(line) for line in site.run("worklist", "--format", "json").stdout.splitlines()]
    assert list(told) == tables.Worklist.column_names() and (told["household"], told["night"]) == (SURGED, str(LAST))
    assert told["rarity"] == pytest.approx(float(row["rarity"]))


def test_worklist_of_another_night_or_of_none(site):
    assert site.run("worklist", "--night", str(day(-2))).stdout.startswith(str(day(-2)))
    result = site.run("worklist", "--night", "2026-04-01")
    assert result.exit_code == 2 and "night 2026-04-01 was not judged; judged are 2026-05-13 … 2026-05-14" in result.stderr


def test_an_empty_list_is_a_good_night(tmp_path):
    site = make_site(tmp_path, last=day(30))
    site.nightly()
    assert site.run("worklist").stdout == f"{day(30)}: nobody to visit. An empty list is a good night.\n"
    assert site.run("worklist", "--format", "csv").stdout == ",".join(tables.Worklist.column_names()) + "\n"
    assert site.run("worklist", "--format", "json").stdout == ""


@pytest.mark.parametrize("command", ["worklist", "status", f"explain {SURGED}"])
def test_before_the_first_night_there_is_nothing_to_ask(tmp_path, command):
    site = make_site(tmp_path)
    result = site.run(command)
    assert result.exit_code == 2 and "not published yet; run `anomaly nightly" in result.stderr and result.stdout == ""


# explain


def test_explain_a_case_shows_its_evidence_and_every_day_behind_it(site, case):
    told = site.run(f"explain {case['case_id']}").stdout
    assert told.startswith(f"home {SURGED}, night {LAST}\ncase {case['case_id']}:")
    assert case["because_en"] in told and "A case is a reason to look" in told
    for row in site.view("evidence").filter((pl.col("household") == SURGED) & (pl.col("night") == LAST)).rows(named=True):
        assert f"×{row['ratio']:.2f}" in told and f"1 in {row['rarity']:,.0f} household-nights" in told
    last = site.view("expected").filter((pl.col("household") == SURGED) & (pl.col("day") == LAST) & (pl.col("night") == LAST))
    assert last.height == 3
    for row in last.rows(named=True):  # every number of the night's own day stands there as published
        (line,) = [line for line in told.split(f"\n{row['signal']} (")[1].splitlines() if line.strip().startswith(str(LAST))][:1]
        assert line.split()[1:5] == [f"{row[name]:,.0f}" for name in ("value", "expected", "low", "high")]
        assert float(line.split()[5]) == pytest.approx(row["surprise"], abs=0.051)


def test_explain_a_home_and_an_earlier_night(site, case):
    assert f"case {case['case_id']}" in site.run(f"explain {SURGED}").stdout
    told = site.run(f"explain {SURGED}", "--night", str(day(-2))).stdout
    assert f"night {day(-2)}" in told and f"\n  {LAST} " not in told
    quiet = site.run("explain 0002").stdout
    assert quiet.startswith(f"home 0002, night {LAST}\n") and "\n  none\n" in quiet and "case c" not in quiet


def test_explain_in_chinese_and_the_residents_letter(site, case):
    assert case["because_zh"] in site.run(f"explain {case['case_id']}", "--language", "zh").stdout
    english = site.run(f"explain {case['case_id']}", "--for-resident", "--language", "en").stdout
    chinese = site.run(f"explain {case['case_id']}", "--for-resident", "--language", "zh").stdout
    for letter in (english, chinese):
        assert "objections@example.org" in letter and "Trying the night" in letter
    assert any("\u4e00" <= sign <= "\u9fff" for sign in chinese) and not any("\u4e00" <= sign <= "\u9fff" for sign in english)
    assert "suspect" not in english.lower() and "violation" not in english.lower()


def test_explain_what_is_not_there_names_the_next_step(site):
    result = site.run("explain c000000-nothing")
    assert result.exit_code == 2 and "neither a case nor a household of this site; `anomaly worklist` lists the cases" in result.stderr
    result = site.run("explain 0002", "--for-resident")
    assert result.exit_code == 2 and "has no case" in result.stderr


# status, calendar, tables


def test_status_shows_the_last_runs(site):
    lines = site.run("status").stdout.splitlines()
    assert len(lines) == 3 and lines[1].split()[:3] == [str(LAST), str(HOMES), "0"] and lines[2].startswith(str(day(-2)))
    told = [json.loads(line) for line in site.run("status", "--json").stdout.splitlines()]
    assert [line["message_type"] for line in told] == ["run", "run", "summary"] and told[-1]["runs"] == 2
    assert told[0]["night"] == str(LAST) and told[0]["judged"] == HOMES


def test_calendar_says_what_is_provisional_and_takes_corrections(tmp_path):
    site = make_site(tmp_path)
    told = site.run("calendar show", "--year", "2027").stdout
    assert told.startswith("CN 2027: provisional") and "2027-02-06" in told and "moving windows" in told
    assert site.run("calendar show", "--year", "2026").stdout.startswith("CN 2026: official")
    site.put("calendars/CN/2027.toml", 'provisional = false\n[[workdays]]\nday = 2027-02-20\n')
    corrected = site.run("calendar show", "--year", "2027").stdout
    assert corrected.startswith("CN 2027: official") and "2027-02-20  workday" in corrected


@pytest.mark.parametrize("language", ["en", "zh"])
def test_tables_is_the_dictionary_of_every_view_and_column(language):
    told = anomaly("tables", "--language", language).stdout
    for name, table in tables.PUBLISHED.items():
        part = told.split(f"v1.{name}\n")[1].split("\n\n")[0]
        for column, spec in table.columns().items():
            (line,) = [line for line in part.splitlines() if line.split()[0] == column]
            assert line.endswith(spec.metadata[language])


# doctor


def findings(site: Site) -> tuple[int, dict[str, dict]]:
    result = site.run("doctor", "--json")
    *lines, summary = [json.loads(line) for line in result.stdout.splitlines()]
    assert summary == {"message_type": "summary", "checks": len(lines), "to_look_at": sum(not line["fine"] for line in lines)}
    return result.exit_code, {line["what"]: line for line in lines}


def test_doctor_finds_nothing_at_a_sound_site(tmp_path):
    site = make_site(tmp_path)
    code, found = findings(site)
    wrong = {name for name, line in found.items() if not line["fine"]}
    assert wrong <= {"calendar", "disk"}, found  # what depends on the day and on this machine
    assert code == (3 if wrong else 0)
    assert {"purpose", "source entries", "source water", "source power", "store", "reports", "file", "disk", "calendar", "clock", "fonts"} <= set(found)
    assert not site.file.parent.exists()  # it leaves nothing behind


@pytest.mark.parametrize(
    ("old", "new", "what", "words"),
    [
        ("2099-12-31", "2026-01-31", "purpose", "expired on 2026-01-31"),
        ("2099-12-31", str(dt.date.today() + dt.timedelta(days=9)), "purpose", "have it renewed"),
        ("water*.csv", "meters/*.csv", "source water", "matches no file"),
        ('value = "used"', 'value = "use"', "source power", "did you mean 'used'?"),
        ("out/anomaly.duckdb", "water.csv/anomaly.duckdb", "store", "cannot be written"),
        ("[store]", '[reports]\npath = "water.csv/reports"\n\n[store]', "reports", "cannot be written"),
        ("[store]", '[site.x]\n[store]', None, "unknown name `x` in [site]"),
        ('timezone = "Asia/Shanghai"', 'timezone = "Asia/Shanghai"\ncalendar = "XX"', "calendar", "unknown country 'XX'"),
    ],
    ids=["expired", "soon", "no file", "column", "store", "reports", "settings", "country"],
)
def test_doctor_finds(tmp_path, old, new, what, words):
    site = make_site(tmp_path)
    site.change(old, new)
    if what is None:
        result = site.run("doctor")
        assert result.exit_code == 2 and words in result.stderr
        return
    code, found = findings(site)
    assert code == 3 and not found[what]["fine"] and words in found[what]["detail"], found[what]
    text = site.run("doctor").stdout
    assert f"\nlook  {what}: " in f"\n{text}" and "\nok    fonts: " in text


def test_doctor_finds_a_provisional_calendar(tmp_path):
    from pipelines.doctor import examine
    from pipelines.settings import load_settings

    found = {f.what: f for f in examine(load_settings(make_site(tmp_path).settings), dt.datetime(2027, 3, 1))}
    assert not found["calendar"].fine and "CN 2027 is provisional: put calendars/CN/2027.toml" in found["calendar"].detail


def test_doctor_finds_a_held_lock_and_a_clock_that_is_behind(tmp_path):
    from pipelines.doctor import examine
    from pipelines.settings import load_settings
    from pipelines.store import Store

    site = make_site(tmp_path)
    settings = load_settings(site.settings)
    store = Store(settings.store)
    store.prepare()
    with store.locked():
        found = {f.what: f for f in examine(settings, dt.datetime(2026, 1, 1))}
        assert (site.file.parent / "run.holder").exists()
    who = f"another run holds the lock (process {os.getpid()}, {Path(sys.argv[0]).name}"
    assert not found["store"].fine and who in found["store"].detail and "wait for it to end, or stop it" in found["store"].detail
    assert not found["clock"].fine and "an input was written later" in found["clock"].detail and "set the clock" in found["clock"].detail


def test_doctor_finds_readings_and_runs_that_lie_ahead_of_the_clock(tmp_path):
    site = make_site(tmp_path)
    tomorrow, later = (str(dt.date.today() + dt.timedelta(days=days)) for days in (1, 5))
    ahead = f"id,day,used\n0001,{later},3\n"
    site.put("power-2.csv", ahead.replace(later, tomorrow))
    assert findings(site)[1]["clock"]["fine"]
    site.put("power-2.csv", ahead)
    assert "but the latest reading is dated later" in findings(site)[1]["clock"]["detail"]
    (tmp_path / "power-2.csv").unlink()
    site.put("out/state/runs.jsonl", json.dumps({"night": str(LAST), "finished_utc": f"{later}T03:00:00"}) + "\n")
    assert "but the last run ended later" in findings(site)[1]["clock"]["detail"]


def test_doctor_finds_a_disk_that_a_night_may_fill(tmp_path, monkeypatch):
    site = make_site(tmp_path)
    gigabytes = namedtuple("usage", "free")
    monkeypatch.setattr("pipelines.doctor.shutil.disk_usage", lambda folder: gigabytes(int(1.2e9)))
    assert findings(site)[1]["disk"]["fine"]
    with open(site.put("out/anomaly.duckdb", ""), "wb") as file:
        file.truncate(1 << 30)  # a night writes another one beside it
    assert "1.2 GB free" in (told := findings(site)[1]["disk"])["detail"] and told["detail"].endswith("a night may need 3.2 GB: make room") and not told["fine"]


def test_doctor_takes_no_lock_of_a_run_that_was_killed_and_refuses_a_newer_store(tmp_path):
    site = make_site(tmp_path)
    site.put("out/run.holder", "process 1 since 2026-05-14\n")
    site.put("out/run.lock", "")
    before = sorted(site.root.rglob("*"))
    assert findings(site)[1]["store"]["fine"] and sorted(site.root.rglob("*")) == before
    with filelock.FileLock(site.root / "out" / "run.lock"):
        assert "(process 1 since 2026-05-14)" in findings(site)[1]["store"]["detail"]
    site.put("out/state/version.json", '{"state": 99}')
    assert "written by a newer version" in findings(site)[1]["store"]["detail"]


def test_doctor_reads_the_newest_file_as_loading_orders_them(tmp_path):
    """water-2 was copied last and is still not the newest."""
    site = make_site(tmp_path)
    for number in (10, 2):
        site.put(f"water-{number}.csv", (site.root / "water.csv").read_text())
        os.utime(site.root / f"water-{number}.csv", (1_700_000_000 - number,) * 2)
    assert findings(site)[1]["source water"]["detail"].endswith("(water-10.csv)")


def test_doctor_opens_the_published_file(tmp_path):
    site = make_site(tmp_path)
    assert findings(site)[1]["file"]["detail"].endswith("is not published yet")
    site.nightly()
    assert findings(site)[1]["file"]["detail"].endswith("opens, 1 run")
    site.file.chmod(0o640)
    site.file.write_bytes(b"torn" * 4096)
    code, found = findings(site)
    assert code == 3 and not found["file"]["fine"] and "remove that file; the next nightly rebuilds it" in found["file"]["detail"]
    site.file.unlink()
    site.nightly()
    assert findings(site)[1]["file"]["fine"]


def test_doctor_says_how_to_get_a_chinese_font(tmp_path, monkeypatch):
    from anomaly import charts

    monkeypatch.setattr(charts, "chinese_font", lambda: None)
    assert "pip install '.[zh]' from the checkout" in findings(make_site(tmp_path))[1]["fonts"]["detail"]


# init, simulate, evaluate


def test_init_writes_a_settings_file_and_will_not_write_it_twice(tmp_path):
    made = anomaly("init", str(tmp_path / "new"))
    assert made.exit_code == 0 and made.stdout.splitlines()[0] == str(tmp_path / "new" / "anomaly.toml")
    (told,) = made.stderr.splitlines()
    assert told.startswith("fill in [purpose] and [site]") and told.endswith(f"anomaly doctor --settings {tmp_path / 'new' / 'anomaly.toml'}")
    doctor = anomaly("doctor", "--settings", str(tmp_path / "new" / "anomaly.toml"))
    assert doctor.exit_code == 2 and "[purpose] name still reads" in doctor.stderr and len(doctor.stderr.splitlines()) == 1
    again = anomaly("init", str(tmp_path / "new"))
    assert again.exit_code == 2 and "is there already" in again.stderr
    (tmp_path / "file").write_text("")
    assert anomaly("init", str(tmp_path / "file" / "below")).exit_code == 2


def test_simulate_makes_a_city_that_runs(tmp_path):
    made = anomaly("simulate", str(tmp_path / "town"), "--homes", "20", "--days", "60", "--seed", "3")
    assert made.exit_code == 0 and "20 homes, 60 days" in made.stdout and f"next: anomaly nightly --settings {tmp_path / 'town' / 'anomaly.toml'}" in made.stdout
    town = Site(tmp_path / "town")
    town.nightly()
    assert town.view("runs")["judged"][0] > 0 and town.view("readings")["signal"].n_unique() == 3
    again = anomaly("simulate", str(tmp_path / "town"))
    assert again.exit_code == 2 and "choose another folder" in again.stderr


def test_the_next_command_can_be_pasted(tmp_path):
    made = anomaly("simulate", str(tmp_path / "my town"), "--homes", "3", "--days", "30")
    assert made.stdout.endswith(f"--settings '{tmp_path / 'my town' / 'anomaly.toml'}'\n")
    assert anomaly("init", str(tmp_path / "my site")).stderr.endswith(f"--settings '{tmp_path / 'my site' / 'anomaly.toml'}'\n")


@pytest.mark.parametrize("days", [3, 42])
def test_evaluate_of_too_few_days_is_4(tmp_path, days):
    result = make_site(tmp_path, last=day(days - 1)).run("evaluate")
    assert result.exit_code == 4 and "days; a surge is planted after 42 ordinary ones" in result.stderr and len(result.stderr.splitlines()) == 1


def test_evaluate_plants_counts_and_leaves_the_site_alone(tmp_path):
    site = make_site(tmp_path)
    told = site.run("evaluate", "--nights", "25", "--rounds", "1")
    assert told.exit_code == 0, told.output
    lines = told.stdout.splitlines()
    assert lines[0].startswith("24 homes, ") and any(line.startswith("×2 ") for line in lines) and any(line.startswith("wrong doors") for line in lines)
    assert lines[-1] == f"page  {site.root / 'out' / 'reports' / 'evaluation' / 'index.html'}"
    assert not site.file.exists() and [p.name for p in (site.root / "out").iterdir()] == ["reports"]
    lines = [json.loads(line) for line in site.run("evaluate", "--nights", "25", "--rounds", "1", "--json").stdout.splitlines()]
    assert lines[-1]["message_type"] == "summary" and {line["message_type"] for line in lines} <= {"size", "shape", "day", "group", "progress", "summary"}


def test_evaluate_the_same_seed_gives_the_same_card(tmp_path):
    site = make_site(tmp_path, ["power"])
    cards = {site.run("evaluate", "--nights", "20", "--rounds", "3", "--seed", "5").stdout for _ in range(2)}
    assert len(cards) == 1 and "planted" in cards.pop()
