"""v1 and meta are an interface: a change of what golden/interface.json promises asks for a new version.

UPDATE_INTERFACE=1 writes the promise anew, once SCHEMA_VERSION in pipelines/publish/meta_frames.py has been
raised as far as the change asks.
"""

import json
import os

import pytest

from anomaly import tables
from pipelines.publish.dictionary import data_dictionary
from pipelines.publish.meta_frames import SCHEMA_VERSION
from tests.support.paths import GOLDEN

PROMISE = GOLDEN / "interface.json"
MAJOR, MINOR, PATCH, NONE = 0, 1, 2, 3  # place of the number that must rise


def interface() -> dict:
    """Return the version, view → what it is and its columns in order, and the words some columns hold."""
    views: dict[str, dict] = {}
    for row in data_dictionary().iter_rows(named=True):
        table = (tables.PUBLISHED if row["schema"] == "v1" else tables.META)[row["view"]]
        spec = table.columns()[row["column"]]
        view = views.setdefault(
            f"{row['schema']}.{row['view']}",
            {"grain": table.__doc__, "key": list(table.primary_key()), "columns": []},
        )
        column = {
            "name": row["column"],
            "type": row["type"],
            "null": spec.nullable,
            "unit": row["unit_en"],
            "en": row["meaning_en"],
            "zh": row["meaning_zh"],
        }
        view["columns"].append(column)
    words = {
        "quality": tables.QUALITIES,
        "status": tables.STATUSES,
        "outcome": tables.OUTCOMES,
        "change": tables.CHANGES,
    }
    return {
        "version": SCHEMA_VERSION,
        "views": views,
        "words": {name: list(values) for name, values in words.items()},
    }


def required_rise(old: dict, new: dict) -> tuple[int, list[str]]:
    """Return which number of the version must rise, and why.

    Major: something goes, moves, has another name, type, unit, key or grain, may be empty that never was, or
    a value is written otherwise. Minor: a view, a further column after the others, or a further value. Patch:
    other words for a meaning; where what is meant has changed it is major, which only its author can know.
    """
    found = []
    for view, was in old["views"].items():
        now = new["views"].get(view)
        if now is None:
            found.append((MAJOR, f"{view} is gone"))
            continue
        found += [
            (MAJOR, f"{view} has another {part}") for part in ("grain", "key") if was[part] != now[part]
        ]
        names = [column["name"] for column in was["columns"]]
        if [column["name"] for column in now["columns"]][: len(names)] != names:
            found.append((MAJOR, f"{view}: columns are gone, renamed or moved; new ones come last"))
            continue
        for before, after in zip(was["columns"], now["columns"], strict=False):
            found += column_changes(view, before, after)
        found += [(MINOR, f"{view}.{column['name']} is new") for column in now["columns"][len(names) :]]
    found += [(MINOR, f"{view} is new") for view in new["views"] if view not in old["views"]]
    for name, values in old["words"].items():
        found += [(MAJOR, f"{name} {value} is gone") for value in values if value not in new["words"][name]]
        found += [(MINOR, f"{name} {value} is new") for value in new["words"][name] if value not in values]
    return min((number for number, _ in found), default=NONE), [why for _, why in found]


def column_changes(view: str, was: dict, now: dict) -> list[tuple[int, str]]:
    name = f"{view}.{was['name']}"
    found = [(MAJOR, f"{name} has another {part}") for part in ("type", "unit") if was[part] != now[part]]
    found += [(MAJOR, f"{name} may be empty now")] if now["null"] and not was["null"] else []
    return found + [
        (PATCH, f"{name} has other words for its meaning; raise the major number if it means something else")
        for part in ("en", "zh")
        if was[part] != now[part]
    ]


def risen_number(old: str, new: str) -> int:
    """Return the first number that rose, where those after it begin at 0; NONE where none did."""
    before, after = ([int(n) for n in version.split(".")] for version in (old, new))
    for number in (MAJOR, MINOR, PATCH):
        if before[number] != after[number]:
            return number if after[number] == before[number] + 1 and not any(after[number + 1 :]) else NONE
    return NONE


