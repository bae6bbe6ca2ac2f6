"""`anomaly evaluate` on a tiny site, and its page."""

import dataclasses
import json
from datetime import date

import numpy as np
import polars as pl
import pytest
from PIL import Image

from anomaly import charts
from anomaly.detectors.windows import standardise_by_peers
from anomaly.expected import expect
from pipelines.config.settings import load_settings
from pipelines.jobs import evaluate
from pipelines.reporting import writer
from pipelines.runtime.progress import no_progress
from tests.support.grids import city, grid_of
from tests.support.report_pages import CARD, GROUPS, SHAPES, SITE, evaluation_page
from tests.support.site import make_site
from tests.support.town import HOMES, town


def _measured(**given) -> evaluate.Evaluation:
    whole = evaluate.Evaluation(
        date(2026, 5, 1),
        date(2026, 6, 29),
        300,
        300,
        4,
        0.05,
        CARD,
        SHAPES,
        pl.DataFrame({"size": [2.0], "day": [0], "share": [0.0]}),
        GROUPS,
    )
    return dataclasses.replace(whole, **given)


def test_the_page_on_disk(tmp_path):
    images = [
        name
        for language in SITE.languages
        for name in writer.evaluation_image_names(language, SITE.languages)
    ]
    figure = charts.detection_rates_figure({2.0: ([0, 1], [0.0, 1.0])}, "day", (0, 1), "en", None)
    index = writer.write_evaluation_pages(tmp_path, evaluation_page(), dict.fromkeys(images, figure))
    assert index == tmp_path / "evaluation" / "index.html"
    assert sorted(p.name for p in index.parent.iterdir()) == sorted(
        [*images, "found.json", "index.html", "index.en.html"]
    )
    assert all(p.stat().st_mode & 0o027 == 0 for p in index.parent.iterdir())
    with Image.open(index.parent / images[0]) as image:
        assert image.mode == "P"


def test_the_card_as_text_and_as_json(tmp_path):
    text = evaluate.card_text(_measured())
    assert "300 homes, 2026-05-01 to 2026-06-29, surges planted into 4 copies" in text
    assert "×2          20  50% (30–70), 9 d    0% (0–16)\n" in text  # nothing found, no delay
    assert "wrong doors     4.0 (1–9)           2.0 (0–7)\n" in text
    assert "their own" in text or "of its own" in text
    assert (
        "1 signal                none up to ×5 (20 homes asked)" in text
        and "3 signals               ×2" in text
    )
    lines = [json.loads(line) for line in evaluate.card_json(_measured(), tmp_path).splitlines()]
    assert [line["message_type"] for line in lines] == ["size"] * 4 + ["shape"] * 3 + ["day"] + [
        "group"
    ] * 3 + ["summary"]
    assert lines[-1]["wrong_doors"] == 4.0 and lines[0]["capacity"] is None
    empty = evaluate.card_text(_measured(card=CARD.clear()))
    assert "was planted" in empty and empty.count("\n") == 1
    infinite = _measured(card=CARD.with_columns(threshold=pl.lit(float("inf"))))
    assert '"threshold": null' in evaluate.card_json(infinite, tmp_path)


def test_raising_the_expectation_is_raising_the_readings():
    """Expecting anew with the last 14 days of a home doubled, the long way, gives the same surprise."""
    site = city(30, 120, signals=("entries", "power"))
    seen = expect(grid_of(site))
    short = evaluate._raise_last_days(seen, np.array([4]), np.array([2.0]))
    for signal, factor in (("entries", 2.0), ("power", 2**0.5)):
        site["0004", signal] = np.concatenate(
            [site["0004", signal][:-14], np.rint(site["0004", signal][-14:] * factor).astype(int)]
        )
    long = expect(grid_of(site))
    # up to three of the raised days are old enough for the last nights' own baselines of 84 days: the short
    # way leaves them as they were
    assert short.surprise[:, 4, -14:] == pytest.approx(long.surprise[:, 4, -14:], rel=0.12, abs=0.2)
    others = np.arange(30) != 4
    assert np.array_equal(short.surprise[:, others], seen.surprise[:, others], equal_nan=True)
    assert np.array_equal(short.surprise[..., :-14], seen.surprise[..., :-14], equal_nan=True)


@pytest.mark.parametrize(("sizes", "place"), [((1.01, 2.5, 5.0), 1), ((1.01, 1.02), 2)])
def test_the_smallest_size_a_home_would_show(tmp_path, monkeypatch, sizes, place):
    """Regular homes: ×2.5 for 14 days is seen, one or two hundredths more are not.

    The number of sizes says that none is.
    """
    monkeypatch.setattr(evaluate, "TONIGHT_SIZES", sizes)
    settings = load_settings(make_site(tmp_path).settings)
    seen = expect(grid_of(city(40, 150, seed=3)))
    assert (
        evaluate._smallest_size_shown(settings, seen, np.array([5, 2, 30]), no_progress).tolist()
        == [place] * 3
    )


@pytest.mark.parametrize(
    ("homes", "share"), [(20, 0.05), (300, 0.05), (600, 0.025), (1_000, 0.015), (6_000, 0.015)]
)
def test_what_is_planted_at_once_leaves_a_night_ordinary(homes, share):
    """One in twenty of 6,000 homes would be too many.

    Two in five of them at once would lie above the night's upper quantile and scale all others down.
    """
    assert evaluate.surge_plan(homes).share == pytest.approx(share)
    score = np.random.default_rng(0).standard_normal((homes, 60))
    score[: max(1, round(0.42 * share * homes)), -1] = 6.0
    assert standardise_by_peers(score, 15)[0, -1] > 6.0 / 1.25
    score[: round(0.42 * 0.05 * homes), -1] = 6.0
    assert homes < 1_000 or standardise_by_peers(score, 15)[0, -1] < 6.0 / 2


def test_of_a_large_site_the_homes_of_its_sample_are_measured_and_the_card_says_so(tmp_path, monkeypatch):
    looked, planted = [], evaluate.evaluation.plant_and_judge
    monkeypatch.setattr(
        evaluate.evaluation,
        "plant_and_judge",
        lambda readings, *asked: looked.append(readings["household"].unique()) or planted(readings, *asked),
    )
    settings = load_settings(town(tmp_path / "town", sample=100).settings)
    measured = evaluate.evaluate_site(settings, 1, 10, 1, no_progress)
    assert measured.homes in range(100, 104) and measured.site_homes == HOMES
    assert len(looked[0]) == measured.homes
    assert evaluate.card_text(measured).startswith(f"{measured.homes} of {HOMES} homes, ")
    assert {
        name: homes for group, name, homes, _ in measured.groups.rows() if group == "district"
    }.keys() == {"A", "B", "C"}


def test_a_site_without_a_whole_day_has_nothing_to_plant(tmp_path):
    site = make_site(tmp_path)
    for file in site.root.glob("*.csv"):
        file.write_text(file.read_text().splitlines()[0] + "\n")
    with pytest.raises(evaluate.NothingToPlant, match="anomaly doctor"):
        evaluate.evaluate_site(load_settings(site.settings), 1, 20, 1, no_progress)
