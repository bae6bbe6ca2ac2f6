"""A small made-up city for the tests of the reports: a case with three signals, and nights of any length."""

from datetime import date, datetime, timedelta

import polars as pl

from anomaly import charts, messages, report, tables

NIGHT, ONSET = date(2026, 3, 14), date(2026, 3, 6)
UNITS = {"entries": "count", "water": "litre", "power": "Wh"}
SITE = report.Site(
    name="Nanming",
    purpose={
        "name": "Overcrowding & leaks 2026",
        "legal_basis": "Municipal rule 12, art. 4",
        "owner": "District housing office",
        "contact": "objections@example.org",
        "expires": date(2027, 6, 30),
    },
    languages=("zh", "en"),
    version="0.1.0",
    settings_sha256="9f2c" * 16,
)


def series(usual: int, surge: int, *, missing: tuple[int, ...] = (), days: int = 130) -> pl.DataFrame:
    """Return `usual` a day, `surge` from the onset on; missing: days counted back from the night."""
    rows = []
    for back in reversed(range(days)):
        day = NIGHT - timedelta(days=back)
        value = None if back in missing else (surge if day >= ONSET else usual) + back % 3
        quality = "missing" if back in missing else "read"
        rows.append((day, value, float(usual), usual * 0.6, usual * 1.5, quality))
    schema = {
        "day": pl.Date,
        "value": pl.Int64,
        "expected": pl.Float64,
        "low": pl.Float64,
        "high": pl.Float64,
        "quality": pl.String,
    }
    return pl.DataFrame(rows, schema=schema, orient="row")


SERIES = {
    "entries": series(6, 19).with_columns(peers=pl.lit(7.0)),
    "water": series(300, 720, missing=(2, 40, 41)),
    "power": series(9000, 9100),
}
_HOLIDAY = pl.col("day").is_between(date(2026, 2, 15), date(2026, 2, 23))
_WINDOW = pl.col("day").is_between(date(2026, 2, 24), date(2026, 3, 8))
CALENDAR = pl.DataFrame(
    {"day": [NIGHT - timedelta(days=back) for back in reversed(range(130))]}
).with_columns(
    kind=pl.when(_HOLIDAY).then(pl.lit("holiday")).when(_WINDOW).then(pl.lit("window")).otherwise(pl.lit("")),
    name_en=pl.lit("Spring Festival"),
    name_zh=pl.lit("春节"),
    provisional=pl.lit(False),
)

_WEEKDAY = pl.col("day").dt.weekday()
LEVELS = pl.concat(
    SERIES[signal]
    .select(
        signal=pl.lit(signal),
        day="day",
        value=pl.col("value").cast(pl.Float64),
        level=pl.lit(float(usual)),
        week=pl.when(_WEEKDAY == 6).then(1.2).when(_WEEKDAY == 7).then(0.9).otherwise(1.0),
        remainder=1.0,
    )
    .drop_nulls()
    for signal, usual in (("entries", 6), ("power", 9000), ("water", 300))
)
SHIFTS = pl.DataFrame(
    {"signal": ["entries", "power", "water"], "before": [6.0, 9000.0, 300.0], "after": [19.0, 9100.0, 720.0]}
)


def case(rank: int = 1, **changed: object) -> dict:
    """Return a row of the cases and the worklist; `changed` replaces columns."""
    signature = changed.get("signature", "people")
    ratios = {"entries": 3.1, "water": 2.4, "power": 1.0}
    household = f"NM-03-{400 + rank:04d}"
    row = {
        "night": NIGHT,
        "rank": rank,
        "case_id": f"{household}-{signature}-20260310",
        "household": household,
        "district": "North",
        "signature": signature,
        "desk": "occupancy",
        "rarity": 890_123.0,
        "chance_wrong": 0.08,
        "chance_before": 0.08,
        "status": "ongoing",
        "onset": ONSET,
        "opened": date(2026, 3, 10),
        "last_seen": NIGHT,
        "ratios": [{"key": signal, "value": ratio} for signal, ratio in ratios.items()],
        "extra_people": 4.2,
        "extra_people_low": 2.1,
        "extra_people_high": 7.4,
        "because_en": messages.because_sentence("en", ratios, signature, 9),
        "because_zh": messages.because_sentence("zh", ratios, signature, 9),
        "assigned": None,
        "decision": None,
        "reopened": None,
        "first_listed": changed.get("status") == "new",
    }
    return row | changed


