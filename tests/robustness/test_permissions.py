"""Whoever may not read or write the site is told so in one line by every command."""

import json
import os
import shutil
import subprocess
import sys

import pytest

from tests.support.paths import ROOT

COMMANDS = {
    "worklist": "out/anomaly.duckdb: Permission denied",
    "status": "out/anomaly.duckdb: Permission denied",
    "explain CASE": "Permission denied",
    "decide CASE benign --reason seen": "out/state",
    "audit verify": "Permission denied",
    "prune": "out: cannot be written (Permission denied)",
    "nightly": "out: cannot be written (Permission denied)",
}
RUN = """
import json, sys
from pathlib import Path
from tests.support.site import Site

site, commands = Site(Path(sys.argv[1])), json.loads(sys.argv[2])
(site.root / "out").chmod(0)
results = {command: site.run(command) for command in commands}
(site.root / "out").chmod(0o750)
print(json.dumps({command: [done.exit_code, done.stderr] for command, done in results.items()}))
"""


@pytest.mark.long
def test_commands_of_a_user_who_may_not_read_the_site(judged_site, tmp_path):
    """What root may do is taken from it, for permissions to count."""
    shutil.copytree(judged_site.root, tmp_path / "site")
    commands = {command.replace("CASE", judged_site.case_id()): said for command, said in COMMANDS.items()}
    drop = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.getuid() == 0 else []
    done = subprocess.run(
        [*drop, sys.executable, "-c", RUN, str(tmp_path / "site"), json.dumps(list(commands))],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    for command, (code, said) in json.loads(done.stdout).items():
        assert code == 2 and said.count("\n") == 1 and commands[command] in said, (command, code, said)
        assert said.startswith("Error: ") and ("this user may write" in said or "as the user whose" in said)
