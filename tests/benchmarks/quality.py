"""How much is found, how soon and at how many wrong doors, beside other methods: `python
tests/benchmarks/quality.py --help`.

Simulated cities and real homes with planted surges; plain tables on stdout, talk on stderr. The pieces:
`scoring` (the arithmetic), `worlds` (the data), `planting`, `ours`, `peers` and `elsewhere` (the methods),
`cards` (the tables). Peers that want another environment get one of their own, from pinned names, under
--peers-env; R's package is used where Rscript has it.
"""

import argparse
import multiprocessing
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))  # run as a file, from anywhere

from anomaly.expected import Grid, expect
from tests.benchmarks import cards, elsewhere, ours, peers, planting, scoring, worlds

PEERS = ("forest", "median", "stl", "statsforecast", "r")
SLOW = ("stl", "statsforecast", "r")
LEAD_NIGHTS = 28  # scored before the judged ones, for the sums and the quiet nights
SAMPLE_HOMES = 300  # of a city, for the slow peers
ABLATION_SURGES = 60  # of each size, in London
REAL = {  # name: sample, nights judged, share of homes planted at a time
    "london": ("london", date(2013, 11, 1), date(2014, 2, 20), 0.05),
    "london-year": ("london", date(2013, 3, 1), date(2014, 2, 20), 0.05),
    "alicante": ("alicante", date(2016, 12, 1), date(2017, 5, 1), 0.10),
}
DEFINITIONS = """\
Alarm: a night on which a home's score reaches the threshold after 14 nights below it. Threshold: set without labels, the lowest from
which on the homes with no planted or true episode raise at most N alarms per 1,000 homes and 30 days. Found: an alarm from the first
day to a week after the last. Delay: median, from the first day. Precision: share of all alarms that fall into a true episode so (leaks
are right to alarm on; recall is asked of surges of occupancy). Every score of a night is made from that night and earlier ones, unless said.
"""


@dataclass(frozen=True)
class Asked:
    """What the command line asks for."""

    cities: tuple[str, ...]
    real: tuple[str, ...]
    peers: tuple[str, ...]
    peers_env: Path
    seeds: int
    homes: int
    a_size: int  # planted surges of each size
    pool: ProcessPoolExecutor


def say(text: str) -> None:
    print(f"[{time.strftime('%H:%M:%S')}] {text}", file=sys.stderr, flush=True)


def peer_scores(
    grids: tuple[Grid, Grid], first: int, asked: Asked, which: tuple[str, ...]
) -> Iterator[tuple[str, np.ndarray]]:
    """Method and (H, T) scores, for nights from `first` on, of the second grid, learnt from the first one
    where peers learn from one another.

    Of the peers that were asked for and are in `which`; one that cannot be asked is told about.
    """
    known, both = grids
    makers: dict[str, Callable[[], dict[str, np.ndarray]]] = {
        "forest": lambda: {
            "isolation forest, raw and rolling": peers.forest(known, both),
            "isolation forest, z by own 84 days": peers.forest(known, both, own_level=True),
        },
        "median": lambda: {"trailing median/MAD, 10-day sum": peers.trailing_median(known, both)},
        "stl": lambda: peers.stl(both, first - LEAD_NIGHTS, asked.pool),
        "statsforecast": lambda: elsewhere.seasonal_window_average(both, asked.peers_env),
        "r": lambda: elsewhere.surveillance(both),
    }
    for name in which:
        if name not in asked.peers:
            continue
        say(f"  {name}")
        try:
            yield from makers[name]().items()
        except elsewhere.NoPeer as missing:
            say(f"  {missing}")


def city_trials(name: str, asked: Asked) -> dict[str, list[scoring.Trial]]:
    """Method → its trials, one a seed. The slow peers are asked on the mixed city, and there on a sample of
    homes."""
    trials: dict[str, list[scoring.Trial]] = {}
    for seed in range(1, asked.seeds + 1):
        say(f"city {name}, seed {seed}")
        world = worlds.city(name, seed, asked.homes)
        own = ours.scores(world.grid)
        rows = [
            ("this tool, any kind of case", own["cases"], world),
            ("this tool, signals together", own["joint"], world),
        ]
        fast = tuple(peer for peer in PEERS if peer not in SLOW)
        rows += [
            (method, score, world)
            for method, score in peer_scores((world.grid, world.grid), world.nights[0], asked, fast)
        ]
        if name == "mixed":
            part = world.part(min(SAMPLE_HOMES, asked.homes))
            rows += [
                (f"{method} *", score, part)
                for method, score in peer_scores((part.grid, part.grid), part.nights[0], asked, SLOW)
            ]
        for method, score, where in rows:
            one = scoring.trial(score, where.present, where.truth, where.nights)
            trials.setdefault(method, []).append(replace(one, stands_for=where.stands_for))
    return trials


