"""Scores, rarities and evidence of a night, in the way the settings ask for them."""

from collections.abc import Collection, Sequence

import numpy as np
import polars as pl

from anomaly import detectors, evidence
from anomaly.detectors import Scores
from anomaly.detectors.scores import ALL
from anomaly.expected import Expectation
from anomaly.peer_stats import PeerStats
from anomaly.tail_model import TailModel
from pipelines.config.settings import Settings, listed_signatures

MIN_WRITTEN_RARITY = 10.0
"""A home whose night is less rare than this is not written down: nothing out of the ordinary."""

RARITY_SCHEMA = {"household": pl.String, "rarity": pl.Float64}


def rarity_needed(settings: Settings) -> float:
    """Return the rarity that opens a case."""
    return evidence.case_rarity(settings.evidence, len(listed_signatures(settings)))


def rarity_written(settings: Settings) -> float:
    """Return the rarity from which on evidence is written down, and keeps a case alive."""
    return rarity_needed(settings) * settings.evidence.kept_share


def score_homes(settings: Settings, seen: Expectation, peers: PeerStats) -> list[Scores]:
    """Return the scores of every detector that the settings choose."""
    return [
        scores
        for detector in detectors.chosen_detectors(settings.detectors)
        for scores in detector(seen, peers)
    ]


def rank_scores(
    settings: Settings, scores: Sequence[Scores], night: int, tails: Sequence[TailModel]
) -> list[evidence.RankedScores]:
    """Return the rarity and chance of each score on one night, a column of the scores.

    tails: for each of the scores its tail before the night.
    """
    return evidence.score_rarity(
        scores, [night], rarity_needed(settings), settings.detectors.second_opinions, tails
    )


def largest_rarity(ranked: Collection[evidence.RankedScores], night: int, homes: int) -> np.ndarray:
    """Return (homes,) the largest rarity of each home on the night; 1, nothing rare, without a score."""
    largest = np.ones(homes)
    for one in ranked:
        largest = np.fmax(largest, one.rarity[night])
    return largest


def rarity_table(
    settings: Settings, households: Sequence[str], ranked: Collection[evidence.RankedScores], night: int
) -> pl.DataFrame:
    """Return household, rarity: the largest of scores that may open a case, if it is out of the ordinary.

    The score of a signal whose own kind of case the purpose does not list has no part in it.
    """
    listed = listed_signatures(settings)
    opening = [
        one
        for one in ranked
        if one.opens and (one.scores.signal == ALL or evidence.signature_of(one.scores.signal) in listed)
    ]
    largest = largest_rarity(opening, night, len(households))
    written = np.flatnonzero(largest >= MIN_WRITTEN_RARITY)
    return pl.DataFrame(
        {"household": [households[int(h)] for h in written], "rarity": largest[written]},
        schema=RARITY_SCHEMA,
    )


def evidence_for_night(
    settings: Settings, seen: Expectation, ranked: Sequence[evidence.RankedScores], night: int
) -> pl.DataFrame:
    """Return the night's evidence that the purpose allows (`evidence.EVIDENCE_SCHEMA`).

    night: its column in `seen` and `ranked`.
    """
    found = evidence.evidence_frame(seen, ranked, night, rarity_written(settings))
    return found.filter(pl.col("signature").is_in(listed_signatures(settings)))
