"""Bad input: a row is refused, a source stops, or the run does; always one line, never a traceback."""

import datetime as dt

import numpy as np
import polars as pl
import pytest

from tests.support.site import HOMES, LAST, SURGED, Site, daily, day, make_site, rows

REGISTER = '[households]\nfiles = "homes.csv"\ncolumns = { household = "id", district = "area" }\n\n[store]'
NOISE = np.random.default_rng(0).bytes(5000)


@pytest.fixture
def site(tmp_path) -> Site:
    return make_site(tmp_path)


def refused(result, *words: str) -> None:
    """One line on stderr that says all of this, and nothing else."""
    assert result.stdout == "" and result.stderr.count("\n") == 1, result.output
    assert all(word in result.stderr for word in words), result.stderr


def degraded(site: Site, *words: str) -> None:
    """The night is done with exit 3, says why in one line, and the other signals were judged."""
    result = site.nightly(code=3)
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("degraded:")]
    assert all(word in line for word in words), line
    assert "Traceback" not in result.stderr
    (run,) = site.view("runs").rows(named=True)
    assert run["notes"].startswith(line.removeprefix("degraded: ")[:20]) and run["judged"] == HOMES
    assert set(site.view("expected")["signal"]) == {"entries", "power"}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", ("water.csv is empty", "export it again")),
        (b"id,day,reading\n", ("water.csv holds a header and no row", "check that the export has run")),
        (b"id,day,rading\n0001,2026-03-01,3\n", ("has no column 'reading'", "did you mean 'rading'?")),
        (b"id;day;reading\n0001;2026-03-01;3\n", ("has no column", "set `separator`")),
        (
            "id,day,reading\ncaf\xe9,2026-03-01,3\n".encode("latin-1"),
            ("neither UTF-8 nor GB18030", "set `encoding`"),
        ),
        (NOISE, ("is not text",)),
        (
            b"id,day,reading\n0001,2026-03-01,abc\n",
            ("has no row that can be used (value not a number)", "check columns, unit and time_format"),
        ),
        (
            "id,day,reading,姓名\n0001,2026-03-01,3,某人\n".encode(),
            ("describes persons", "姓名", "leave this column out"),
        ),
        (
            b"id,day,reading,contact_phone\n0001,2026-03-01,3,\n",
            ("describes persons", "contact_phone"),
        ),
        (
            b"id,day,reading,note\n0001,2026-03-01,3,11010519491231002X\n",
            ("describes persons", "identity number"),
        ),
    ],
    ids=[
        "empty",
        "headers only",
        "missing column",
        "separator",
        "encoding",
        "random bytes",
        "no numbers",
        "name",
        "phone",
        "identity",
    ],
)
def test_a_file_that_cannot_be_used_stops_its_source_alone(site, content, words):
    site.put("water.csv", content)
    degraded(site, "water", *words)


@pytest.mark.parametrize("name", ["water.xlsx", "water.parquet", "water.csv.gz", "water.csv"])
def test_random_bytes_under_any_suffix_are_no_traceback(site, name):
    site.change("water*.csv", "water*")
    (site.root / "water.csv").unlink()
    site.put(name, NOISE)
    degraded(site, "water stopped", name)


def test_a_path_that_does_not_exist_stops_its_source_alone(site):
    site.change("water*.csv", "meters/water*.csv")
    degraded(site, "water stopped", "meters/water*.csv matches no file")


def test_a_source_that_recovers_is_judged_again(site):
    site.put("water.csv", b"")
    degraded(site, "is empty")
    site.put("water.csv", rows("water", daily()["water"]))
    site.nightly()
    assert set(site.view("expected")["signal"]) == {"entries", "power", "water"}


def test_rows_that_cannot_be_right_are_refused_with_file_row_and_reason_and_the_rest_goes_on(site):
    power = rows("power", daily()["power"])
    tomorrow = str(dt.date.today() + dt.timedelta(days=40))
    bad = pl.DataFrame(
        {
            "id": ["0001", "0002", "0003", None],
            "day": [str(LAST), str(LAST), tomorrow, str(LAST)],
            "used": ["-3", "much", "3", "3"],
        }
    )
    site.put("power-bad.csv", pl.concat([bad, power.head(6)]))
    site.nightly()  # 4 of 1,800: below rejects_share
    assert site.view("rejects").select("source", "file", "row", "reason").rows() == [
        ("power", "power-bad.csv", 1, "value negative"),
        ("power", "power-bad.csv", 2, "value not a number"),
        ("power", "power-bad.csv", 3, "in the future"),
        ("power", "power-bad.csv", 4, "no household"),
    ]
    assert site.view("readings")["day"].max() == LAST


