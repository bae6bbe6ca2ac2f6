"""The experiments: each takes data and methods, and gives rows of text for a plain table."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from anomaly.evidence import EvidenceRules, opening_rarity
from tests.benchmarks.bootstrap import recall_errors
from tests.benchmarks.scoring import (
    BUDGETS,
    Point,
    Trial,
    binomial_error,
    error_of_mean,
    point,
    points,
    rate_at,
)

PROMISED = EvidenceRules().chance_cases
KINDS = 4  # people, door, water, power share the allowance


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Columns wide enough for what is in them, the first one flush left."""
    rows = [list(head), *map(list, rows)]
    wide = [max(len(row[c]) for row in rows) for c in range(len(head))]
    lines = [
        "  ".join(
            [row[0].ljust(wide[0]), *(cell.rjust(w) for cell, w in zip(row[1:], wide[1:], strict=True))]
        )
        for row in rows
    ]
    return "".join(line.rstrip() + "\n" for line in lines)


def share(value: float, error: float = float("nan")) -> str:
    """ ".83±.04", "1.0" or "–"."""
    text = "–" if np.isnan(value) else f"{value:.2f}".removeprefix("0") if value < 0.995 else "1.0"
    return text if np.isnan(error) else f"{text}±{error:.2f}".replace("±0.", "±.")


def days(delays: np.ndarray) -> str:
    return f"{np.median(delays):.0f}d" if delays.size else "–"


def city_rows(methods: Mapping[str, Sequence[Trial]], unplanted_only: bool = True) -> list[list[str]]:
    """A row for each method from its trials, one a seed: recall (mean over seeds ± its standard error; one
    seed: binomial), precision, delay."""
    rows = []
    for name, trials in methods.items():
        each = [points([one], unplanted_only=unplanted_only) for one in trials]
        rows.append([name, *(_city_cell([p[b] for p in each]) for b in range(len(BUDGETS)))])
    return rows


def _city_cell(seeds: list[Point]) -> str:
    recall, precision = [p.recall for p in seeds], [p.precision for p in seeds]
    if all(np.isnan(recall)):
        return "–"
    error = error_of_mean(recall) if len(seeds) > 1 else binomial_error(recall[0], seeds[0].found.size)
    right = "–" if all(np.isnan(precision)) else share(float(np.nanmean(precision)))
    return f"{share(float(np.nanmean(recall)), error)} {right:>3} {days(np.concatenate([p.delay for p in seeds])):>3}"


def promise_row(name: str, cases: Sequence[Trial]) -> list[str]:
    """What the tool's own threshold gives: alarms on homes without a target against those promised, and
    recall."""
    level = float(np.log(opening_rarity(EvidenceRules(), KINDS)))
    rates = [rate_at([one], level) for one in cases]
    reached = point(cases, level)
    recall = (
        share(reached.recall, binomial_error(reached.recall, reached.found.size))
        if reached.found.size
        else "–"
    )
    error = error_of_mean(rates)
    spread = "" if np.isnan(error) else f"±{error:.1f}"
    return [
        name,
        f"{PROMISED:.0f}",
        f"{np.mean(rates):.1f}{spread}",
        recall,
        share(reached.precision),
        days(reached.delay),
        str(reached.found.size),
    ]


def size_rows(methods: Mapping[str, Sequence[Trial]], sizes: Sequence[float]) -> list[list[str]]:
    """A row for each method and size: recall ± error (homes drawn again) and median delay at each allowance,
    thresholds pooled over the rounds."""
    rows = []
    for name, trials in methods.items():
        reached, errors = points(trials), recall_errors(trials, BUDGETS, sizes)
        for size, error in zip(sizes, errors, strict=True):
            cells = [_size_cell(p, size, e) for p, e in zip(reached, error, strict=True)]
            rows.append([name, f"×{size:g}", *cells, str(int((reached[0].size == size).sum()))])
    return rows


def _size_cell(p: Point, size: float, error: float) -> str:
    mine = p.found[p.size == size]
    delay = p.size[p.found] == size
    recall = float(mine.mean()) if mine.size else float("nan")
    return f"{share(recall, error)} {days(p.delay[delay]):>3}"


def auc(score: np.ndarray, labelled: np.ndarray) -> tuple[float, float]:
    """Chance that a labelled day scores above an unlabelled one, and its standard error (Hanley and McNeil
    1982)."""
    good, rest = score[labelled], score[~labelled]
    if not good.size or not rest.size:
        return float("nan"), float("nan")
    area = float(((good[:, None] > rest).mean() + (good[:, None] >= rest).mean()) / 2)
    q1, q2 = area / (2 - area), 2 * area**2 / (1 + area)
    variance = area * (1 - area) + (good.size - 1) * (q1 - area**2) + (rest.size - 1) * (q2 - area**2)
    return area, float(np.sqrt(variance / (good.size * rest.size)))
