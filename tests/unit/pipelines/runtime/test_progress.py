"""Progress events: the words that people see of them."""

import pytest

from pipelines.runtime.progress import Progress, no_progress


@pytest.mark.parametrize(
    ("event", "text"),
    [
        (Progress("publishing"), "publishing"),
        (Progress("loading water", 3, 9, "files"), "loading water: 3 of 9 files"),
        (
            Progress("judging 2026-04-04", 32_768, 1_000_000, "homes"),
            "judging 2026-04-04: 32,768 of 1,000,000 homes",
        ),
        (Progress("judging copies", 0, 3, "rounds", text="round 1 of 3"), "round 1 of 3"),
    ],
)
def test_text_is_made_of_the_step_and_its_counts_unless_given(event, text):
    assert event.text == text


def test_no_progress_takes_an_event_and_prints_nothing(capsys):
    no_progress(Progress("publishing"))
    assert capsys.readouterr() == ("", "")