def test_rejects_over_their_share_degrade_the_night(site):
    frame = rows("power", daily()["power"])
    site.put(
        "power.csv",
        frame.with_columns(
            used=pl.when(pl.int_range(pl.len()) % 50 == 0).then(pl.lit("-1")).otherwise("used")
        ),
    )
    result = site.nightly(code=3)
    assert "power: 36 of 1800 rows refused (2.0%), mostly: value negative; see v1.rejects" in result.stderr
    site.change("[store]", "[limits]\nrejects_share = 0.03\n\n[store]")
    site.nightly()


def test_one_id_in_two_districts_is_refused_never_a_case_and_named(site):
    site.change("[store]", REGISTER)
    homes = "".join(f"{h:04},North\n" for h in range(HOMES))
    site.put("homes.csv", f"id,area\n{homes}{SURGED},South\n")
    result = site.nightly(code=3)
    assert "households: 2 of 25 rows refused" in result.stderr
    assert site.view("rejects").select("source", "row", "reason").rows() == [
        ("households", int(SURGED) + 1, "the same id with different places"),
        ("households", HOMES + 1, "the same id with different places"),
    ]
    assert (
        site.view("cases").is_empty()
        and site.view("evidence").filter(pl.col("household") == SURGED).is_empty()
    )
    named = site.view("not_judged").rows(named=True)
    assert {(row["household"], row["signal"]) for row in named} == {
        (SURGED, signal) for signal in ("entries", "power", "water")
    }
    assert {row["reason"] for row in named} == {
        "the register gives this id more than once, with different places"
    }


def test_one_id_twice_alike_is_one_home(site):
    site.change("[store]", REGISTER)
    homes = "".join(f"{h:04},North\n" for h in range(HOMES))
    site.put("homes.csv", f"id,area\n{homes}{SURGED},North\n")
    site.nightly()
    assert site.view("cases")["household"].to_list() == [SURGED]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (NOISE, "is not text"),
        (b"", "is empty"),
        (b"id,aera\n0001,North\n", "did you mean 'aera'?"),
        ("id,area,户主\n0001,North,\n".encode(), "describes persons"),
        (None, "matches no file"),
    ],
    ids=["random bytes", "empty", "missing column", "personal", "not there"],
)
def test_a_broken_register_degrades_and_the_signals_still_run(site, content, words):
    site.change("[store]", REGISTER)
    if content is not None:
        site.put("homes.csv", content)
    result = site.nightly(code=3)
    assert "households stopped" in result.stderr and words in result.stderr
    assert site.view("runs")["judged"].to_list() == [HOMES]


def test_a_register_that_breaks_leaves_the_one_before_in_force(site):
    site.change("[store]", REGISTER)
    site.put("homes.csv", "id,area\n" + "".join(f"{h:04},North\n" for h in range(HOMES)))
    site.nightly()
    site.put("homes.csv", NOISE)
    site.nightly(code=3)
    assert set(site.view("households")["district"]) == {"North"}


def test_a_misspelt_setting_is_refused_with_a_guess(site):
    site.change("languages", "langauges")
    refused(site.nightly(code=2), "unknown name `langauges` in [site]; did you mean `languages`?")


def test_an_expired_purpose_is_refused_and_yesterdays_file_stands(site):
    site.nightly()
    before = site.file.read_bytes()
    site.change("2099-12-31", "2026-01-31")
    refused(site.nightly(code=2), "[purpose] expired on 2026-01-31", "have it renewed")
    assert site.file.read_bytes() == before


def test_a_missing_purpose_is_refused(site):
    text = site.settings.read_text()
    site.settings.write_text(text[: text.index("[purpose]")] + text[text.index("[store]") :])
    refused(site.nightly(code=2), "[purpose] is missing", "nothing runs without it")
    assert not site.file.exists()


