"""What every command shares: progress, errors as one line with an exit code, and output for people or programs."""

import json

from pipelines.cli.console import RemainingTime, progress_display
from pipelines.runtime.progress import Progress


def judging(done: int) -> Progress:
    return Progress("judging 2026-04-04", done, 1_000_000, "homes")


def test_remaining_time_is_estimated_from_the_second_event_of_a_counted_step_on():
    now = iter([100.0, 110.0, 130.0, 130.0, 400.0, 500.0])
    remaining = RemainingTime(lambda: next(now))
    assert remaining(judging(32_768)) == ""  # includes what had to be prepared
    assert remaining(judging(65_536)) == ", about 5 min left"
    assert remaining(judging(983_040)) == ", about 1 s left"
    assert remaining(judging(1_000_000)) == ""
    assert remaining(Progress("publishing")) == ""
    assert remaining(Progress("loading water", 3, 9, "files")) == ""
    assert remaining(Progress("loading water", 6, 9, "files")) == ", about 2 min left"


def test_progress_on_a_terminal_rewrites_one_line_of_stderr(monkeypatch, capsys):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    show = progress_display(as_json=False)
    show(Progress("loading water", 3, 9, "files"))
    show(Progress("publishing"))
    out, err = capsys.readouterr()
    assert (out, err) == ("", "\r\x1b[Kloading water: 3 of 9 files …\r\x1b[Kpublishing …")


def test_progress_as_json_has_the_text_and_the_counts(capsys):
    show = progress_display(as_json=True)
    show(Progress("loading water", 3, 9, "files"))
    show(Progress("publishing"))
    out, err = capsys.readouterr()
    assert err == "" and [json.loads(line) for line in out.splitlines()] == [
        {
            "message_type": "progress",
            "text": "loading water: 3 of 9 files",
            "done": 3,
            "total": 9,
            "unit": "files",
        },
        {"message_type": "progress", "text": "publishing"},
    ]


def test_progress_without_a_terminal_shows_nothing(capsys):
    progress_display(as_json=False)(Progress("publishing"))
    assert capsys.readouterr() == ("", "")
