"""The real samples are there, whole, on stated terms, and hold the defects they were chosen for."""

import csv
import tomllib

import polars as pl
import pytest

from pipelines.config.sections import Source
from pipelines.ingest.files import find_files
from pipelines.ingest.formats import read_file
from tests.support.paths import SAMPLES

REAL = ("alicante", "london", "calit2")


def settings(sample: str) -> dict:
    return tomllib.loads((SAMPLES / sample / "anomaly.toml").read_text(encoding="utf-8"))


def signal(sample: str) -> tuple[str, dict]:
    (found,) = settings(sample)["signals"].items()
    return found


def read(sample: str) -> pl.DataFrame:
    name, section = signal(sample)
    columns = section["columns"] | ({"periods": section["periods"]} if "periods" in section else {})
    source = Source(name, section["files"], columns, separator=section.get("separator", ","))
    return pl.concat(read_file(path, source) for path in find_files(SAMPLES / sample, source))


@pytest.fixture(scope="module")
def alicante() -> pl.DataFrame:
    rows = read("alicante").select(
        "household",
        time=pl.col("time").str.to_datetime(settings("alicante")["signals"]["water"]["time_format"]),
        text="value",
        litre=pl.col("value").cast(pl.Float64),
    )
    ordered = rows.sort("household", "time", maintain_order=True)
    return ordered.with_columns(
        step=pl.col("litre").diff().over("household"), pause=pl.col("time").diff().over("household")
    )


@pytest.mark.parametrize(
    ("sample", "rows", "homes"), [("alicante", 552_365, 60), ("london", 194_243, 300), ("calit2", 3_024, 1)]
)
def test_every_row_reads(sample, rows, homes):
    frame = read(sample)
    assert (len(frame), frame["household"].n_unique()) == (rows, homes)
    assert frame.drop("broken").null_count().sum_horizontal().sum() == 0
    assert frame["broken"].null_count() == rows


@pytest.mark.parametrize("sample", REAL)
def test_terms_and_provenance_are_beside_the_data(sample):
    licence = {"alicante": "Attribution-ShareAlike 4.0", "london": "CC BY 4.0", "calit2": "CC BY 4.0"}[sample]
    assert licence in (SAMPLES / sample / "LICENCE").read_text(encoding="utf-8")
    assert "Cite:" in (SAMPLES / sample / "PROVENANCE.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("sample", REAL)
def test_settings_say_whose_data_and_what_may_be_listed(sample):
    toml = settings(sample)
    assert toml["purpose"]["signatures"] == [
        {"alicante": "water", "london": "power", "calit2": "door"}[sample]
    ]
    assert (
        str(toml["purpose"]["expires"]) == "2099-12-31"
        and "Public research data" in toml["purpose"]["legal_basis"]
    )
    assert (
        toml["store"]["path"] == "out/anomaly.duckdb" and toml["reports"]["path"] == f"../../reports/{sample}"
    )


def test_the_samples_stay_small():
    size = sum(
        path.stat().st_size for sample in REAL for path in (SAMPLES / sample).glob("*") if path.is_file()
    )
    assert size < 6_000_000


def test_alicante_holds_its_known_defects(alicante):
    count = {
        "read twice": (alicante["pause"].dt.total_seconds() == 0).sum(),
        "back by a litre": (alicante["step"] == -1).sum(),
        "up by 248,000": alicante["step"].is_between(248_000, 249_000).sum(),
        "down by 248,000": alicante["step"].is_between(-249_000, -248_000).sum(),
        "gap over a day": (alicante["pause"].dt.total_hours() > 24).sum(),
        "rounded": alicante["text"].str.contains("e+", literal=True).sum(),
    }
    after_gap = alicante.filter(pl.col("pause").dt.total_hours() > 24)["step"]
    assert after_gap.is_between(20_000, 60_000).sum() >= 1
    assert count == {
        "read twice": 53,
        "back by a litre": 130,
        "up by 248,000": 4,
        "down by 248,000": 4,
        "gap over a day": 248,
        "rounded": 5,
    }


def test_london_has_days_that_are_partly_read():
    periods = read("london")["periods"].cast(pl.Int64)
    assert periods.is_between(1, 50).all()
    assert (periods < 48).sum() > 300


def test_calit2_is_half_hourly_without_a_hole_and_its_labels_lie_in_it():
    times = read("calit2")["time"].str.to_datetime("%Y-%m-%dT%H:%M:%S")
    assert times.diff().drop_nulls().dt.total_minutes().unique().to_list() == [30]
    assert (str(times[0]), str(times[-1])) == ("2005-07-23 23:30:00", "2005-09-24 23:00:00")
    labels = pl.read_csv(SAMPLES / "calit2" / "events.csv", infer_schema=False)
    assert labels.columns == ["date", "begin", "end", "event"] and len(labels) == 20
    assert labels["date"].str.to_date().is_between(times[0].date(), times[-1].date()).all()


def test_reshape_puts_two_directions_into_one_row(tmp_path):
    import sys

    sys.path.insert(0, str(SAMPLES))
    try:
        import reshape
    finally:
        sys.path.remove(str(SAMPLES))
    (tmp_path / "CalIt2_weeks1-9.data").write_text(
        "7,07/24/05,00:00:00,3\n9,07/24/05,00:00:00,1\n9,07/24/05,00:30:00,2\n"
    )
    (tmp_path / "CalIt2_weeks1-9.events").write_text("07/26/05,11:00:00,14:00:00,10; event\n")
    reshape.main(str(tmp_path), str(tmp_path))
    rows = list(csv.reader((tmp_path / "access.csv").read_text().splitlines()))
    assert rows == [
        ["household_id", "time", "entries", "exits"],
        ["calit2-main-door", "2005-07-23T23:30:00", "1", "3"],
        ["calit2-main-door", "2005-07-24T00:00:00", "2", ""],
    ]
    assert (
        tmp_path / "events.csv"
    ).read_text() == "date,begin,end,event\n2005-07-26,11:00:00,14:00:00,10; event\n"