def case_page(**changed: object) -> report.CasePage:
    """Return the page of one case; `changed` replaces columns, or evidence, notes and revised of the page."""
    found = [
        (NIGHT, "NM-03-0401", "together", "all", 10, 2.1, 6.2, 231_234.0, ""),
        (NIGHT, "NM-03-0401", "alone", "entries", 7, 3.1, 5.0, 81_000.0, ""),
    ]
    evidence = pl.DataFrame(found, schema=tables.empty(tables.Evidence).schema, orient="row")
    notes = ((None, "coarse"), ("power", "meter repeats the same value"))
    return report.CasePage(
        site=SITE,
        night=NIGHT,
        building="NM-03",
        district="North",
        series=SERIES,
        units=UNITS,
        calendar=CALENDAR,
        evidence=changed.pop("evidence", evidence),
        notes=changed.pop("notes", notes),
        history_days={"entries": 412, "water": 405, "power": 61},
        parts=LEVELS,
        shifts=SHIFTS,
        revised=changed.pop("revised", None),
        case=case() | {"rarity_night": 890_123.0} | changed,
    )


TWICE = {"revised": 2, "finished_utc": datetime(2026, 3, 18, 4, 5)}
"""A run that judged the night again for the second time."""
_CHANGE_COLUMNS = [name for name in tables.Revisions.column_names() if name not in ("night", "revised")]
CHANGES = (
    pl.DataFrame(
        [
            ("NM-03-0401", "people", "changed", "c260310-1", case()["case_id"], 412_000.0, 890_123.0, 3, 1),
            ("NM-03-0402", "water", "new", None, "c260314-2", None, 52_000.0, None, 2),
            ("NM-03-0408", "power", "gone", "c260309-8", None, 31_000.0, None, 2, None),
            ("NM-03-0409", "power", "gone", "c260312-9", None, 99_000.0, None, 1, None),
            ("NM-03-0410", "water", "gone", "c260312-0", None, 20_000.0, None, None, None),
        ],
        schema=_CHANGE_COLUMNS,
        orient="row",
    )
    .with_columns(night=pl.lit(NIGHT), revised=pl.lit(2))
    .select(tables.Revisions.column_names())
    .cast(dict(tables.empty(tables.Revisions).schema))
)
"""What it changed: a case with another id and place, a new one, two that went, one that was never listed."""


def night_page(doors: list[dict], **changed: object) -> report.NightPage:
    """Return the page of a night; `changed` replaces fields of the page, `again` those of the run."""
    run = {
        "run": "2026-03-14-20260315T010200Z",
        "night": NIGHT,
        "started_utc": datetime(2026, 3, 15, 1, 2),
        "finished_utc": datetime(2026, 3, 15, 1, 3),
        "version": "0.1.0",
        "settings_sha256": SITE.settings_sha256,
        "judged": 1462,
        "not_judged": 131,
        "cases_open": len(doors),
        "cases_new": 1,
        "expected_wrong_doors": 0.3,
        "notes": "",
        "revised": 0,
    } | changed.pop("again", {})
    case_schema, worklist_schema = (
        dict(tables.empty(table).schema) for table in (tables.Cases, tables.Worklist)
    )
    of_case = ("status", "onset", "ratios", "because_en", "because_zh")
    of_people = ("extra_people", "extra_people_low", "extra_people_high")
    worklist_schema |= {name: case_schema[name] for name in (*of_case, *of_people)}
    reasons = ["no whole day yet", "2 whole days in the last 7, half are needed"]
    fields = {
        "run": run,
        "worklist": _frame(doors, worklist_schema),
        "cases": _frame(doors, case_schema),
        "not_judged": pl.DataFrame({"reason": reasons, "signal": ["water", "power"], "homes": [31, 88]}),
        "quality": pl.DataFrame(
            {"signal": ["water", "water"], "quality": ["read", "missing"], "days": [1370, 88]}
        ),
        "rejects": pl.DataFrame({"source": ["power"], "reason": ["value negative"], "rows": [1204]}),
        "sparks": {row["case_id"]: charts.spark_svg([6.0] * 30 + [19.0] * 9, [6.0] * 39) for row in doors},
    }
    return report.NightPage(SITE, **fields | changed)


