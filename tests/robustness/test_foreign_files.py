"""Whatever is not the tool's own is never removed, and folders that would mix with somebody else's are
refused beforehand."""

import datetime as dt
from pathlib import Path

import pytest

from tests.support.site import LAST, SIGNALS, Site, make_site


def foreign(folder: Path, *names: str) -> list[Path]:
    """Put files of another program into a folder."""
    paths = [folder / name for name in names]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("somebody else's")
    return paths


def stand(paths: list[Path]) -> bool:
    """Whether every one of the files is still what it was."""
    return all(path.is_file() and path.read_text() == "somebody else's" for path in paths)


def test_a_folder_of_exports_called_parquet_stays(tmp_path):
    site = make_site(tmp_path, ["power"])
    site.change('path = "out/anomaly.duckdb"', 'path = "anomaly.duckdb"')
    theirs = foreign(tmp_path / "parquet", "mine.parquet", "v1-000001/x.parquet")
    site.nightly()
    site.run("prune")
    assert stand(theirs)


def test_an_export_that_is_no_longer_asked_for_goes_and_leaves_what_is_beside_it(tmp_path):
    site = make_site(tmp_path, ["power"])
    site.change("[store]", "[publish]\nparquet = true\n\n[store]")
    site.nightly()
    theirs = foreign(tmp_path / "out" / "parquet", "mine.parquet")
    site.change("parquet = true", "parquet = false")
    site.nightly()
    assert stand(theirs) and [p.name for p in (tmp_path / "out" / "parquet").iterdir()] == ["mine.parquet"]


def test_prune_and_nights_leave_drafts_and_nights_of_other_programs(tmp_path):
    site = make_site(tmp_path, ["power"])
    site.nightly()
    theirs = foreign(
        tmp_path / "out",
        *(".app.db.wal", ".git.old/x", ".notes.draft", "state/.theirs.draft", "parquet/.theirs.draft"),
        *("2001-01-01/x.html", "reports/2001-01-01/x.html", "reports/.theirs.draft", "reports/.git.old/x"),
        *("reports/2001-01-02/index.html", "state/nights/2001-01-01/x"),
    )
    site.change("[store]", "# the same\n[store]")
    site.nightly()
    site.change("[store]", "[retention]\nraw_days = 1\nreports_days = 1\n\n[store]")
    assert site.run("prune").exit_code == 0
    assert stand(theirs)


def test_an_export_is_not_written_into_a_folder_of_somebody_else(tmp_path):
    site = make_site(tmp_path, ["power"])
    site.change("[store]", "[publish]\nparquet = true\n\n[store]")
    theirs = foreign(tmp_path / "out" / "parquet", "mine.parquet")
    refused = site.nightly(code=2)
    assert str(tmp_path / "out" / "parquet") in refused.stderr and refused.stderr.count("\n") == 1
    assert stand(theirs) and not site.file.exists()


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (('files = "power*.csv"', 'files = "**/*"'), "anomaly.duckdb"),
        (('files = "power*.csv"', 'files = "out/*"'), "out"),
        (("[store]", '[reports]\npath = "exports/pages"\n\n[store]'), "exports/pages"),
    ],
)
def test_a_place_of_the_tool_inside_its_inputs_is_refused_before_anything_is_written(tmp_path, change, named):
    site = make_site(tmp_path, ["power"])
    (tmp_path / "exports").mkdir()
    (tmp_path / "power.csv").rename(tmp_path / "exports" / "power.csv")
    site.change('files = "power*.csv"', 'files = "exports/power*.csv"')
    if change[0].startswith("files"):
        change = (change[0].replace("power*", "exports/power*"), change[1])
    site.change(*change)
    before = sorted(tmp_path.rglob("*"))
    refused = site.nightly(code=2)
    assert named in refused.stderr and refused.stderr.count("\n") == 1
    assert sorted(tmp_path.rglob("*")) == before
    assert site.run("doctor").exit_code != 0


def test_a_store_may_lie_beside_its_exports(tmp_path):
    site = make_site(tmp_path, ["power"])
    site.change('path = "out/anomaly.duckdb"', 'path = "anomaly.duckdb"')
    site.nightly()
    assert (tmp_path / "anomaly.duckdb").exists() and (tmp_path / "power.csv").exists()


def test_two_sites_with_one_store_are_refused(tmp_path):
    first, second = make_site(tmp_path / "a", ["power"]), make_site(tmp_path / "b", ["water"])
    first.change('path = "out/anomaly.duckdb"', f'path = "{tmp_path}/shared/anomaly.duckdb"')
    second.change('path = "out/anomaly.duckdb"', f'path = "{tmp_path}/shared/anomaly.duckdb"')
    first.nightly()
    refused = second.nightly(code=2)
    assert str(first.settings) in refused.stderr and refused.stderr.count("\n") == 1
    found = second.run("doctor")
    assert found.exit_code != 0 and str(first.settings) in found.output
    assert first.run("worklist").exit_code == 0


def test_a_site_that_moves_takes_its_store_along(tmp_path):
    site = make_site(tmp_path / "a", ["power"], last=dt.date(2026, 5, 13))
    site.nightly()
    moved = Site((tmp_path / "a").rename(tmp_path / "b"))
    moved.put("power-late.csv", (moved.root / "power.csv").read_bytes())
    moved.configure({"power": SIGNALS["power"]})
    moved.change("[store]", "# moved\n[store]")
    moved.nightly()


@pytest.mark.parametrize("name", ["manifest.json", "anomaly.duckdb", "audit.jsonl", "log.jsonl", "state/x"])
def test_a_store_among_files_of_another_program_is_refused(tmp_path, name):
    site = make_site(tmp_path, ["power"])
    theirs = foreign(tmp_path / "out", name, "reports/index.html")
    before = sorted(tmp_path.rglob("*"))
    refused = site.nightly(code=2)
    assert f"out/{Path(name).parts[0]}: " in refused.stderr and refused.stderr.count("\n") == 1
    assert stand(theirs) and sorted(tmp_path.rglob("*")) == before
    theirs[0].unlink()
    if name == "state/x":
        theirs[0].parent.rmdir()
    refused = site.nightly(code=2)
    assert "out/reports/index.html: is a page of another program" in refused.stderr
    assert stand(theirs[1:])


def test_a_nights_folder_with_a_page_of_another_program_is_refused(tmp_path):
    site = make_site(tmp_path, ["power"])
    theirs = foreign(tmp_path / "out" / "reports" / str(LAST), "index.html")
    assert f"{LAST}/index.html: is a page of another program" in site.nightly(code=2).stderr
    assert stand(theirs) and not site.file.exists()
