"""The log of a run: a line for every step, counts only, and it never changes what comes of the night."""

import json
import logging
import os
import re

import pytest

from pipelines.cli import run_log
from pipelines.cli.run_log import JsonLines, LogFile, logged_run
from pipelines.config.settings import load_settings
from pipelines.errors import NoSuchNight
from pipelines.runtime.progress import Progress
from pipelines.storage.state import OLDER_RUN_LOG, RUN_LOG
from tests.support.site import HOMES, LAST, Site, make_site


@pytest.fixture
def site(tmp_path) -> Site:
    return make_site(tmp_path, ["power"])


def test_the_log_has_a_line_for_every_step_and_names_no_home(tmp_path):
    site = make_site(tmp_path)
    site.nightly("--json")
    lines = site.log_lines()
    assert [line["message_type"] for line in lines if line["message_type"] != "progress"] == ["start", "done"]
    texts = [line["text"] for line in lines if line["message_type"] == "progress"]
    assert "loading water" in texts and "publishing" in texts and f"writing the report of {LAST}" in texts
    stamp = re.compile(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
    assert all(stamp.fullmatch(line["at"]) and line["process"] == os.getpid() for line in lines)
    assert [line["at"] for line in lines] == sorted(line["at"] for line in lines)
    assert {line["level"] for line in lines} == {"info"}
    assert lines[-1]["judged"] == HOMES and lines[-1]["stopped"] == []
    written = (site.root / "out" / "log.jsonl").read_text()
    assert not re.search(r"\b00[012]\d\b", written)
    assert not [code for code in site.view("cases")["case_id"] if code in written]


def test_progress_is_shown_and_logged_with_its_counts(site):
    shown = []
    with (
        pytest.raises(NoSuchNight),
        logged_run(load_settings(site.settings), "nightly", shown.append, print) as log,
    ):
        log.progress(Progress("loading water", 3, 9, "files"))
        raise NoSuchNight("home 0007 of the message stays out of the log")
    assert shown == [Progress("loading water", 3, 9, "files")]
    start, progress, end = site.log_lines()
    assert (start["message_type"], start["command"]) == ("start", "nightly")
    fields = ("message_type", "text", "done", "total", "unit")
    assert [progress[name] for name in fields] == ["progress", "loading water: 3 of 9 files", 3, 9, "files"]
    fields = ("level", "message_type", "command", "exit_code", "error")
    assert [end[name] for name in fields] == ["error", "failed", "nightly", 2, "NoSuchNight"]
    assert "0007" not in json.dumps(end)


def test_a_log_is_put_aside_before_it_grows_beyond_its_size(site, monkeypatch):
    monkeypatch.setattr(run_log, "LOG_BYTES", 2_000)
    for _ in range(8):
        site.nightly()
        sizes = {path.name: path.stat().st_size for path in (site.root / "out").glob("log*")}
        assert set(sizes) <= {RUN_LOG, OLDER_RUN_LOG} and max(sizes.values()) <= 2_000
    assert site.log_lines(OLDER_RUN_LOG)[-1]["at"] <= site.log_lines()[0]["at"]


def test_a_log_that_cannot_be_written_stops_nothing(site):
    (site.root / "out" / RUN_LOG).mkdir(parents=True)
    assert site.nightly().exit_code == 0 and site.file.exists()


def test_modules_of_the_flow_are_logged_during_a_run_and_others_are_not(site):
    with pytest.raises(KeyboardInterrupt), logged_run(load_settings(site.settings), "nightly", print, print):
        logging.getLogger("pipelines.ingest").info("%d rows", 3)
        logging.getLogger("elsewhere").error("of a library")
        raise KeyboardInterrupt
    logging.getLogger("pipelines.ingest").error("after the run")
    assert [line.get("text") for line in site.log_lines()] == [None, "3 rows", None]
    assert [line["message_type"] for line in site.log_lines()] == ["start", "message", "failed"]


def test_a_line_has_time_level_kind_and_process_before_its_own_fields():
    record = logging.LogRecord("pipelines", logging.WARNING, "", 0, "notify", (), None)
    record.created, record.process, record.fields = 1_788_134_400.25, 7, {"what": "ended with 1"}
    line = JsonLines().format(record)
    assert line == (
        '{"at": "2026-08-31T00:00:00.250000Z", "level": "warning", "message_type": "notify", "process": 7,'
        ' "what": "ended with 1"}'
    )


def test_a_log_file_is_made_with_its_first_line(tmp_path):
    handler = LogFile(tmp_path)
    assert not (tmp_path / RUN_LOG).exists()
    handler.emit(logging.LogRecord("pipelines", logging.INFO, "", 0, "one", (), None))
    handler.close()
    assert json.loads((tmp_path / RUN_LOG).read_text())["text"] == "one"