def test_the_interface_is_what_was_promised():
    promise, now = json.loads(PROMISE.read_text(encoding="utf-8")), interface()
    number, why = required_rise(promise, now)
    if number != NONE:
        name = ("major", "minor", "patch")[number]
        assert risen_number(promise["version"], now["version"]) <= number, (
            f"{'; '.join(why)}: raise SCHEMA_VERSION {promise['version']} by a {name} number"
        )
    if os.environ.get("UPDATE_INTERFACE") == "1":
        PROMISE.write_text(json.dumps(now, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    else:
        assert promise == now, (
            "to write the promise anew: UPDATE_INTERFACE=1 python -m pytest tests/interface/test_interface.py"
        )


def changed(**columns) -> dict:
    """Return an interface of one view. columns: what is other in it; a: in its first column."""
    first = {"name": "a", "type": "BIGINT", "null": False, "unit": "days", "en": "x", "zh": "甲"}
    view = {
        "grain": "One thing.",
        "key": ["a"],
        "columns": [first | columns.pop("a", {}), {**first, "name": "b"}],
    }
    more = columns.pop("more", [])
    view["columns"] += more
    return {
        "version": "1.4.2",
        "views": {"v1.things": view | columns.pop("view", {})} | columns.pop("views", {}),
        "words": columns.pop("words", {"status": ["new", "closed"]}),
    }


B = {"name": "b", "type": "BIGINT", "null": False, "unit": "days", "en": "x", "zh": "甲"}


@pytest.mark.parametrize(
    ("now", "number", "why"),
    [
        (changed(), NONE, ""),
        (changed(a={"name": "c"}), MAJOR, "gone, renamed or moved"),
        (changed(view={"columns": [B]}), MAJOR, "gone, renamed or moved"),
        (changed(view={"columns": [B, {**B, "name": "a"}]}), MAJOR, "gone, renamed or moved"),
        (changed(a={"type": "DOUBLE"}), MAJOR, "v1.things.a has another type"),
        (changed(a={"unit": "hours"}), MAJOR, "v1.things.a has another unit"),
        (changed(a={"null": True}), MAJOR, "v1.things.a may be empty now"),
        (changed(view={"key": ["a", "b"]}), MAJOR, "another key"),
        (changed(view={"grain": "One thing a day."}), MAJOR, "another grain"),
        (changed(words={"status": ["new", "shut"]}), MAJOR, "status closed is gone"),
        (changed(words={"status": ["new", "closed", "asleep"]}), MINOR, "status asleep is new"),
        (changed(more=[{**B, "name": "c"}]), MINOR, "v1.things.c is new"),
        (changed(views={"v1.more": changed()["views"]["v1.things"]}), MINOR, "v1.more is new"),
        (changed(a={"en": "y"}), PATCH, "other words"),
        (changed(a={"zh": "乙"}, more=[{**B, "name": "c"}]), MINOR, "other words"),
    ],
)
def test_which_number_a_change_asks_for(now, number, why):
    found, reasons = required_rise(changed(), now)
    assert found == number and why in "; ".join(reasons)


def test_a_view_that_goes_asks_for_a_major_version():
    found = required_rise(changed(), {"version": "1.4.2", "views": {}, "words": changed()["words"]})
    assert found == (MAJOR, ["v1.things is gone"])


@pytest.mark.parametrize(
    ("new", "number"),
    [
        ("2.0.0", MAJOR),
        ("1.5.0", MINOR),
        ("1.4.3", PATCH),
        ("1.4.2", NONE),
        ("1.4.1", NONE),
        ("2.4.2", NONE),
        ("1.6.0", NONE),
        ("3.0.0", NONE),
    ],
)
def test_which_number_rose(new, number):
    assert risen_number("1.4.2", new) == number
