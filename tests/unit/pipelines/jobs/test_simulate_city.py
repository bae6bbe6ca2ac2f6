"""A synthetic city as files: reproducible, with settings that read them."""

import gzip
import tomllib
from datetime import date
from pathlib import Path

import polars as pl
import pytest

from anomaly.simulate import settings_text, simulate, standard_city
from pipelines.errors import FolderNotFree
from pipelines.jobs.simulate_city import make_city, write_city
from tests.support.paths import SAMPLES

SAMPLE = SAMPLES / "city"


def lines_of(path: Path) -> list[str]:
    return gzip.decompress(path.read_bytes()).decode().splitlines()


def test_files_are_reproducible_and_hold_every_row(tmp_path):
    frames = simulate(standard_city("mixed", 20, 60), 7)
    for folder in ("a", "b"):
        write_city(frames, tmp_path / folder, settings_text("Try"))
    written = {path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*") if path.is_file()}
    same = [(tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes() for name in written]
    assert len(same) == 5 + 2 and all(same)
    water = lines_of(tmp_path / "a" / "water.csv.gz")
    assert water[0] == "household_id,day,reading" and len(water) == frames["water"].height + 1
    months = sorted((tmp_path / "a" / "access").iterdir())
    assert [path.name for path in months] == ["2025-07.csv.gz", "2025-08.csv.gz"]
    assert sum(len(lines_of(path)) - 1 for path in months) == frames["entries"].height


def test_a_late_row_is_in_the_month_in_which_it_came(tmp_path):
    frames = simulate(standard_city("mixed", 2, 60), 7)
    came = {"2026-07": "2026-07-31", "2026-09": "2026-09-01"}
    late = frames["entries"].head(2).with_columns(arrived=pl.Series(came.values()).str.to_date())
    write_city(frames | {"entries": late}, tmp_path, settings_text("Try"))
    assert sorted(path.name for path in (tmp_path / "access").iterdir()) == [
        f"{month}.csv.gz" for month in came
    ]


def test_some_targets_run_on_the_last_night(tmp_path):
    make_city(tmp_path / "city", "mixed", homes=200, days=60, seed=3)
    truth = pl.read_csv(tmp_path / "city" / "truth.csv", try_parse_dates=True)
    last = truth["last"].max()
    assert truth.filter("target", pl.col("last") == last).height >= 2


def test_settings_read_and_name_the_files_that_are_there(tmp_path):
    told = make_city(tmp_path / "city", "nuisances", 10, 40, 1)
    assert str(tmp_path / "city" / "anomaly.toml") in told
    settings = tomllib.loads((tmp_path / "city" / "anomaly.toml").read_text(encoding="utf-8"))
    assert settings["purpose"]["expires"] == date(2099, 12, 31)
    assert settings["site"]["languages"] == ["en", "zh"]
    for section in [settings["households"], *settings["signals"].values()]:
        found = sorted((tmp_path / "city").glob(section["files"]))
        assert found
        raw = found[0].read_bytes()
        header = (
            (gzip.decompress(raw) if found[0].suffix == ".gz" else raw).decode().splitlines()[0].split(",")
        )
        assert set(section["columns"].values()) <= set(header)
    with pytest.raises(FolderNotFree, match="already holds"):
        make_city(tmp_path / "city")


def test_the_sample_city_is_what_its_seed_gives(tmp_path):
    make_city(tmp_path / "city", seed=7, settings=settings_text("Sample city", reports="../../reports/city"))
    written = [path for path in (tmp_path / "city").rglob("*") if path.is_file()]
    assert len(written) == 14 + 5
    for path in written:
        mine, kept = path.read_bytes(), (SAMPLE / path.relative_to(tmp_path / "city")).read_bytes()
        if path.suffix == ".gz":  # packers may differ, rows may not
            mine, kept = gzip.decompress(mine), gzip.decompress(kept)
        assert mine == kept, (
            f"{path.name}: the generator has changed; make the sample anew as its PROVENANCE.md says"
        )
    assert (
        sum(path.stat().st_size for path in SAMPLE.rglob("*") if path.is_file() and "out" not in path.parts)
        < 4_000_000
    )
    assert (SAMPLE / "LICENCE").read_text(encoding="utf-8").startswith("CC0")
