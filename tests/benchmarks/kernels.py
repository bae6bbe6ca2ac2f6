"""Time each hand-written step of the compiled kernels beside the plain library call that gives the same.

    python -m tests.benchmarks.kernels

One core, on homes of the city that tests/benchmarks/night.py makes: 8,192 homes, 3 signals, 400 days, the
last 14 of them asked for. It prints processor seconds of the fused kernel as it is and with one step at a
time done plainly, after checking that both give the same expectations; it takes some minutes, most of them to
compile.

The kernel is about half of a night at a million homes, so a plain form that takes a tenth longer costs the
night 5 %. What was printed on 28 November 2026 (2 shared cores of an AMD EPYC, both busy):

    past quantiles of a sample of 3,500 homes
      by hand                            0.027 s    1.00 ×
      np.nanquantile                     0.410 s   14.98 ×

    last 14 days of 8192 homes
      fused, a home at a time            0.476 s    1.00 ×
      step by step                       0.975 s    2.05 ×

    last 14 days of 8192 homes, fused
      by hand                            0.537 s    1.00 ×
      median by np.partition             0.998 s    1.86 ×
      median by np.median                0.855 s    1.59 ×
      weekdays by np.sort                0.801 s    1.49 ×
      vacancy by np.quantile             5.471 s   10.19 ×
      blocks by np.nanmedian             1.113 s    2.07 ×
      logarithms by np.log               0.588 s    1.10 ×
      all of them, np.median             7.141 s   13.30 ×

Two steps are the library's again, because they cost a night less than 1 %: the forest's path lengths (PyOD
takes 29 ms for the 1,700 home-nights of a block that are scored, arrays of nodes took 11 ms), and the largest
score of the nights before, by np.fmax.
"""

import importlib.util
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import numba
import numpy as np

from anomaly.detectors import windows
from anomaly.expected import ExpectedRules, Grid, expect, expect_recent, kernels, log_offset
from anomaly.expected.recent import _peer_arrays
from anomaly.peer_stats import PeerStats
from tests.benchmarks.night import FIRST, SIGNALS, City

HOMES, PEERS, DAYS, LAST = 8_192, 1_000, 400, 14
UNITS = ("count", "Wh", "litre")
ROUNDS = 5


# --- the plain forms ----------------------------------------------------------------------------------------


def median_by_partition(values, low, high):
    """Return the median by np.partition, wherever it is thought to lie."""
    half = len(values) // 2
    parts = np.partition(values, half)
    return parts[half] if len(values) % 2 else (parts[:half].max() + parts[half]) / 2


def median_of_library(values, low, high):
    """Return np.median."""
    return np.median(values)


def sort_columns(rows, n):
    """Sort each column by np.sort."""
    for d in range(rows.shape[1]):
        rows[:n, d] = np.sort(rows[:n, d])


def fill_bounds_with_quantiles(series, lag, params, lower, upper, bucket, count):
    """Write each day's trailing quantile itself as both bounds, sorting the window at each anchor."""
    for t in range(len(series)):
        if t == 0 or (params.ordinal + t) % 7 == 0:
            first = max(0, t - params.vacancy_days)
            known = series[first:t][(lag[first:t] == 0) & ~np.isnan(series[first:t])]
            held = np.nan
            if known.size >= params.short_least_days:
                held = np.quantile(known, 0.6)
        lower[t] = upper[t] = held


def second_block_median_of_library(y, end, lowest):
    """Return the second-highest block median by np.nanmedian of each block."""
    highest = second = -np.inf
    for k in range(12):
        last = end - 28 * k
        if last >= 0:
            block = y[max(0, last - 27) : last + 1]
            if (~np.isnan(block)).sum() >= 14:
                median = np.nanmedian(block)
                if median > highest:
                    highest, second = median, highest
                elif median > second:
                    second = median
    return second if second > lowest else -np.inf


PLAIN: dict[str, Mapping[str, Callable | int]] = {
    "median by np.partition": {"_median_by_counting": median_by_partition},
    "median by np.median": {"_median_by_counting": median_of_library},
    "weekdays by np.sort": {"_partial_sort_columns": sort_columns},
    "vacancy by np.quantile": {"_fill_quantile_bounds": fill_bounds_with_quantiles},
    "blocks by np.nanmedian": {"_second_block_median": second_block_median_of_library},
    "logarithms by np.log": {"TABLE_SIZE": 0},
}
"""Step done plainly → names in anomaly/expected/kernels.py, and what stands there instead."""


def load_kernels(folder: Path, name: str, plain: Mapping[str, Callable | int]) -> ModuleType:
    """Return kernels.py as a module of its own, compiled with the plain forms in the place of its own."""
    path = folder / f"{name}.py"
    shutil.copy(kernels.__file__, path)
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    for function, form in plain.items():
        setattr(module, function, numba.njit(form) if callable(form) else form)
    return module


# --- what they are timed on ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Data:
    """Homes of a city: a sample of peers, the others, and what the peers say of them."""

    others: Grid
    rules: ExpectedRules
    peers: PeerStats


