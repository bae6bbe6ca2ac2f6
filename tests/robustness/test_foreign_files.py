"""Whatever is not the tool's own is never removed, and folders that would mix with somebody else's are refused beforehand."""

from pathlib import Path

from tests.support.site import make_site


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
