import numpy as np

from anomaly.detectors import Scores

nan = np.nan
SCORES = Scores(
    "probe",
    "water",
    np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]),
    np.array([[7, 7], [7, 14], [14, 14]], dtype=np.int16),
    share=0.3,
)


def test_select_gives_those_homes_on_that_night():
    few = SCORES.select(np.array([2, 0]), 1)
    assert few.score.tolist() == [[6.0], [2.0]] and few.window.tolist() == [[14], [7]]
    assert (few.detector, few.signal, few.share) == ("probe", "water", 0.3)


def test_pad_to_says_nothing_of_the_days_before():
    padded = SCORES.pad_to(4)
    np.testing.assert_array_equal(padded.score[0], [nan, nan, 1.0, 2.0])
    assert padded.window[0].tolist() == [0, 0, 7, 7] and padded.share == 0.3
