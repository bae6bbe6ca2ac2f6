"""What the commands worklist, status, calendar and tables print."""

import csv
import datetime as dt
import io
import json
import re

import polars as pl
import pytest

from pipelines.config.settings import load_settings
from pipelines.errors import NotFound
from pipelines.publish.duckdb_file import publish
from pipelines.reporting.queries import (
    calendar_of_year,
    calendar_text,
    dictionary_text,
    format_columns,
    night_or_latest,
    query_published,
    status_text,
    worklist_text,
)
from tests.support.published_rows import CODE, META, NIGHT, ROWS, frames
from tests.support.site import make_site


@pytest.fixture
def settings(tmp_path):
    """Settings of a site whose published file holds the rows of published_rows."""
    loaded = load_settings(make_site(tmp_path, ["power"]).settings)
    publish(loaded.store, frames(), META)
    return loaded


def test_a_query_answers_as_a_frame(settings):
    found = query_published(settings, "SELECT household FROM v1.households WHERE district = $d", d="O'Hara")
    assert found.to_dict(as_series=False) == {"household": ["0001"]}


def test_without_a_file_that_can_be_read_the_message_says_what_to_do(tmp_path, settings):
    settings.store.write_bytes(b"not a database")
    with pytest.raises(NotFound, match="cannot be read; run `anomaly nightly"):
        query_published(settings, "SELECT 1")
    settings.store.unlink()
    with pytest.raises(NotFound, match="not published yet; run `anomaly nightly"):
        query_published(settings, "SELECT 1")


def test_the_night_asked_for_or_the_latest(settings):
    assert night_or_latest(settings, None) == night_or_latest(settings, NIGHT) == NIGHT
    with pytest.raises(NotFound, match="2026-03-15 was not judged; judged are 2026-03-14 … 2026-03-14"):
        night_or_latest(settings, NIGHT + dt.timedelta(1))


def test_the_list_as_a_table_with_columns_for_what_is_there(settings):
    assert worklist_text(settings, NIGHT, "table") == (
        "2026-03-14\n"
        "rank  case                home  district  kind   desk   rarity      wrong  to      decision\n"
        f"1     {CODE}  0001  O'Hara    water  water  1 in 9,000  20%    O'Neil  benign\n"
    )
    plain = [row[:-1] + (None,) for row in ROWS["worklist"]]
    undecided = [row[:15] + (None, None) for row in ROWS["cases"]]
    publish(settings.store, frames(worklist=plain, cases=undecided), META)
    assert worklist_text(settings, NIGHT, "table").splitlines()[1].split()[-1] == "wrong"


def test_the_list_of_one_desk_or_district(settings):
    nobody = "2026-03-14: nobody to visit. An empty list is a good night.\n"
    assert worklist_text(settings, None, "table", desk="power") == nobody
    assert worklist_text(settings, None, "table", district="North") == nobody
    assert CODE in worklist_text(settings, None, "table", desk="water", district="O'Hara")


def test_a_desk_that_is_not_there_is_refused_with_those_that_are(settings):
    with pytest.raises(NotFound, match="there is no desk 'nosuch'; there are occupancy, power, water"):
        worklist_text(settings, None, "table", desk="nosuch")


def test_the_list_as_csv_and_json(settings):
    """A spreadsheet takes a text that begins with an equals sign for a formula."""
    row = (NIGHT, 1, CODE, "=1+1", None, "water", "water", 9000.0, 0.2, 0.3, True, None)
    publish(settings.store, frames(worklist=[row]), META)
    (written,) = csv.DictReader(io.StringIO(worklist_text(settings, NIGHT, "csv")))
    assert written["household"] == "'=1+1" and written["rarity"] == "9000.0" and "decision" not in written
    printed = json.loads(worklist_text(settings, NIGHT, "json"))
    assert (printed["night"], printed["household"], printed["rank"]) == ("2026-03-14", "=1+1", 1)


def test_the_last_runs(settings):
    head, row = status_text(settings, as_json=False).splitlines()
    assert head.split()[:3] == ["night", "judged", "not_judged"] and row.split()[:3] == [
        "2026-03-14",
        "2",
        "0",
    ]
    run, summary = map(json.loads, status_text(settings, as_json=True).splitlines())
    assert run["message_type"] == "run" and run["finished_utc"] == "2026-03-15 02:00:00"
    assert summary == {"message_type": "summary", "runs": 1, "touched": [], "last_failed": None}


FAILED = {"at": "2026-03-16T02:00:07.123456Z", "command": "nightly", "exit_code": 4, "error": "StateDamaged"}


def test_the_last_run_that_failed(settings):
    """It has no line in the published file; what is cut short or strange in the log is passed over."""
    before = FAILED | {"message_type": "failed", "at": "2026-03-15T02:00:07Z", "exit_code": 11}
    lines = [before, FAILED | {"message_type": "failed", "seconds": 3}, {"message_type": "done"}, ["failed"]]
    log = settings.store.with_name("log.jsonl")
    log.write_text("".join(f"{json.dumps(line)}\n" for line in lines) + '{"message_type": "failed"')
    line = "last failed run: 2026-03-16 02:00:07, nightly, exit code 4 (StateDamaged)"
    assert status_text(settings, as_json=False).splitlines()[2:] == [line]
    assert json.loads(status_text(settings, as_json=True).splitlines()[-1])["last_failed"] == FAILED
    log.rename(settings.store.with_name("log.1.jsonl"))
    assert status_text(settings, as_json=False).splitlines()[2:] == [line]
    settings.store.unlink()
    with pytest.raises(NotFound, match=rf"not published yet; run .* first; {re.escape(line)}$"):
        status_text(settings, as_json=False)


def test_the_calendar_of_a_year(settings):
    days = calendar_of_year(settings, 2026)
    assert days["day"][0] == dt.date(2026, 1, 1) and days.height == 365
    text = calendar_text(settings, 2026)
    assert text.startswith("CN 2026: ") and "\nmoving windows\n" in text
    holidays = days.filter(pl.col("kind") == "holiday")["day"].to_list()
    assert all(f"\n{day}  holiday" in text for day in holidays) and "\n2026-03-11" not in text


def test_the_dictionary_in_both_languages():
    english, chinese = dictionary_text("en"), dictionary_text("zh")
    assert english.startswith("v1.runs\n  run ") and "\n\nmeta.calendar\n  day " in english
    assert "households judged" in english and "已评估的住户数" in chinese


def test_columns_are_padded_and_control_characters_written_out():
    frame = pl.DataFrame({"a": ["x", None, "a\x1bb"], "long name": [1, 22, None]})
    assert format_columns(frame) == "a       long name\nx       1\n        22\na\\x1bb\n"
    assert format_columns(frame.head(1), head=False, indent="  ") == "  x  1\n"
    assert format_columns(frame.clear(), head=False) == ""
