"""Compiled code and the list of fonts have a folder, whoever runs the tool."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from pipelines.errors import NoCacheFolder
from pipelines.runtime import cache_folders
from pipelines.runtime.cache_folders import choose_cache_folders
from tests.support.paths import ROOT

NOWHERE = "/proc/1/nowhere"  # not even root can make a folder there


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """A folder for temporary files of this test's own; numba may not write beside the code."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(cache_folders, "COMPILED", tmp_path / "file" / "__pycache__")
    (tmp_path / "file").touch()
    return tmp_path


@pytest.fixture
def homeless(monkeypatch):
    monkeypatch.setenv("HOME", NOWHERE)


def test_usual_folders_stay(tmp_path, temporary, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    environment: dict[str, str] = {}
    choose_cache_folders(environment)
    assert environment == {}
    named = {"NUMBA_CACHE_DIR": str(tmp_path / "a"), "MPLCONFIGDIR": str(tmp_path / "b")}
    choose_cache_folders(environment := named.copy())
    assert environment == named


def a_user_without_an_entry():
    raise RuntimeError("Could not determine home directory.")


def test_without_a_home_they_are_private_folders_for_temporary_files(temporary, homeless, monkeypatch):
    environment = {"NUMBA_CACHE_DIR": NOWHERE}
    choose_cache_folders(environment)
    private = temporary / f"household-anomaly-{os.getuid()}"
    assert environment == {
        "NUMBA_CACHE_DIR": str(private / "numba"),
        "MPLCONFIGDIR": str(private / "matplotlib"),
    }
    assert private.stat().st_mode & 0o777 == 0o700
    monkeypatch.setattr(Path, "home", a_user_without_an_entry)
    choose_cache_folders(again := {})
    assert again == environment  # so that the next run finds what this one compiled


def test_a_folder_that_others_may_write_is_not_used(temporary, homeless):
    private = temporary / f"household-anomaly-{os.getuid()}"
    private.mkdir()
    private.chmod(0o777)
    with pytest.raises(NoCacheFolder, match="others may write there"):
        choose_cache_folders({})
    private.rmdir()
    private.symlink_to(temporary)
    with pytest.raises(NoCacheFolder, match="others may write there"):
        choose_cache_folders({})


def test_without_any_folder_it_is_said_in_one_line(temporary, homeless, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", NOWHERE)
    with pytest.raises(NoCacheFolder, match=r"can be written \(No such file.*; set NUMBA_CACHE_DIR and MPL"):
        choose_cache_folders({})


LOCATORS = "UserProvidedCacheLocator,UserWideCacheLocator"
WITHOUT_HOME = f"""
from pipelines.runtime import cache_folders
from pathlib import Path
cache_folders.COMPILED = Path("{NOWHERE}/__pycache__")
from pipelines.cli.commands import program
program()
"""


def test_a_command_runs_without_a_home(tmp_path):
    """Without numba's folder beside the code: an installed copy belongs to another user."""
    environment = {name: value for name, value in os.environ.items() if name != "XDG_CACHE_HOME"}
    environment |= {"HOME": NOWHERE, "TMPDIR": str(tmp_path), "PYTHONPATH": str(ROOT)}
    environment["NUMBA_CACHE_LOCATOR_CLASSES"] = LOCATORS
    command = [sys.executable, "-c", WITHOUT_HOME, "worklist", "--settings", str(tmp_path / "none.toml")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 2 and done.stderr.count("\n") == 1, done.stderr
    assert "none.toml: cannot be read" in done.stderr
    assert (tmp_path / f"household-anomaly-{os.getuid()}" / "numba").is_dir()