def test_a_settings_file_that_is_not_there_or_is_no_toml_is_refused(site):
    site.settings.write_bytes(NOISE)
    refused(site.nightly(code=2), "not readable as TOML")
    site.settings.unlink()
    refused(site.nightly(code=2), "anomaly.toml: cannot be read", "anomaly init")


def test_a_store_that_cannot_be_written_is_refused(site):
    site.change(
        "out/anomaly.duckdb", "water.csv/below/anomaly.duckdb"
    )  # beneath a regular file: not even root can
    refused(site.nightly(code=2), "water.csv/below: cannot be written", "[store] path")


def test_reports_that_cannot_be_written_are_refused_before_anything_is_published(site):
    site.change("[store]", '[reports]\npath = "water.csv/reports"\n\n[store]')
    refused(site.nightly(code=2), "water.csv/reports: cannot be written", "[reports] path")
    assert not site.file.exists()


def test_damaged_state_is_one_line_with_the_remedy(site):
    site.nightly()
    for kind in ("days", "rows"):
        part = min((site.root / "out/state" / kind / "power").glob("*.parquet"))
        part.write_bytes(NOISE)
        site.put("power-2.csv", f"id,day,used\n0001,2026-05-13,{3.5 if kind == 'days' else 4.5}\n")
        refused(
            site.nightly(code=4),
            f"{kind}/power/{part.name}: cannot be read",
            "remove that file and run again",
        )
        part.unlink()
        site.nightly()  # made anew, from the rows or from the files


def test_state_of_a_newer_version_is_refused(site):
    site.put("out/state/version.json", '{"state": 99}')
    refused(site.nightly(code=2), "written by a newer version (state 99", "upgrade")


def test_a_calendar_correction_that_cannot_be_used_is_refused(site):
    site.put("calendars/CN/2026.toml", "[[holidays]\n")
    refused(site.nightly(code=2), "calendars/CN/2026.toml: not readable as TOML")
    site.put("calendars/CN/2026.toml", '[[holidayz]]\nday = 2026-05-06\nen = "x"\nzh = "x"\n')
    refused(site.nightly(code=2), "unknown name `holidayz`", "holidays")
    site.put("calendars/CN/2026.toml", '[[holidays]]\nen = "x"\nzh = "x"\n')
    refused(site.nightly(code=2), "a row of [[holidays]] has no `day`")


def test_ids_that_look_like_formulas_or_paths_do_no_harm(tmp_path):
    """They are text: on pages escaped, in the spreadsheet disarmed, never a file name."""
    site = make_site(tmp_path)
    odd = "=cmd|' /C calc'!A0/../<odd>"
    for name, values in daily().items():
        site.put(f"{name}.csv", rows(name, values).with_columns(id=pl.col("id").replace(SURGED, odd)))
    site.nightly()
    assert site.view("worklist")["household"].to_list() == [odd]
    night = tmp_path / "out" / "reports" / str(LAST)
    assert "<odd>" not in (night / "index.html").read_text()
    assert (
        "\n=cmd" not in (csv := site.run("worklist", "--format", "csv").stdout)
        and ",=cmd" not in csv
        and "'=cmd" in csv
    )
    assert all(path.resolve().is_relative_to(tmp_path) for path in tmp_path.rglob("*"))


def test_a_day_between_readings_is_never_made_up(site):
    """A meter silent for a week and caught up: no day of the gap gets a share, and its last day no surge."""
    water = rows("water", daily()["water"])
    silent = (pl.col("id") == "0002") & pl.col("day").is_between(pl.lit(str(day(-12))), pl.lit(str(day(-6))))
    site.put("water.csv", water.filter(~silent))
    site.nightly()
    mine = site.view("readings").filter(
        (pl.col("household") == "0002")
        & (pl.col("signal") == "water")
        & (pl.col("day") >= day(-12))
        & (pl.col("day") <= day(-5))
    )
    assert mine["value"].to_list() == [None] * 8 and set(mine["quality"]) <= {"missing", "doubtful"}
    assert "0002" not in site.view("cases")["household"].to_list()