def _sizes(name: str) -> str:
    low, high = worlds.CITIES[name][1]
    return f"×{low:g}" if low == high else f"×{low:g} to ×{high:g}"


def cities(asked: Asked) -> None:
    promises = []
    allowances = [f"{n} alarms" for n in scoring.BUDGETS]
    for name in asked.cities:
        trials = city_trials(name, asked)
        first = next(iter(trials.values()))
        surges = sum(int(one.episodes.asked.sum()) for one in first)
        promises.append(cards.promise_row(name, first))
        if not surges:
            continue
        homes = len(first[0].score)
        nights = first[0].score.shape[1]
        print(
            f"\n## City {name}: {asked.seeds} × {homes} homes, {nights} nights, {surges} surges of {_sizes(name)} people: recall, precision, delay\n"
        )
        print(cards.table(["alarms per 1,000 homes and 30 days", *allowances], cards.city_rows(trials)))
        if name != "mixed":
            continue
        print("The same, the threshold set on the alarms of all homes, true ones included:\n")
        print(
            cards.table(
                ["", *allowances],
                cards.city_rows(
                    {m: t for m, t in trials.items() if not m.endswith("*")}, unplanted_only=False
                ),
            ),
            flush=True,
        )
    if promises:
        print(
            "\n## The tool's own threshold: alarms promised and come on homes without a target, per 1,000 homes and 30 days\n"
        )
        print(
            cards.table(["city", "promised", "came", "recall", "precision", "delay", "surges"], promises),
            flush=True,
        )


def planted_rounds(name: str, asked: Asked) -> tuple[Grid, planting.Plan, list]:
    sample, first, last, portion = REAL[name]
    grid = worlds.sample(sample)
    plan = planting.Plan(worlds.span(grid, first, last), share=portion, a_size=asked.a_size)
    return grid, plan, list(planting.rounds(grid, plan, seed=1))


def present(grid: Grid) -> np.ndarray:
    return ~np.isnan(grid.value).all(axis=0)


def real_homes(name: str, asked: Asked) -> None:
    say(f"real homes: {name}")
    grid, plan, planted = planted_rounds(name, asked)
    # the whole tool on every copy: planted homes are their peers' peers
    trials = {
        "this tool": [
            scoring.trial(ours.scores(one)["cases"], present(one), told, plan.nights) for one, told in planted
        ]
    }
    both, episodes, copied = planting.copies(grid, planted)
    for method, score in peer_scores((grid, both), plan.nights[0], asked, PEERS):
        trials[method] = [scoring.trial(score, present(both), episodes, plan.nights, copied)]
    _, first, last, portion = REAL[name]
    homes = len(grid.households)
    nights = homes * (plan.nights[1] - plan.nights[0])
    print(
        f"\n## Real homes, {name}: {homes} homes, {grid.signals[0]} alone, {first} to {last}, surges of 10 to 40 days planted: recall, delay\n"
    )
    print(f"Planted into {portion:.0%} of the homes at a time, {len(planted)} rounds.")
    print(f"5 alarms per 1,000 homes and 30 days are {5 * nights / scoring.UNIT:.1f} alarms here.\n")
    head = ["alarms per 1,000 homes and 30 days", "size", *(f"{n} alarms" for n in scoring.BUDGETS), "surges"]
    print(cards.table(head, cards.size_rows(trials, plan.sizes)), flush=True)


def door(asked: Asked) -> None:
    """CalIt2: does the night's surprise tell the labelled days from the others?"""
    grid = worlds.sample("calit2")
    labelled = worlds.labelled_days("calit2", grid)
    weekday = np.array([grid.day(t).weekday() < 5 for t in range(grid.days)])
    methods = {
        "this tool, the night's surprise": expect(grid).surprise[0, 0],
        "z by own trailing median, MAD": peers.daily_median(grid)[0, 0],
    }
    both_judge = ~np.any([np.isnan(score) for score in methods.values()], axis=0)
    rows = []
    for name, score in methods.items():
        for label, kept in (
            ("all it judges", ~np.isnan(score)),
            ("weekdays of these", weekday & ~np.isnan(score)),
            ("both judge", both_judge),
        ):
            area, error = cards.auc(score[kept], labelled[kept])
            rows.append(
                [name, label, cards.share(area, error), f"{int(labelled[kept].sum())} of {int(kept.sum())}"]
            )
    print("\n## CalIt2: one door, nine weeks: AUC of labelled days, causal\n")
    print(cards.table(["", "days", "AUC", "labelled"], rows), flush=True)


