"""Kill commands at any of their writes, and look at what is left.

Run as a script it is the command that dies: `python -m tests.support.kills ROOT AT COMMAND …` runs the
command and ends itself by SIGKILL just before write number AT below ROOT. With AT 0 it lives, and prints how
many writes it made and what memory it took.
"""

import datetime as dt
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from anomaly import tables
from pipelines.cli.commands import main
from pipelines.errors import AuditLogBroken
from pipelines.jobs import record_outcome, retention
from pipelines.storage.audit_log import AuditLog
from pipelines.storage.state import Store
from tests.support.paths import ROOT
from tests.support.site import Site, day

TODAY = day(-1) + dt.timedelta(days=30)
CLOCK = ("run", "started_utc", "finished_utc")
WRITING = os.O_WRONLY | os.O_RDWR
CHANGES = {"os.rename", "os.remove", "os.rmdir", "os.truncate"}
LEFTOVERS = re.compile(r"\.(draft|old|wal)$")


# the process that dies


def fix_today() -> None:
    """Make TODAY the day on which outcomes are recorded and data is pruned, in this process."""
    record_outcome.local_today = retention.local_today = lambda settings: TODAY


def die_at(root: Path, at: int) -> list[str]:
    """Kill this process just before write number `at`; returns the list to which each write is added.

    A write is a file opened to be written, renamed, removed or flushed to the disk.
    """
    made: list[str] = []

    def count(event: str) -> None:
        made.append(event)
        if len(made) == at:
            os.kill(os.getpid(), signal.SIGKILL)

    def watch(event: str, given: tuple) -> None:
        if (
            (
                event == "open"
                and isinstance(given[2], int)
                and given[2] & WRITING
                and str(given[0]).startswith(str(root))
            )
            or event in CHANGES
            and (str(given[0]).startswith(str(root)) or not os.path.isabs(str(given[0])))
        ):
            count(event)

    def synced(descriptor: int, fsync=os.fsync) -> None:
        count("fsync")
        fsync(descriptor)

    sys.addaudithook(watch)
    os.fsync = synced
    return made


def peak() -> float:
    """Return the MB this process has taken at most; `wait4` would count what its parent had when it began."""
    return int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1]) / 1e3


def start(site: Site, at: int, *command: str) -> subprocess.Popen:
    """Start the command on the site as a process of its own; it prints "begins" first."""
    command_line = [
        sys.executable,
        "-m",
        "tests.support.kills",
        str(site.root),
        str(at),
        *command,
        "--settings",
        str(site.settings),
    ]
    return subprocess.Popen(
        command_line,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def writes_of(site: Site, *command: str) -> tuple[int, float]:
    """Return how many writes the command makes when it lives, and how many seconds it takes once begun."""
    with start(site, 0, *command) as process:
        assert process.stdout.readline() == "begins\n"
        begun = time.monotonic()
        printed, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    return int(re.search(r"(\d+) writes", printed)[1]), time.monotonic() - begun


def kill(site: Site, at: int | float, *command: str) -> bool:
    """Kill the command at write `at` (int) or after `at` seconds (float); returns whether it was killed."""
    with start(site, at if isinstance(at, int) else 0, *command) as process:
        if isinstance(at, float):
            process.stdout.readline()
            time.sleep(at)
            process.kill()
        process.communicate(timeout=120)
    return process.returncode == -signal.SIGKILL


# what must hold


@dataclass(frozen=True)
class SiteState:
    """What a site has published and recorded."""

    shown: dict[str, list] | None
    recorded: tuple[list, list]


def shown(site: Site) -> dict[str, list] | None:
    """Return view → its rows, without the columns of times; None where nothing is published."""
    if not site.file.exists():
        return None
    views = site.published([name for name in tables.PUBLISHED if name != "runs"])
    runs = site.view("runs").drop(CLOCK)
    return views | {"runs": sorted(set(runs.rows()), key=repr)}


def recorded(site: Site) -> tuple[list, list]:
    """Return the outcomes and assignments of the journals, without the times of recording."""
    store = Store(site.file)
    lines = [
        [{name: v for name, v in line.items() if name != "recorded"} for line in store.read_lines(name)]
        for name in ("outcomes.jsonl", "assignments.jsonl")
    ]
    return tuple(lines)


def site_state(site: Site) -> SiteState:
    return SiteState(shown(site), recorded(site))


def troubles(site: Site, before: SiteState, after: SiteState) -> list[str]:
    """Return a line for each thing that is wrong with a site on which a command was killed."""
    found = []
    if (now := shown(site)) not in (before.shown, after.shown):
        found.append(f"the file is neither the one before nor the one after: {differing(now, after.shown)}")
    if site.file.with_name(site.file.name + ".wal").exists():
        found.append("a .wal lies beside the published file")
    for lines, before_lines, after_lines in zip(recorded(site), before.recorded, after.recorded, strict=True):
        if lines[: len(before_lines)] != before_lines or any(line not in after_lines for line in lines):
            found.append(f"recorded: {lines}, before {before_lines}")
    try:
        AuditLog(Store(site.file)).verify()
    except AuditLogBroken as error:
        found.append(f"audit: {error}")
    return found


def differing(one: dict | None, other: dict | None) -> list[str]:
    """Return the names of the views whose rows differ, with their numbers of rows."""
    if one is None or other is None:
        return ["one is not there"]
    return [f"{name} {len(one[name])}/{len(other[name])}" for name in other if one[name] != other[name]]


def leftovers(site: Site) -> list[str]:
    """Return the drafts that a killed command has left and no later one has cleared."""
    return sorted(
        str(path.relative_to(site.root)) for path in site.root.rglob("*") if LEFTOVERS.search(path.name)
    )


def troubles_after_rerun(site: Site, after: SiteState, *command: str) -> list[str]:
    """Run the command again, and return what is wrong then."""
    again = site.run(command[0], *command[1:])
    if again.exit_code:
        return [f"the next run ends {again.exit_code}: {again.stderr.strip() or again.exception!r}"]
    found = [f"after the next run {line}" for line in troubles(site, after, after)]
    if left := leftovers(site):
        found.append(f"left lying: {left}")
    return found


if __name__ == "__main__":
    root, at, command = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
    fix_today()
    sys.argv[:] = ["anomaly", *command]
    print("begins", flush=True)
    made = die_at(root, at)
    try:
        main(command, prog_name="anomaly")
    finally:
        print(f"{len(made)} writes, {peak():.0f} MB", flush=True)
