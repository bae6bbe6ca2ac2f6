"""`anomaly simulate`: a synthetic city as files, with exports, register, truth and settings to run them."""

import gzip
import shlex
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import polars as pl

from anomaly.simulate import settings_text, simulate, standard_city
from pipelines.errors import FolderNotFree


def make_city(
    folder: Path,
    preset: str = "mixed",
    homes: int = 300,
    days: int = 427,
    seed: int = 1,
    settings: str | None = None,
) -> str:
    """Write a standard city under `folder`, and return in one line what to do with it.

    Where the city has targets (true surges), some of them run on its last night: about one home in a hundred,
    and one leak. `settings` is the text of its settings file, made up if left out. Raises FolderNotFree where
    one is there already.
    """
    if (folder / "anomaly.toml").exists():
        raise FolderNotFree(
            f"{folder} already holds an anomaly.toml; choose another folder or remove it first"
        )
    city = standard_city(preset, homes, days)
    if city.surge_rate:
        city = replace(city, running_surges=max(1, homes // 100), running_leaks=1)
    frames = simulate(city, seed)
    write_city(frames, folder, settings or settings_text("Synthetic city"))
    targets = frames["truth"].filter("target").height
    next_command = f"anomaly nightly --settings {shlex.quote(str(folder / 'anomaly.toml'))}"
    return f"{homes} homes, {days} days, {targets} true targets in {folder}; next: {next_command}"


def write_city(frames: Mapping[str, pl.DataFrame], folder: Path, settings: str) -> None:
    """Write the frames of `anomaly.simulate.simulate` under `folder`; the same frames give the same bytes.

    Door counts are in `access/`, one file for each month in which rows arrived; a late row is in the month it
    came.
    """
    (folder / "access").mkdir(parents=True, exist_ok=True)
    (folder / "anomaly.toml").write_text(settings, encoding="utf-8")
    for name in ("households", "truth"):
        (folder / f"{name}.csv").write_text(frames[name].write_csv(), encoding="utf-8")
    for name in ("water", "power"):
        _write_gz(frames[name].drop("arrived"), folder / f"{name}.csv.gz")
    entries = frames["entries"].with_columns(month=pl.col("arrived").dt.strftime("%Y-%m"))
    for (month,), rows in entries.group_by("month", maintain_order=True):
        _write_gz(rows.drop("arrived", "month"), folder / "access" / f"{month}.csv.gz")


def _write_gz(frame: pl.DataFrame, path: Path) -> None:
    # no name and no time in the header, so that the bytes depend on the rows alone
    with path.open("wb") as raw, gzip.GzipFile("", "wb", compresslevel=9, fileobj=raw, mtime=0) as packed:
        packed.write(frame.write_csv().encode())