def ablation(asked: Asked) -> None:
    """Recall of the tool with one step taken out at a time."""
    city: dict[str, list[scoring.Trial]] = {name: [] for name in ours.ABLATIONS}
    london: dict[str, list[scoring.Trial]] = {name: [] for name in ours.ABLATIONS}
    for seed in range(1, asked.seeds + 1):
        say(f"ablation: city mixed, seed {seed}")
        world = worlds.city("mixed", seed, asked.homes)
        for name, score in ours.ablated(world.grid).items():
            city[name].append(scoring.trial(score, world.present, world.truth, world.nights))
    _, plan, planted = planted_rounds(
        "london-year", replace(asked, a_size=min(asked.a_size, ABLATION_SURGES))
    )
    for number, (grid, episodes) in enumerate(planted, 1):
        say(f"ablation: London, round {number} of {len(planted)}")
        for name, score in ours.ablated(grid).items():
            london[name].append(scoring.trial(score, present(grid), episodes, plan.nights))
    in_city, in_london = cards.city_rows(city), cards.size_rows(london, (2.0,))
    rows = [[a[0], *a[1:4], *b[2:5]] for a, b in zip(in_city, in_london, strict=True)]
    heads = [f"{place}, {n}" for place in ("city", "London") for n in scoring.BUDGETS[:3]]
    print(
        f"\n## One step taken out: city mixed ({asked.seeds} seeds; recall, precision, delay) and a year of London, ×2 (recall, delay)\n"
    )
    print(cards.table(["alarms per 1,000 homes and 30 days", *heads], rows), flush=True)


def parsed(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0], epilog="example: python tests/benchmarks/quality.py --quick"
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help="one seed of the mixed city, London with few surges, the fast peers",
    )
    parser.add_argument(
        "--city", nargs="*", choices=list(worlds.CITIES), help="cities to run (none: give no name)"
    )
    parser.add_argument(
        "--real", nargs="*", choices=[*REAL, "calit2"], help="real samples to run (none: give no name)"
    )
    parser.add_argument("--seeds", type=int, help="cities of each kind (3)")
    parser.add_argument("--homes", type=int, default=1000, help="homes of a city (1000)")
    parser.add_argument(
        "--peers", nargs="*", choices=[*PEERS, "all", "none"], help="other methods to run (all)"
    )
    parser.add_argument(
        "--peers-env", type=Path, default=elsewhere.PEERS_ENV, help="folder of the peers' Python environment"
    )
    parser.add_argument(
        "--ablation", action="store_true", help="only this: the tool with one step taken out at a time"
    )
    return parser.parse_args(arguments)


def main(arguments: list[str]) -> None:
    given, start = parsed(arguments), time.monotonic()
    quick = given.quick
    chosen = given.peers if given.peers is not None else (["forest", "median"] if quick else ["all"])
    chosen = PEERS if "all" in chosen else tuple(name for name in PEERS if name in chosen)
    names = given.city if given.city is not None else (["mixed"] if quick else list(worlds.CITIES))
    real = given.real if given.real is not None else (["london", "calit2"] if quick else [*REAL, "calit2"])
    warnings.filterwarnings(
        "ignore", "(All-NaN|Mean of empty|invalid value)", RuntimeWarning
    )  # such a night or home simply says nothing
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        asked = Asked(
            tuple(names),
            tuple(real),
            chosen,
            given.peers_env,
            given.seeds or (1 if quick else 3),
            given.homes,
            60 if quick else 200,
            pool,
        )
        print(DEFINITIONS)
        if given.ablation:
            ablation(asked)
        else:
            cities(asked)
            for name in asked.real:
                door(asked) if name == "calit2" else real_homes(name, asked)
    print(f"{NOTES}\n{time.monotonic() - start:.0f} seconds")


NOTES = """
Errors, one standard error: cities over seeds (one seed: binomial); real homes by drawing homes again with the threshold set anew, since it rests on
the few alarms named above its table; AUC by Hanley and McNeil. * On 300 of the homes without an episode and all that
have one; alarms of the former are counted for all of them.
STL: robust with 4 outer rounds, refitted weekly, and may see up to six days ahead, in its favour. Of the three signals the peers' scores are plain sums."""


if __name__ == "__main__":
    main(sys.argv[1:])
