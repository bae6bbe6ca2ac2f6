"""Nothing leaves the machine and nobody else reads what is written."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest

from pipelines.cli.commands import main
from tests.support.paths import ROOT
from tests.support.site import Site, daily, make_site, rows

OTHERS = 0o027  # what the group may not write and nobody else may do
MANY = "from pipelines.runtime import process_pool; process_pool.MIN_ITEMS_PER_WORKER = 0; process_pool.processors = lambda: 2\nif __name__ == '__main__':\n    from pipelines.cli.commands import program; program()"
# read by every Python that starts, the workers too
CUSTOM = """import os, sys
def note(event, args):
    if event.startswith("socket.") and event != "socket.__new__" or event in ("urllib.Request", "http.client.connect"):
        with open(os.environ["SOCKETS"], "a") as file:
            file.write(f"{event} {args}\\n")
        raise RuntimeError("a socket was used")
sys.addaudithook(note)
with open(os.environ["SOCKETS"] + ".seen", "a") as file:
    file.write(f"{os.getpid()} {' '.join(sys.orig_argv)[:200]}\\n")
"""


def command(site: Site, *words: str) -> list[str]:
    script = site.put("run.py", MANY)
    return [sys.executable, str(script), *words, "--settings", str(site.settings)]


def watched(site: Site, argv: list[str]) -> subprocess.CompletedProcess:
    """Run it with a hook in every Python that reports any use of a socket."""
    site.put("custom/sitecustomize.py", CUSTOM)
    env = os.environ | {"PYTHONPATH": f"{site.root / 'custom'}:{ROOT}", "SOCKETS": str(site.root / "sockets")}
    return subprocess.run(argv, cwd=ROOT, env=env, capture_output=True, text=True, timeout=300)


def test_no_process_of_a_night_uses_a_socket(tmp_path):
    site = make_site(tmp_path, ["power"])
    done = watched(site, command(site, "nightly"))
    assert done.returncode == 0, done.stderr
    assert (
        "resource_tracker" not in done.stderr and "leaked" not in done.stderr
    )  # all is closed when it leaves
    assert not (tmp_path / "sockets").exists()
    seen = (tmp_path / "sockets.seen").read_text().splitlines()
    assert sum("spawn_main" in line for line in seen) >= 1, "no worker took part"
    probe = watched(site, [sys.executable, "-c", "import socket; socket.create_connection(('127.0.0.1', 9))"])
    assert (
        probe.returncode != 0 and "socket" in (tmp_path / "sockets").read_text()
    )  # the hook would have seen one


def without_network() -> list[str] | None:
    """The words before a command that take the network from it, where this machine lets one."""
    way = ["unshare", "--net", "--"] if os.geteuid() == 0 else ["unshare", "--net", "--map-root-user", "--"]
    works = shutil.which("unshare") and subprocess.run([*way, "true"], capture_output=True).returncode == 0
    return way if works else None


@pytest.mark.long
def test_a_night_needs_no_network_and_the_system_sees_it_ask_for_none(tmp_path):
    way = without_network()
    if way is None or not shutil.which("strace"):
        pytest.skip("neither unshare nor strace may be used here")
    site = make_site(tmp_path)
    trace = tmp_path / "trace"
    for words in (["nightly"], ["audit", "record"], ["doctor"]):
        traced = [
            *way,
            "strace",
            "-f",
            "-qq",
            "-e",
            "trace=socket,connect,bind",
            "-o",
            str(trace),
            *command(site, *words),
        ]
        done = watched(site, traced)
        assert done.returncode in (0, 3), done.stderr
        # names of users are asked of a local service where there is one; that is no network
        asked = [line for line in trace.read_text().splitlines() if "AF_" in line and "AF_UNIX" not in line]
        assert not asked, asked[:5]


def open_to_others(folder: Path) -> list[str]:
    return sorted(
        f"{path.relative_to(folder)} {path.stat().st_mode & 0o777:o}"
        for path in [folder, *folder.rglob("*")]
        if path.stat().st_mode & OTHERS
    )


@pytest.fixture(params=[0o000, 0o022])
def careless(request):
    """A user whose files are open to all."""
    before = os.umask(request.param)
    yield
    os.umask(before)


def test_what_is_written_is_for_owner_and_group_whatever_the_umask(tmp_path, careless, monkeypatch):
    site = make_site(tmp_path)
    site.change("[store]", '[reports]\npath = "pages/of/site"\n\n[publish]\n\n[store]')
    monkeypatch.setattr("pipelines.runtime.process_pool.MIN_ITEMS_PER_WORKER", 0)
    site.nightly()
    (case,) = site.view("worklist")["case_id"]
    for words in (
        ["decide", case, "benign", "--reason", "x"],
        ["assign", case, "--to", "x"],
        ["audit fairness"],
        ["audit record"],
        ["prune"],
    ):
        assert site.run(*words).exit_code == 0, words
    site.put("water-2.csv", rows("water", daily()["water"]))
    site.nightly()
    site.change("signatures", "# signatures are the same\nsignatures")
    site.nightly()
    for folder in ("out", "pages"):
        assert len(list((tmp_path / folder).rglob("*"))) > 8 and open_to_others(tmp_path / folder) == []
    assert os.umask(0) in (0o000, 0o022)  # and the process's own was given back


def test_the_service_is_understood_and_shut_in(tmp_path):
    """systemd's own check of the unit and of how little it may do; 10 is all that can be done."""
    if not shutil.which("systemd-analyze"):
        pytest.skip("no systemd here")
    for name in ("anomaly.service", "anomaly.timer"):
        unit = (ROOT / "pipelines" / "examples" / name).read_text(encoding="utf-8")
        (tmp_path / name).write_text(
            unit.replace("/opt/anomaly/.venv/bin/anomaly", "/bin/true").replace(
                "User=anomaly", "DynamicUser=true"
            ),
            encoding="utf-8",
        )
    checked = subprocess.run(
        ["systemd-analyze", "verify", *map(str, tmp_path.iterdir())], capture_output=True, text=True
    )
    assert (checked.returncode, checked.stderr) == (0, "")
    asked = subprocess.run(
        [
            "systemd-analyze",
            "security",
            "--offline=true",
            "--threshold=20",
            str(tmp_path / "anomaly.service"),
        ],
        capture_output=True,
        text=True,
    )
    assert asked.returncode == 0, asked.stdout[-300:]  # at most 2.0


def test_the_schedulers_call_a_command_that_is_there():
    for name in ("anomaly.service", "anomaly.cron"):
        unit = (ROOT / "pipelines" / "examples" / name).read_text(encoding="utf-8")
        (called,) = re.findall(r"/bin/anomaly (.*)$", unit, re.MULTILINE)
        name, *words = called.split()
        command = main.commands[name]
        assert (
            command.make_parser(click.Context(command)).parse_args(args=words)[0]["settings_path"]
            == "/srv/anomaly/anomaly.toml"
        )
