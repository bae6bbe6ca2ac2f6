"""What all commands share: progress, errors as a line and an exit code, output for people and programs."""

import datetime as dt
import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from pipelines.cli.console import (
    CommandGroup,
    RemainingTime,
    exit_code_of,
    json_option,
    print_data,
    print_messages,
    progress_display,
)
from pipelines.errors import NotFound, StoreLocked
from pipelines.runtime.progress import Progress
from tests.support.paths import ROOT


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


# errors


@click.group(cls=CommandGroup)
def main() -> None:
    """A command line with one command that fails."""


@main.command()
@json_option
@click.pass_obj
def fail(error: BaseException, as_json: bool) -> None:
    """Raise the error, or write a file where there is none."""
    if isinstance(error, Path):
        error.write_text("")
    else:
        raise error


def run(error: object, *args: str):
    return CliRunner().invoke(main, ["fail", *args], obj=error)


OWNER = "run it as the user whose site this is, or have that right given to this one"
FULL = "nothing is half-published: make room and run again"


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (NotFound("not there;\nlook elsewhere"), 2, "not there; look elsewhere"),
        (StoreLocked("another run"), 11, "another run"),
        (KeyboardInterrupt(), 130, "interrupted; nothing is half-published, run it again to go on"),
        (
            OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)),
            4,
            f"[Errno 28] No space left on device; yesterday's file stands, {FULL}",
        ),
        (
            ValueError("polars says\nwrite failed: No space left on device"),
            4,
            f"write failed: No space left on device; yesterday's file stands, {FULL}",
        ),
        (
            PermissionError(13, "Permission denied", "out/a.json"),
            2,
            f"out/a.json: Permission denied; {OWNER}",
        ),
        (
            PermissionError("Permission denied (os error 13): out/a.parquet"),
            2,
            f"Permission denied (os error 13): out/a.parquet; {OWNER}",
        ),
        (
            OSError(errno.EIO, "Input/output error", b"out/a"),
            4,
            "out/a: Input/output error; look at that path and at its disk, then run again",
        ),
    ],
)
def test_an_error_that_is_no_bug_is_one_line_and_an_exit_code(error, code, message):
    done = run(error)
    assert (done.exit_code, done.stdout, done.stderr) == (code, "", f"Error: {message}\n")
    assert exit_code_of(error) == code


def test_an_error_is_the_summary_where_json_is_asked_for():
    done = run(NotFound("not there"), "--json")
    assert json.loads(done.stdout) == {"message_type": "summary", "error": "not there", "exit_code": 2}
    assert done.stderr == "Error: not there\n"


def test_a_bug_is_raised_as_it_is():
    error = FileNotFoundError(2, "No such file or directory", "a.parquet")
    assert exit_code_of(error) == 1
    error = ZeroDivisionError("division by zero")
    done = run(error)
    assert (done.exit_code, done.exception) == (1, error) and exit_code_of(error) == 1


def test_control_signs_of_a_message_do_not_reach_the_terminal():
    assert "\x1b" not in run(NotFound("\x1b[31mred")).stderr


def test_files_of_a_command_are_for_their_owner_and_group_and_the_mask_is_put_back(tmp_path):
    mask = os.umask(0o000)
    try:
        assert run(tmp_path / "made").exit_code == 0
        assert (tmp_path / "made").stat().st_mode & 0o777 == 0o640
        assert os.umask(0o000) == 0o000
    finally:
        os.umask(mask)


# output


def test_data_is_text_on_stdout_or_json_lines(capsys):
    print_data(False, "a  b\n", [{"row": 1}], rows=1)
    assert capsys.readouterr() == ("a  b\n", "")
    print_data(True, "a  b\n", [{"row": 1}], rows=1, day=dt.date(2026, 8, 31))
    out, err = capsys.readouterr()
    assert err == "" and [json.loads(line) for line in out.splitlines()] == [
        {"row": 1},
        {"message_type": "summary", "rows": 1, "day": "2026-08-31"},
    ]


def test_messages_are_lines_on_stderr_or_json_lines_on_stdout(capsys):
    print_messages(False, ["night done", "report 户"], rows=1)
    assert capsys.readouterr() == ("", "night done\nreport 户\n")
    print_messages(True, ["night done"], [{"row": "户"}], rows=1)
    assert capsys.readouterr() == ('{"row": "户"}\n{"message_type": "summary", "rows": 1}\n', "")


def test_the_line_of_progress_is_cleared_before_messages_on_a_terminal(monkeypatch, capsys):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    print_messages(False, ["night done"])
    assert capsys.readouterr().err == "\r\x1b[Knight done\n"


@pytest.mark.parametrize(
    ("work", "code", "out"),
    [("print('done')", 0, "done\n"), ("sys.exit(3)", 3, ""), ("sys.exit()", 0, "")],
)
def test_run_and_exit_leaves_with_the_exit_code_and_all_that_was_printed(work, code, out):
    program = (
        f"import sys\nfrom pipelines.cli.console import run_and_exit\ndef work(): {work}\nrun_and_exit(work)"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (code, out, "")
