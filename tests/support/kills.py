"""Commands that are killed, and what must hold after: run as a script, a command on a site that ends itself by SIGKILL.

python -m tests.support.kills ROOT AT COMMAND …    dies just before its write number AT below ROOT; with AT 0 it lives, and says how many it made and what memory it took
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


def hold_the_calendar() -> None:
    """Today is TODAY for whatever asks on which day something is said or pruned."""
    record_outcome.local_today = retention.local_today = lambda settings: TODAY


def die_at(root: Path, at: int) -> list[str]:
    """From now on SIGKILL comes just before write number `at`: a file opened to be written, renamed, removed or seen onto the disk."""
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
    """MB this process has taken at most. (What `wait4` tells of a process counts what its parent had when it began.)"""
    return int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1]) / 1e3


def start(site: Site, at: int, *command: str) -> subprocess.Popen:
    """The command on the site as a process of its own; its first line says that it begins."""
    home = ROOT
    told = [
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
        told,
        cwd=home,
        env=os.environ | {"PYTHONPATH": str(home)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def writes_of(site: Site, *command: str) -> tuple[int, float]:
    """How many writes the command makes where nobody kills it, and how many seconds it takes once begun."""
    with start(site, 0, *command) as process:
        assert process.stdout.readline() == "begins\n"
        begun = time.monotonic()
        said, why = process.communicate(timeout=120)
    assert process.returncode == 0, why
    return int(re.search(r"(\d+) writes", said)[1]), time.monotonic() - begun


def kill(site: Site, at: int | float, *command: str) -> bool:
    """Kill the command at its write number `at`, or that many seconds after it began; whether it was killed before its end."""
    with start(site, at if isinstance(at, int) else 0, *command) as process:
        if isinstance(at, float):
            process.stdout.readline()
            time.sleep(at)
            process.kill()
        process.communicate(timeout=120)
    return process.returncode == -signal.SIGKILL


# what must hold


@dataclass(frozen=True)
class Before:
    """What a site has shown and recorded."""

    shown: dict[str, list] | None
    recorded: tuple[list, list]


def shown(site: Site) -> dict[str, list] | None:
    """view → its rows without the clock's columns; None where nothing is published."""
    if not site.file.exists():
        return None
    told = site.published([name for name in tables.PUBLISHED if name != "runs"])
    runs = site.view("runs").drop(CLOCK)
    return told | {"runs": sorted(set(runs.rows()), key=repr)}


def recorded(site: Site) -> tuple[list, list]:
    """Outcomes and assignments of the journals, without the clock."""
    store = Store(site.file)
    lines = [
        [{name: v for name, v in line.items() if name != "recorded"} for line in store.read_lines(name)]
        for name in ("outcomes.jsonl", "assignments.jsonl")
    ]
    return tuple(lines)


def known(site: Site) -> Before:
    return Before(shown(site), recorded(site))


def troubles(site: Site, before: Before, after: Before) -> list[str]:
    """What does not hold of a site on which a command was killed: in a line each, none where all is well."""
    told = []
    if (now := shown(site)) not in (before.shown, after.shown):
        told.append(f"the file is neither the one before nor the one after: {differing(now, after.shown)}")
    if site.file.with_name(site.file.name + ".wal").exists():
        told.append("a .wal lies beside the published file")
    for kept, had, comes in zip(recorded(site), before.recorded, after.recorded, strict=True):
        if kept[: len(had)] != had or any(line not in comes for line in kept):
            told.append(f"recorded: {kept}, before {had}")
    try:
        AuditLog(Store(site.file)).verify()
    except AuditLogBroken as error:
        told.append(f"audit: {error}")
    return told


def differing(one: dict | None, other: dict | None) -> list[str]:
    """Names of the views whose rows are not the same."""
    if one is None or other is None:
        return ["one is not there"]
    return [f"{name} {len(one[name])}/{len(other[name])}" for name in other if one[name] != other[name]]


def leftovers(site: Site) -> list[str]:
    """What a killed command left lying and no later one cleared."""
    return sorted(
        str(path.relative_to(site.root)) for path in site.root.rglob("*") if LEFTOVERS.search(path.name)
    )


def mended(site: Site, after: Before, *command: str) -> list[str]:
    """Run the command again: what does not hold then."""
    again = site.run(command[0], *command[1:])
    if again.exit_code:
        return [f"the next run ends {again.exit_code}: {again.stderr.strip() or again.exception!r}"]
    told = [f"after the next run {line}" for line in troubles(site, after, after)]
    if left := leftovers(site):
        told.append(f"left lying: {left}")
    return told


if __name__ == "__main__":
    root, at, command = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
    hold_the_calendar()
    sys.argv[:] = ["anomaly", *command]
    print("begins", flush=True)
    made = die_at(root, at)
    try:
        main(command, prog_name="anomaly")
    finally:
        print(f"{len(made)} writes, {peak():.0f} MB", flush=True)