def make_data() -> Data:
    """Return the homes, and the statistics of their peers."""
    grid = city_grid()
    rules, peers = ExpectedRules(), PeerStats(groups=int(grid.group.max()) + 1)
    expect(grid.select(np.arange(PEERS), DAYS), rules, peers)
    return Data(grid.select(np.arange(PEERS, PEERS + HOMES), DAYS), rules, peers)


def city_grid() -> Grid:
    """Return all homes of the benchmark's city as a grid."""
    city = City(PEERS + HOMES, DAYS)
    value = np.full((len(SIGNALS), PEERS + HOMES, DAYS), np.nan)
    for t in range(DAYS):
        for s, (known, use) in enumerate(city.day(t).values()):
            value[s, known, t] = use[known]
    return Grid(
        households=tuple(city.ids().to_list()),
        signals=SIGNALS,
        units=UNITS,
        first=FIRST,
        value=value,
        lag=np.zeros(value.shape, dtype=np.int16),
        weekday=((np.arange(DAYS) + FIRST.weekday()) % 7).astype(np.int8),
        group=(np.arange(PEERS + HOMES) // 2000 + 1).astype(np.int32),
        resolution=np.ones(value.shape),
    )


def expect_with(module: ModuleType, data: Data) -> kernels.RecentArrays:
    """Return the expectations of the last days by the fused kernel of a module."""
    grid = data.others
    value = np.where(np.isnan(grid.value), kernels.UNKNOWN, grid.value).astype(np.int32)
    params = kernels.kernel_params(data.rules, grid.weekday, grid.ordinal, LAST)
    peers = _peer_arrays(grid, data.peers, LAST)
    return module.expect_recent_days(
        value,
        grid.lag,
        grid.group,
        np.array([float(log_offset(unit)) for unit in grid.units]),
        np.array([unit != "count" for unit in grid.units]),
        module.PeerArrays(*peers),
        module.KernelParams(*params),
    )


# --- timing -------------------------------------------------------------------------------------------------


def fastest(ways: Mapping[str, Callable[[], object]], rounds: int = ROUNDS) -> dict[str, float]:
    """Return the least processor seconds of each, taken in turn after a first call that compiles."""
    for way in ways.values():
        way()
    seconds = dict.fromkeys(ways, np.inf)
    for _ in range(rounds):
        for name, way in ways.items():
            begun = time.process_time()
            way()
            seconds[name] = min(seconds[name], time.process_time() - begun)
    return seconds


def print_ratios(title: str, seconds: Mapping[str, float]) -> None:
    """Print seconds, and the ratio of each to the first."""
    print(f"\n{title}")
    ours = next(iter(seconds.values()))
    for name, taken in seconds.items():
        print(f"  {name:32} {taken:7.3f} s  {taken / ours:6.2f} ×")


def time_steps(data: Data, folder: Path) -> None:
    """Time the fused kernel with each of its steps done plainly, and with all of them."""
    all_plain = {name: form for plain in PLAIN.values() for name, form in plain.items()}
    modules: dict[str, ModuleType] = {"by hand": kernels}
    for number, (name, plain) in enumerate((PLAIN | {"all of them, np.median": all_plain}).items()):
        modules[name] = load_kernels(folder, f"plain_kernels_{number}", plain)
    ours = expect_with(kernels, data)
    for name, module in modules.items():
        theirs = expect_with(module, data)
        for field in ours._fields:
            np.testing.assert_allclose(
                getattr(theirs, field), getattr(ours, field), rtol=1e-9, atol=1e-9, err_msg=f"{name}: {field}"
            )
    ways = {name: lambda module=module: expect_with(module, data) for name, module in modules.items()}
    print_ratios(f"last {LAST} days of {HOMES} homes, fused", fastest(ways))


def time_fusion(data: Data) -> None:
    """Time the fused kernel against one kernel after the other."""
    ways = {
        "fused, a home at a time": lambda: expect_with(kernels, data),
        "step by step": lambda: expect_recent(data.others, data.rules, data.peers, LAST),
    }
    print_ratios(f"last {LAST} days of {HOMES} homes", fastest(ways))


def time_past_quantiles() -> None:
    """Time the quantiles of 240 past nights, one each week of a year."""
    nights = np.random.default_rng(1).standard_normal((DAYS, 3_500))
    stop = np.arange(0, DAYS, 7)
    first = np.maximum(stop - windows.PAST_NIGHTS, 0)
    quantile = windows.SCALE_QUANTILE

    def plainly() -> np.ndarray:
        return np.array(
            [
                np.nanquantile(nights[a:b], quantile) if b > a else np.nan
                for a, b in zip(first, stop, strict=True)
            ]
        )

    def by_hand() -> np.ndarray:
        return windows._past_quantiles(nights, first, stop, quantile)[0]

    np.testing.assert_allclose(by_hand(), plainly(), rtol=1e-12)
    print_ratios(
        "past quantiles of a sample of 3,500 homes", fastest({"by hand": by_hand, "np.nanquantile": plainly})
    )


def main() -> None:
    """Time all of them on one core."""
    numba.set_num_threads(1)
    time_past_quantiles()
    data = make_data()
    time_fusion(data)
    with tempfile.TemporaryDirectory() as folder:
        time_steps(data, Path(folder))


if __name__ == "__main__":
    main()
