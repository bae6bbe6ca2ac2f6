"""What the tool promises on cities without any target, against what comes: cases by chance, over several
seeds."""

import polars as pl
import pytest

from anomaly import cases, detectors, evidence
from anomaly.expected import expect
from tests.benchmarks import worlds

SEEDS, HOMES, KINDS = (11, 12, 13), 700, 4


def nights_of(seed):
    """Cases opened and doors expected to be wrong, by kind, and the home-nights judged, of a city with
    nuisances only."""
    world = worlds.city("nuisances", seed, HOMES)
    seen = expect(world.grid)
    needed = evidence.opening_rarity(evidence.EvidenceRules(), KINDS)
    every = detectors.DetectorRules()
    rules = detectors.DetectorRules(
        use=tuple(name for name in every.use if name not in every.second_opinions)
    )
    nights = range(*world.nights)
    rated = evidence.rate_scores(
        [one for detector in detectors.chosen_detectors(rules) for one in detector(seen)], nights, needed
    )
    found = {world.grid.day(t): evidence.evidence_frame(seen, rated, t, needed * 0.1) for t in nights}
    unremarkable = pl.DataFrame(schema={"household": pl.String, "rarity": pl.Float64})
    folded = cases.build_case_history(
        {night: cases.JudgedNight(rows, unremarkable) for night, rows in found.items()},
        needed,
        worklist_rules=cases.WorklistRules(doors_per_night=10_000),
    )
    return folded, int(world.present[:, slice(*world.nights)].sum()), needed


@pytest.mark.long
def test_people_cases_come_as_often_as_promised_where_nobody_surged():
    people, promised, wrong, all_cases, home_nights = 0, 0.0, 0.0, 0, 0
    for seed in SEEDS:
        folded, judged, needed = nights_of(seed)
        opened = folded.cases
        people += opened.filter(pl.col("signature") == "people").height
        all_cases += opened.height
        promised += judged / needed
        wrong += sum(folded.expected_wrong.values())
        home_nights += judged
    print(
        f"{home_nights} home-nights: {people} people cases for {promised:.1f} promised; {all_cases} cases in all, {wrong:.1f} said to be wrong"
    )
    assert home_nights >= 200_000
    assert 0.5 <= people / promised <= 2.0
    assert 0.5 <= all_cases / wrong <= 2.0
