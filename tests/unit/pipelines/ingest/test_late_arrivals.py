"""Readings that came late, or changed, touch the judged nights that would have known them."""

import datetime as dt
import shutil

import polars as pl
import pytest

from pipelines.errors import StateDamaged
from pipelines.ingest.late_arrivals import (
    CHANGE_SCHEMA,
    NOTES_FILE,
    describe_touched_nights,
    mark_judged,
    note_changes,
    touched_nights,
    trim_notes,
)
from pipelines.storage.state import Store

# notes: quality 0 read, 1 interpolated, 3 doubtful, 4 missing

D = [dt.date(2026, 3, n) for n in range(1, 11)]
CHANGES = [
    ((D[2], 0, 0, None, None), [D[2], D[3], D[4]]),  # came late: every night from its day on
    (
        (D[2], 0, 2, None, None),
        [D[4]],
    ),  # confirmed by a reading of D[4] only: no earlier night could have known
    ((D[4], 0, 1, None, None), []),
    ((D[3], 4, 0, None, None), []),  # that it is missing was known
    ((D[3], 3, 0, 0, 0), [D[3], D[4]]),  # believed then, not now
    ((D[3], 0, 1, 0, 0), [D[3], D[4]]),  # known then, and now a day later
    ((D[0], 0, 0, 0, 0), [D[2], D[3]]),  # at most 4 days before the night
]


@pytest.mark.parametrize(("cell", "nights"), CHANGES)
def test_a_reading_touches_the_judged_nights_that_would_have_known_it(tmp_path, cell, nights):
    store = Store(tmp_path / "anomaly.duckdb")
    store.prepare()
    for night in D[2:5]:
        store.write_json(f"nights/{night}/done.json", {})
        mark_judged(store, night)
    note_changes(store, "water", pl.DataFrame([cell], schema=CHANGE_SCHEMA, orient="row"))
    assert touched_nights(store, 4) == dict.fromkeys(nights, 1)
    mark_judged(store, D[3])  # judged again, and so are those of no other note
    assert touched_nights(store, 4) == dict.fromkeys([night for night in nights if night != D[3]], 1)


def noted(store: Store) -> list[tuple[int, str]]:
    """Number and signal of the notes that are kept."""
    return [(line["number"], line["signal"]) for line in store.read_lines(NOTES_FILE)]


def test_notes_go_when_their_nights_were_judged_again_or_pruned_and_later_ones_touch_as_before(tmp_path):
    store = Store(tmp_path / "anomaly.duckdb")
    store.prepare()
    for night in D[2:6]:
        store.write_json(f"nights/{night}/done.json", {})
        mark_judged(store, night)
    for signal, came in (
        ("a", D[0]),
        ("b", D[5]),
        ("c", D[3]),
    ):  # a touches D[2] and D[3], b D[5], c D[3] to D[5]
        note_changes(
            store, signal, pl.DataFrame([(came, 0, 0, None, None)], schema=CHANGE_SCHEMA, orient="row")
        )
    trim_notes(store, 4)
    assert noted(store) == [(0, "a"), (1, "b"), (2, "c")]
    mark_judged(store, D[5])
    mark_judged(store, D[2])
    trim_notes(store, 4)
    assert noted(store) == [(0, "a"), (2, "c")] and touched_nights(store, 4) == {D[3]: 2, D[4]: 1}
    shutil.rmtree(store.path(f"nights/{D[3]}"))  # pruned
    mark_judged(store, D[4])
    trim_notes(store, 4)
    assert noted(store) == [(2, "c")] and touched_nights(store, 4) == {}
    note_changes(store, "d", pl.DataFrame([(D[4], 0, 0, None, None)], schema=CHANGE_SCHEMA, orient="row"))
    trim_notes(store, 4)
    assert noted(store) == [(3, "d")] and touched_nights(store, 4) == {D[4]: 1, D[5]: 1}


def test_notes_from_before_they_were_numbered_count_by_their_place(tmp_path):
    store = Store(tmp_path / "anomaly.duckdb")
    store.prepare()
    for night, knew in ((D[2], 0), (D[3], 1)):
        store.write_json(f"nights/{night}/done.json", {})
        store.write_json(f"nights/{night}/late.json", knew)
    for signal in "ab":
        store.append_line(NOTES_FILE, {"signal": signal, "days": {str(D[2]): 1}})
    assert touched_nights(store, 4) == {D[2]: 2, D[3]: 1}
    mark_judged(store, D[2])
    trim_notes(store, 4)
    assert noted(store) == [(1, "b")] and touched_nights(store, 4) == {D[3]: 1}


def test_before_the_first_night_nothing_is_late(tmp_path):
    store = Store(tmp_path / "anomaly.duckdb")
    store.prepare()
    note_changes(store, "water", pl.DataFrame([CHANGES[0][0]], schema=CHANGE_SCHEMA, orient="row"))
    assert not store.path(NOTES_FILE).exists()


def test_touched_nights_are_described_with_what_to_do():
    assert describe_touched_nights({}) == []
    (one,) = describe_touched_nights({D[2]: 5})
    assert one == (
        "readings that came or changed since touch the judged night 2026-03-03, at most 5 a night: "
        "`anomaly nightly --revise` judges again what they touch"
    )
    (more,) = describe_touched_nights({D[2]: 5, D[4]: 7})
    assert "touch 2 judged nights (2026-03-03 … 2026-03-05), at most 7 a night" in more


@pytest.mark.parametrize("line", [{}, {"days": []}, {"days": {}, "number": "1"}])
def test_a_line_that_is_no_note_is_told(tmp_path, line):
    store = Store(tmp_path / "anomaly.duckdb")
    store.append_line(NOTES_FILE, {"number": 0, "signal": "power", "days": {"2026-03-01": 1}})
    store.append_line(NOTES_FILE, line)
    with pytest.raises(StateDamaged, match="late.jsonl: line 2 is damaged; put the file back from a copy"):
        touched_nights(store, 28)


def test_notes_that_are_cut_off_at_the_end_are_missed(tmp_path):
    store = Store(tmp_path / "anomaly.duckdb")
    store.prepare()
    store.write_json(f"nights/{D[3]}/done.json", {})
    mark_judged(store, D[3])
    for day in D[2:4]:
        note_changes(store, "water", pl.DataFrame([(day, 0, 0, None, None)], CHANGE_SCHEMA, orient="row"))
    notes = store.path(NOTES_FILE)
    first, _ = notes.read_bytes().splitlines(keepends=True)
    for left, lost in ((first, 1), (b"", 2)):
        notes.write_bytes(left)
        with pytest.raises(StateDamaged, match=f"late.jsonl: lacks {lost} notes"):
            touched_nights(store, 4)
    notes.unlink()
    with pytest.raises(StateDamaged, match="lacks 2 notes"):
        mark_judged(store, D[3])
