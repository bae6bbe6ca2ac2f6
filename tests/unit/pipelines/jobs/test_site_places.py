"""Places of a site that would mix with exports, with another site or with other programs, each by a tiny
case."""

import json
from pathlib import Path

import pytest

from pipelines.config.settings import load_settings
from pipelines.errors import StateError
from pipelines.jobs import site_places
from pipelines.jobs.site_places import find_trouble, load_site, note_site
from pipelines.storage.state import Store
from tests.support.site import Site, make_site, with_pseudonyms


@pytest.fixture
def site(tmp_path) -> Site:
    """A site of which no night was judged."""
    return make_site(tmp_path, ["power"])


def test_a_folder_of_exports_may_not_be_that_of_the_store(site):
    (site.root / "out").mkdir()
    site.change("power*.csv", "out")
    found, *_ = find_trouble(load_settings(site.settings))
    assert f'files = "out" takes in {site.root / "out/anomaly.duckdb"}, which' in found


@pytest.mark.parametrize(
    ("files", "taken"),
    [
        ("power*.csv", None),
        ("*.csv", None),
        ("out/*.csv", None),
        ("out/*", "out/anomaly.duckdb"),
        ("*/anomaly.duckdb", "out/anomaly.duckdb"),
        ("out/anomaly.duckdb", "out/anomaly.duckdb"),
        ("**/*", "out/anomaly.duckdb"),
        ("**", "out/anomaly.duckdb"),
        ("./out/../out/*.jsonl", "out/audit.jsonl"),
        ("**/*.csv", "pages/2026-03-01/cases.csv"),
        ("**/*.parquet", "out/state/homes.parquet"),
        ("out/state/days/*/*.parquet", "out/state/days/power/000001_2026-03-01_2026-03-31_9f3c01aa.parquet"),
        (
            "out/state/rows/p*/??????_*.parquet",
            "out/state/rows/power/000001_2026-03-01_2026-03-31_9f3c01aa.parquet",
        ),
        ("out/*/*/*/*.pa*", "out/state/rows/power/000001_2026-03-01_2026-03-31_9f3c01aa.parquet"),
    ],
)
def test_a_glob_may_not_take_in_what_the_tool_writes(site, files, taken):
    site.change("power*.csv", files)
    site.change("[store]", '[reports]\npath = "pages"\n\n[store]')
    found = list(find_trouble(load_settings(site.settings)))
    assert len(found) == (taken is not None)
    if taken:
        assert f'[signals.power] files = "{files}" takes in {site.root / taken}, which' in found[0]


def test_the_map_of_pseudonyms_is_no_export(site):
    with_pseudonyms(site).change("power*.csv", "private/*.csv")
    (found,) = find_trouble(load_settings(site.settings))
    assert str(site.root / "private" / "map.csv") in found


@pytest.mark.parametrize(
    ("files", "reports", "refused"),
    [
        ("power*.csv", "pages", False),  # the folder of the settings holds both
        ("../*.csv", "pages", False),  # the folder above it holds everything
        ("exports/*.csv", "pages", False),
        ("exports/*.csv", "exports-pages", False),
        ("exports/*.csv", "exports", True),
        ("exports/power.csv", "exports/pages", True),
        ("exports/**/power*.csv", "exports/a/pages", True),
    ],
)
def test_reports_may_not_lie_inside_exports(site, files, reports, refused):
    site.change("power*.csv", files)
    site.change("[store]", f'[reports]\npath = "{reports}"\n\n[store]')
    found = list(find_trouble(load_settings(site.settings)))
    assert len(found) == refused
    if refused:
        assert found[0].startswith(
            f"[reports] path: {site.root / reports} lies in the folder of the exports of"
        )


def test_a_store_knows_its_settings_file_and_adopts_another_once_that_is_gone(tmp_path, site):
    settings = load_settings(site.settings)
    store = Store(settings.store)
    store.prepare()
    note_site(settings, store)
    assert json.loads(store.path("site.json").read_text()) == {"settings": "../anomaly.toml"}
    assert list(find_trouble(settings)) == []
    other = tmp_path / "other.toml"
    other.write_text(site.settings.read_text())
    with pytest.raises(StateError, match="is the store of .*/anomaly.toml; give this site a .store. path"):
        load_site(other)
    site.settings.unlink()
    assert load_site(other).path == other


@pytest.mark.parametrize(
    ("name", "own", "foreign"),
    [
        ("audit.jsonl", '{"previous": "0"}\n{"cut', '{"id": 1}\n'),
        ("manifest.json", '{\n "settings_sha256": "0"\n}\n', '{"name": "webapp"}'),
        ("log.jsonl", '{"message_type": "start"}\n{}\n', "GET /\n"),
        ("log.jsonl", "", "[]"),
    ],
)
def test_files_of_the_tool_are_known_by_what_they_hold(tmp_path, name, own, foreign):
    path = tmp_path / name
    path.write_text(own)
    assert site_places.OWN_FILES[name](path)
    path.write_text(foreign)
    assert not site_places.OWN_FILES[name](path)


def test_a_folder_that_may_not_be_read_is_left_to_who_needs_it(site, monkeypatch):
    def refuse(path: Path):
        raise PermissionError(13, "Permission denied", str(path))

    (site.root / "out" / "state").mkdir(parents=True)
    monkeypatch.setattr(Path, "iterdir", refuse)
    assert list(find_trouble(load_settings(site.settings))) == []
