"""Judged nights with a few reasons to look, and what cases are made of them; nights are counted from 0."""

from datetime import date, timedelta

import polars as pl

from anomaly.cases import (
    Answer,
    CaseRules,
    Feedback,
    JudgedNight,
    WorklistRules,
    build_case_history,
    make_case_id,
)
from anomaly.evidence import EVIDENCE_SCHEMA

MIN_RARITY = 6_000.0


def night(index):
    return date(2026, 3, 1) + timedelta(days=index)


def evidence_row(household="a", signature="water", rarity=7_000.0, onset=0, chance=0.2, opens=True, **ratios):
    """Return one reason to look at a home; onset: index of its first day; ratios: by signal."""
    return {
        "household": household,
        "detector": "together" if signature == "people" else "alone",
        "signal": "all" if signature == "people" else signature,
        "signature": signature,
        "window_days": 7,
        "ratio": 2.0,
        "score": 2.0,
        "rarity": rarity,
        "opens": opens,
        "chance_wrong": chance,
        "onset": night(onset),
        "ratios": [{"key": name, "value": value} for name, value in ratios.items()],
    }


def judged_nights(nights, last=None):
    """Return {night index: rows} as the evidence and rarities of every night from 0 to the last."""
    judged = {}
    for index in range((max(nights) if last is None else last) + 1):
        evidence = pl.DataFrame(nights.get(index, []), schema=EVIDENCE_SCHEMA, orient="row")
        rarities = evidence.group_by("household").agg(pl.col("rarity").max())
        judged[night(index)] = JudgedNight(evidence, rarities)
    return judged


def build(nights, last=None, answers=(), doors=20, **rules):
    """Return the history of {night index: rows}; rules: of CaseRules."""
    return build_case_history(
        judged_nights(nights, last),
        MIN_RARITY,
        Feedback(answers),
        CaseRules(**rules),
        WorklistRules(doors_per_night=doors),
    )


def answer(outcome, since, signature="water", opened=0, household="a"):
    """Return an answer to a case, known from night `since` on."""
    case_id = make_case_id(household, signature, night(opened))
    return Answer(case_id, household, signature, outcome, day=night(since), since=night(since))


def households_listed(result, index):
    """Return the households on the list of a night, in its order."""
    return result.worklist.filter(pl.col("night") == night(index)).sort("rank")["household"].to_list()


def rise(first, last, household="a", water=2.0, onset=None, **more):
    """Return {night index: rows} of a rise of water seen on every night from first to last."""
    return {
        t: [evidence_row(household, onset=first if onset is None else onset, water=water, **more)]
        for t in range(first, last + 1)
    }


def nights_listed(result, household="a"):
    """Return the indices of the nights that list a home."""
    nights = result.worklist.filter(pl.col("household") == household)["night"]
    return [(listed - night(0)).days for listed in nights]
