"""Peers that live outside our environment: statsforecast in a Python of its own, R's `surveillance` through
Rscript."""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from anomaly.expected import Grid
from tests.benchmarks.peers import HISTORY, WEEK, filled, logs, summed

HERE = Path(__file__).parent
PEERS_ENV = Path.home() / ".cache" / "household-anomaly" / "peers"
R_HINT = "R's surveillance: left out, Rscript or the package is missing; to install them: apt-get install r-base-core r-cran-surveillance"


class NoPeer(Exception):
    """A peer that cannot be asked here; the message is one line and says how to get it."""


def python_of(folder: Path) -> Path:
    """The Python of the peers' environment under `folder`, made from pinned names if it is not there yet."""
    python = folder / "bin" / "python"
    if (
        python.exists()
        and subprocess.run([python, "-c", "import adtk, statsforecast"], capture_output=True).returncode == 0
    ):
        return python
    asked = HERE / "other" / "requirements.txt"
    for command in (
        [sys.executable, "-m", "venv", "--clear", folder],
        [python, "-m", "pip", "install", "--quiet", "-r", asked],
    ):
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise NoPeer(
                f"statsforecast: left out, {folder} could not be made ({(done.stderr.strip() or 'no message').splitlines()[-1]})"
            )
    return python


def seasonal_window_average(asked: Grid, folder: Path) -> dict[str, np.ndarray]:
    """statsforecast's SeasonalWindowAverage of log values, week by week; its errors over their own median,
    summed over ten days."""
    python = python_of(folder)
    x = logs(asked)
    with tempfile.TemporaryDirectory(prefix="quality-") as place:
        source, target = Path(place) / "in.npy", Path(place) / "out.npy"
        np.save(source, filled(x).reshape(-1, x.shape[2]))
        done = subprocess.run(
            [python, HERE / "other" / "seasonal_window_average.py", source, target],
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise NoPeer(f"statsforecast: left out, it stopped ({done.stderr.strip().splitlines()[-1]})")
        error = x - np.load(target).reshape(x.shape)
    return {"SeasonalWindowAverage, 10-day sum": summed(error / _usual_error(error))}


def _usual_error(error: np.ndarray) -> np.ndarray:
    """1.4826 · the median absolute error of the 84 days before each week, at least .1; NaN under three weeks
    of them."""
    out = np.full_like(error, np.nan)
    for start in range(WEEK, error.shape[2], WEEK):
        past = np.abs(error[:, :, max(0, start - HISTORY) : start])
        enough = (~np.isnan(past)).sum(axis=2, keepdims=True) >= 3 * WEEK
        usual = np.maximum(1.4826 * np.nanmedian(np.where(enough, past, 0.0), axis=2, keepdims=True), 0.1)
        out[:, :, start : start + WEEK] = np.where(enough, usual, np.nan)
    return out


def surveillance(asked: Grid) -> dict[str, np.ndarray]:
    """EARS C2 on every signal, summed over ten days, and where doors are counted the GLR-CUSUM of Poisson
    counts on them.

    farringtonFlexible is left out: it wants years of weeks, and a city has fourteen months.
    """
    rscript = shutil.which("Rscript")
    if (
        rscript is None
        or subprocess.run([rscript, "-e", "library(surveillance)"], capture_output=True).returncode
    ):
        raise NoPeer(R_HINT)
    out = {}
    x = logs(asked)
    z = np.stack([_r(rscript, filled(one))["ears.csv"] for one in x])
    out["R surveillance: EARS C2, 10-day sum"] = summed(np.where(np.isnan(x), np.nan, z))
    for s in np.flatnonzero(np.array(asked.units) == "count"):
        value = np.where(asked.lag[s] == 0, asked.value[s], np.nan)
        out["R surveillance: GLR-CUSUM, doors only"] = _r(rscript, filled(value), filled(_door_means(value)))[
            "glr.csv"
        ]
    return out


def _door_means(value: np.ndarray) -> np.ndarray:
    """(H, T): mean count of the same weekday over the twelve weeks before the last two."""
    weeks = [
        np.concatenate([np.full((len(value), n * WEEK), np.nan), value[:, : -n * WEEK]], axis=1)
        for n in range(2, 14)
    ]
    stack = np.stack(weeks)
    known = (~np.isnan(stack)).sum(axis=0)
    return np.where(known >= 3, np.nansum(stack, axis=0) / np.maximum(known, 1), np.nan)


def _r(rscript: str, value: np.ndarray, usual: np.ndarray | None = None) -> dict[str, np.ndarray]:
    with tempfile.TemporaryDirectory(prefix="quality-") as place:
        folder = Path(place)
        _write(folder / "value.csv", value)
        if usual is not None:
            _write(folder / "usual.csv", usual)
        done = subprocess.run(
            [rscript, HERE / "r" / "surveillance.R", folder], capture_output=True, text=True
        )
        if done.returncode:
            raise NoPeer(f"R's surveillance: left out, it stopped ({done.stderr.strip().splitlines()[-1]})")
        return {
            path.name: np.genfromtxt(path, delimiter=",", ndmin=2)
            for path in folder.glob("*.csv")
            if path.name in ("ears.csv", "glr.csv")
        }


def _write(path: Path, rows: np.ndarray) -> None:
    text = "\n".join(",".join("" if np.isnan(v) else f"{v:.5g}" for v in row) for row in rows)
    path.write_text(text + "\n", encoding="utf-8")
