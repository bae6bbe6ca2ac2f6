"""The command: what it prints, where, and with which exit code."""

import csv
import json
import subprocess
import sys

import click
import polars as pl
import pytest
from click.testing import CliRunner

from anomaly import __version__, tables
from pipelines.cli.commands import main
from tests.support.paths import ROOT
from tests.support.site import HOMES, LAST, SURGED, Site, day, make_site


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
    for name in (
        "nightly",
        "backfill",
        "worklist",
        "explain",
        "evaluate",
        "simulate",
        "init",
        "doctor",
        "status",
        "calendar",
        "tables",
    ):
        assert f"\n  {name}" in listed
    assert anomaly("--version").stdout == f"anomaly, version {__version__}\n"


def test_help_imports_nothing_slow():
    code = (
        "import sys\nfrom pipelines.cli.commands import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        "slow = {'polars', 'numba', 'duckdb', 'numpy', 'matplotlib', 'sklearn'}\n"
        "print(sorted(slow & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]" and "Commands:" in done.stdout


PROGRAM = "from pipelines.cli.commands import program; program()"


def program(*args: str, code: str = PROGRAM) -> subprocess.CompletedProcess:
    """As it is installed, in a process of its own."""
    return subprocess.run([sys.executable, "-c", code, *args], cwd=ROOT, capture_output=True, text=True)


@pytest.mark.parametrize(
    ("args", "exit_code"),
    [(["tables", "--language", "zh"], 0), (["nightlyy"], 2), (["nightly", "--settings", "none.toml"], 2)],
)
def test_the_program_says_all_it_has_to_say_and_leaves_with_the_exit_code(args, exit_code):
    done, asked = program(*args), anomaly(*args)
    assert (done.returncode, done.stdout, done.stderr) == (
        exit_code,
        asked.stdout,
        asked.stderr.replace("Usage: main", "Usage: anomaly").replace("'main", "'anomaly"),
    )


def test_a_mistake_of_the_program_is_told_whole_and_is_1():
    done = program(
        "tables", code=f"from pipelines.reporting import queries; queries.dictionary_text = None; {PROGRAM}"
    )
    assert (
        done.returncode == 1
        and done.stderr.startswith("Traceback")
        and done.stderr.rstrip().endswith("'NoneType' object is not callable")
    )


def test_a_reader_that_goes_away_is_no_mistake():
    done = subprocess.run(
        f"{sys.executable} -c '{PROGRAM}' tables | head -n 1",
        shell=True,
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert (done.stdout.count("\n"), done.stderr) == (1, "")


@pytest.mark.parametrize(
    "args",
    [
        ["nightly"],
        ["nightlyy"],
        ["nightly", "--settings", "s", "--night", "31.8.2026"],
        ["worklist", "--settings", "s", "--format", "xml"],
    ],
)
def test_wrong_usage_is_2(args):
    result = anomaly(*args)
    assert result.exit_code == 2 and result.stdout == "" and "Traceback" not in result.stderr


# worklist


def test_worklist_as_a_table(site, case):
    night, head, row = site.run("worklist").stdout.splitlines()
    assert night == str(LAST) and head.split() == [
        "rank",
        "case",
        "home",
        "district",
        "kind",
        "desk",
        "rarity",
        "wrong",
    ]
    assert row.split()[:6] == ["1", case["case_id"], SURGED, "-", "people", "occupancy"]


def test_worklist_as_csv_and_json_hold_every_column_of_the_view(site, case):
    (row,) = csv.DictReader(site.run("worklist", "--format", "csv").stdout.splitlines())
    assert list(row) == tables.Worklist.column_names() and (row["household"], row["case_id"]) == (
        SURGED,
        case["case_id"],
    )
    (told,) = [json.loads(line) for line in site.run("worklist", "--format", "json").stdout.splitlines()]
    assert list(told) == tables.Worklist.column_names() and (told["household"], told["night"]) == (
        SURGED,
        str(LAST),
    )
    assert told["rarity"] == pytest.approx(float(row["rarity"]))


def test_worklist_of_another_night_or_of_none(site):
    assert site.run("worklist", "--night", str(day(-2))).stdout.startswith(str(day(-2)))
    result = site.run("worklist", "--night", "2026-04-01")
    assert (
        result.exit_code == 2
        and "night 2026-04-01 was not judged; judged are 2026-05-13 … 2026-05-14" in result.stderr
    )


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
    assert (
        result.exit_code == 2
        and "not published yet; run `anomaly nightly" in result.stderr
        and result.stdout == ""
    )


# explain


def test_explain_a_case_shows_its_evidence_and_every_day_behind_it(site, case):
    told = site.run(f"explain {case['case_id']}").stdout
    assert told.startswith(f"home {SURGED}, night {LAST}\ncase {case['case_id']}:")
    assert case["because_en"] in told and "A case is a reason to look" in told
    for row in (
        site.view("evidence")
        .filter((pl.col("household") == SURGED) & (pl.col("night") == LAST))
        .rows(named=True)
    ):
        assert f"×{row['ratio']:.2f}" in told and f"1 in {row['rarity']:,.0f} household-nights" in told
    last = site.view("expected").filter(
        (pl.col("household") == SURGED) & (pl.col("day") == LAST) & (pl.col("night") == LAST)
    )
    assert last.height == 3
    for row in last.rows(named=True):  # every number of the night's own day stands there as published
        (line,) = [
            line
            for line in told.split(f"\n{row['signal']}, ")[1].splitlines()
            if line.strip().startswith(str(LAST))
        ][:1]
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
    assert any("\u4e00" <= sign <= "\u9fff" for sign in chinese) and not any(
        "\u4e00" <= sign <= "\u9fff" for sign in english
    )
    assert "suspect" not in english.lower() and "violation" not in english.lower()


def test_explain_what_is_not_there_names_the_next_step(site):
    result = site.run("explain c000000-nothing")
    assert (
        result.exit_code == 2
        and "neither a case nor a household of this site; `anomaly worklist` lists the cases" in result.stderr
    )
    result = site.run("explain 0002", "--for-resident")
    assert result.exit_code == 2 and "has no case" in result.stderr


# status, calendar, tables


def test_status_shows_the_last_runs(site):
    lines = site.run("status").stdout.splitlines()
    assert (
        len(lines) == 3
        and lines[1].split()[:3] == [str(LAST), str(HOMES), "0"]
        and lines[2].startswith(str(day(-2)))
    )
    told = [json.loads(line) for line in site.run("status", "--json").stdout.splitlines()]
    assert [line["message_type"] for line in told] == ["run", "run", "summary"] and told[-1]["runs"] == 2
    assert told[0]["night"] == str(LAST) and told[0]["judged"] == HOMES


def test_calendar_says_what_is_provisional_and_takes_corrections(tmp_path):
    site = make_site(tmp_path)
    told = site.run("calendar show", "--year", "2027").stdout
    assert told.startswith("CN 2027: provisional") and "2027-02-06" in told and "moving windows" in told
    assert site.run("calendar show", "--year", "2026").stdout.startswith("CN 2026: official")
    site.put("calendars/CN/2027.toml", "provisional = false\n[[workdays]]\nday = 2027-02-20\n")
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


# --json, and completion


def test_every_command_speaks_json(site, tmp_path):
    """Each line has a message_type, the last and only the last is a summary, nothing else is on stdout."""
    case = site.view("worklist")["case_id"][0]
    own = {
        "backfill": ["--from", str(LAST), "--to", str(LAST)],
        "explain": [case],
        "evaluate": ["--nights", "10", "--rounds", "1"],
        "decide": [case, "no_access", "--reason", "x"],
        "outcomes import": [str(site.put("f.csv", "case,day,outcome,reason\n"))],
        "assign": [case, "--to", "x"],
        "reveal": [case, "--reason", "x", "--by", "x"],
        "prune": ["--dry-run"],
    }
    elsewhere = {
        "init": [str(tmp_path / "a")],
        "simulate": [str(tmp_path / "b"), "--homes", "2", "--days", "30"],
        "tables": [],
    }
    for path, command in commands():
        name = " ".join(path)
        if isinstance(command, click.Group) or name == "completion":  # the latter is a script
            continue
        asked = (
            anomaly(*path, "--json", *elsewhere[name])
            if name in elsewhere
            else site.run(name, "--json", *own.get(name, []))
        )
        assert asked.exit_code == (2 if name == "reveal" else asked.exit_code) and asked.exit_code in (
            0,
            2,
            3,
        ), (name, asked.output)
        types = [json.loads(line)["message_type"] for line in asked.stdout.splitlines()]
        assert types and types[-1] == "summary" and types.count("summary") == 1, name
    assert json.loads(asked.stdout.splitlines()[-1])


def test_an_error_is_the_summary(tmp_path):
    site = make_site(tmp_path)
    result = site.run("worklist", "--json")
    told = json.loads(result.stdout)
    assert (
        result.exit_code == 2
        and (told["message_type"], told["exit_code"]) == ("summary", 2)
        and told["error"] in result.stderr
    )


def completions(*words: str) -> list[str]:
    from click.shell_completion import ShellComplete

    *before, begun = words
    return [
        item.value
        for item in ShellComplete(main, {}, "anomaly", "_ANOMALY_COMPLETE").get_completions(before, begun)
    ]


def test_a_shell_completes_commands_options_and_codes_of_cases(site, case, tmp_path, monkeypatch):
    assert (
        completions("wor") == ["worklist"]
        and completions("prune", "--dry") == ["--dry-run"]
        and "benign" in completions("decide", "x", "")
    )
    for command in ("decide", "explain", "assign", "reveal"):
        assert completions(command, "--settings", str(site.settings), "c26") == [case["case_id"]]
    assert completions("decide", "--settings", str(site.settings), "' OR 1=1 --") == []
    monkeypatch.chdir(site.root)
    assert completions("decide", "") == [case["case_id"]]  # anomaly.toml of the folder one stands in
    monkeypatch.chdir(tmp_path)
    assert completions("decide", "") == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script(shell):
    script = anomaly("completion", shell).stdout
    assert "_ANOMALY_COMPLETE" in script and "anomaly" in script
    if shell == "bash":
        assert subprocess.run(["bash", "-n"], input=script, text=True, capture_output=True).returncode == 0


# init, simulate, evaluate


def test_init_writes_a_settings_file_and_will_not_write_it_twice(tmp_path):
    made = anomaly("init", str(tmp_path / "new"))
    assert made.exit_code == 0 and made.stdout.splitlines()[0] == str(tmp_path / "new" / "anomaly.toml")
    (told,) = made.stderr.splitlines()
    assert told.startswith("fill in [purpose] and [site]") and told.endswith(
        f"anomaly doctor --settings {tmp_path / 'new' / 'anomaly.toml'}"
    )
    doctor = anomaly("doctor", "--settings", str(tmp_path / "new" / "anomaly.toml"))
    assert (
        doctor.exit_code == 2
        and "[purpose] name still reads" in doctor.stderr
        and len(doctor.stderr.splitlines()) == 1
    )
    again = anomaly("init", str(tmp_path / "new"))
    assert again.exit_code == 2 and "is there already" in again.stderr
    (tmp_path / "file").write_text("")
    assert anomaly("init", str(tmp_path / "file" / "below")).exit_code == 2


def test_simulate_makes_a_city_that_runs(tmp_path):
    made = anomaly("simulate", str(tmp_path / "town"), "--homes", "20", "--days", "60", "--seed", "3")
    assert (
        made.exit_code == 0
        and "20 homes, 60 days" in made.stdout
        and f"next: anomaly nightly --settings {tmp_path / 'town' / 'anomaly.toml'}" in made.stdout
    )
    town = Site(tmp_path / "town")
    town.nightly()
    assert town.view("runs")["judged"][0] > 0 and town.view("readings")["signal"].n_unique() == 3
    again = anomaly("simulate", str(tmp_path / "town"))
    assert again.exit_code == 2 and "choose another folder" in again.stderr


def test_the_next_command_can_be_pasted(tmp_path):
    made = anomaly("simulate", str(tmp_path / "my town"), "--homes", "3", "--days", "30")
    assert made.stdout.endswith(f"--settings '{tmp_path / 'my town' / 'anomaly.toml'}'\n")
    assert anomaly("init", str(tmp_path / "my site")).stderr.endswith(
        f"--settings '{tmp_path / 'my site' / 'anomaly.toml'}'\n"
    )


@pytest.mark.parametrize("days", [3, 42])
def test_evaluate_of_too_few_days_is_4(tmp_path, days):
    result = make_site(tmp_path, last=day(days - 1)).run("evaluate")
    assert (
        result.exit_code == 4
        and "days; a surge is planted after 42 ordinary ones" in result.stderr
        and len(result.stderr.splitlines()) == 1
    )


def test_evaluate_plants_counts_and_leaves_the_site_alone(tmp_path):
    site = make_site(tmp_path)
    told = site.run("evaluate", "--nights", "25", "--rounds", "1")
    assert told.exit_code == 0, told.output
    lines = told.stdout.splitlines()
    assert (
        lines[0].startswith("24 homes, ")
        and any(line.startswith("×2 ") for line in lines)
        and any(line.startswith("wrong doors") for line in lines)
    )
    assert lines[-1] == f"page  {site.root / 'out' / 'reports' / 'evaluation' / 'index.html'}"
    assert not site.file.exists() and [p.name for p in (site.root / "out").iterdir()] == ["reports"]
    lines = [
        json.loads(line)
        for line in site.run("evaluate", "--nights", "25", "--rounds", "1", "--json").stdout.splitlines()
    ]
    assert lines[-1]["message_type"] == "summary" and {line["message_type"] for line in lines} <= {
        "size",
        "shape",
        "day",
        "group",
        "progress",
        "summary",
    }


def test_evaluate_the_same_seed_gives_the_same_card(tmp_path):
    site = make_site(tmp_path, ["power"])
    cards = {site.run("evaluate", "--nights", "20", "--rounds", "3", "--seed", "5").stdout for _ in range(2)}
    assert len(cards) == 1 and "planted" in cards.pop()