def overview_page(nights: int) -> report.OverviewPage:
    """Return the page over so many nights, the last of which has a folder."""
    run = night_page([]).run
    runs = [run | {"night": NIGHT - timedelta(days=back), "run": f"run-{back}"} for back in range(nights)]
    outcomes = pl.DataFrame(
        [("NM-1", NIGHT, "benign", "guests", None, 10)],
        schema=tables.empty(tables.Outcomes).schema,
        orient="row",
    )
    quality = pl.DataFrame(
        [
            (None, "water", 60, 0.0, 1680, 1512),
            ("Mill", "water", 14, 0.1, 392, 392),
            ("North", "water", 46, 0.1, 1288, 1120),
        ],
        schema=["district", "signal", "homes", "largest_share", "days", "good"],
        orient="row",
    )
    found = {
        "size": 3.0,
        "planted": 10,
        "found": 8,
        "share": 0.8,
        "low": 0.7,
        "high": 0.9,
        "median_delay": 6.0,
    }
    return report.OverviewPage(
        site=SITE,
        runs=_frame(runs, tables.empty(tables.Runs).schema),
        cases=_frame([case()], tables.empty(tables.Cases).schema),
        outcomes=outcomes,
        reported=frozenset({NIGHT}),
        quality=quality,
        found={"last": date(2026, 2, 28), "card": [found]},
    )


def _frame(rows: list[dict], schema) -> pl.DataFrame:
    return pl.DataFrame([{name: row[name] for name in schema} for row in rows], schema=schema)


CARD = pl.DataFrame(
    [
        (None, 24000.0, 4.0, 1.0, 9.0, 2.0, 20, 10, 0.5, 0.3, 0.7, 9.0),
        (None, 24000.0, 4.0, 1.0, 9.0, 5.0, 20, 20, 1.0, 0.84, 1.0, 6.0),
        (2.0, 99000.0, 2.0, 0.2, 7.0, 2.0, 20, 0, 0.0, 0.0, 0.16, None),
        (2.0, 99000.0, 2.0, 0.2, 7.0, 5.0, 20, 15, 0.75, 0.53, 0.89, 8.0),
    ],
    schema=[
        *("capacity", "threshold", "wrong", "wrong_low", "wrong_high", "size"),
        *("planted", "found", "share", "low", "high", "median_delay"),
    ],
    orient="row",
)
"""The score card of an evaluation: two sizes, at the settings' own threshold and at a capacity of 2."""
SHAPES = pl.DataFrame(
    [
        (2.0, "step", 8, 4, 0.5, 0.2, 0.8, 9.0),
        (5.0, "step", 8, 8, 1.0, 0.7, 1.0, 6.0),
        (5.0, "spike", 4, 0, 0.0, 0.0, 0.5, None),
    ],
    schema=["size", "shape", "planted", "found", "share", "low", "high", "median_delay"],
    orient="row",
)
GROUPS = pl.DataFrame(
    [("district", "North <1>", 40, 2.5), ("signals", "1", 20, None), ("signals", "3", 60, 2.0)],
    schema=["group", "name", "homes", "size"],
    orient="row",
)


def evaluation_page(**changed: object) -> report.EvaluationPage:
    """Return the page of an evaluation of 300 homes; `changed` replaces fields."""
    fields = {
        "site": SITE,
        "first": date(2026, 5, 1),
        "last": date(2026, 6, 29),
        "homes": 300,
        "site_homes": 300,
        "rounds": 4,
        "share": 0.05,
        "card": CARD,
        "shapes": SHAPES,
        "groups": GROUPS,
        "largest": 5.0,
    }
    return report.EvaluationPage(**fields | changed)
