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

NOTED_RARITY = 10.0
"""From this rarity on a night of a home is noted in `rarities.parquet`, by which its case is ranked."""
RARITY_SCHEMA = {"household": pl.String, "rarity": pl.Float64}


def opening_rarity(settings: Settings) -> float:
    """Return the rarity that opens a case."""
    return evidence.opening_rarity(settings.evidence, len(listed_signatures(settings)))


def evidence_rarity(settings: Settings) -> float:
    """Return the rarity from which on evidence is written down, and keeps a case alive."""
    return opening_rarity(settings) * settings.evidence.kept_share


def score_homes(settings: Settings, expectation: Expectation, peers: PeerStats) -> list[Scores]:
    """Return the scores of every detector that the settings choose."""
    return [
        scores
        for detector in detectors.chosen_detectors(settings.detectors)
        for scores in detector(expectation, peers)
    ]


def rate_scores(
    settings: Settings, scores: Sequence[Scores], night: int, tails: Sequence[TailModel]
) -> list[evidence.RatedScores]:
    """Return the rarity and chance of each score on one night, a column of the scores.

    tails: for each of the scores its tail before the night.
    """
    return evidence.rate_scores(
        scores, [night], opening_rarity(settings), settings.detectors.second_opinions, tails
    )


def largest_rarity(rated: Collection[evidence.RatedScores], night: int, homes: int) -> np.ndarray:
    """Return (homes,) the largest rarity of each home on the night; 1, nothing rare, without a score."""
    largest = np.ones(homes)
    for one in rated:
        largest = np.fmax(largest, one.rarity[night])
    return largest


def rarity_table(
    settings: Settings, households: Sequence[str], rated: Collection[evidence.RatedScores], night: int
) -> pl.DataFrame:
    """Return household, rarity: the largest of scores that may open a case, if it is out of the ordinary.

    The score of a signal whose own kind of case the purpose does not list has no part in it.
    """
    listed = listed_signatures(settings)
    opening = [
        one
        for one in rated
        if one.opens and (one.scores.signal == ALL or evidence.signature_of(one.scores.signal) in listed)
    ]
    largest = largest_rarity(opening, night, len(households))
    written = np.flatnonzero(largest >= NOTED_RARITY)
    return pl.DataFrame(
        {"household": [households[int(h)] for h in written], "rarity": largest[written]},
        schema=RARITY_SCHEMA,
    )


def evidence_for_night(
    settings: Settings, expectation: Expectation, rated: Sequence[evidence.RatedScores], night: int
) -> pl.DataFrame:
    """Return the night's evidence that the purpose allows (`evidence.EVIDENCE_SCHEMA`).

    night: its column in `expectation` and `rated`.
    """
    found = evidence.evidence_frame(expectation, rated, night, evidence_rarity(settings))
    return found.filter(pl.col("signature").is_in(listed_signatures(settings)))
