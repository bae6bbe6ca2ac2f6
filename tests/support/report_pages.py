"""A small made-up city for the tests of the reports: one case with three signals, and nights of any length."""

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
    """`usual` a day, `surge` from the onset on; missing: days counted back from the night (0 is the night)."""
    rows = []
    for back in reversed(range(days)):
        day = NIGHT - timedelta(days=back)
        value = None if back in missing else (surge if day >= ONSET else usual) + back % 3
        rows.append(
            (day, value, float(usual), usual * 0.6, usual * 1.5, "missing" if back in missing else "read")
        )
    types = {
        "day": pl.Date,
        "value": pl.Int64,
        "expected": pl.Float64,
        "low": pl.Float64,
        "high": pl.Float64,
        "quality": pl.String,
    }
    return pl.DataFrame(rows, schema=types, orient="row")


SERIES = {
    "entries": series(6, 19).with_columns(peers=pl.lit(7.0)),
    "water": series(300, 720, missing=(2, 40, 41)),
    "power": series(9000, 9100),
}
_DAYS = [NIGHT - timedelta(days=back) for back in reversed(range(130))]
CALENDAR = pl.DataFrame({"day": _DAYS}).with_columns(
    kind=pl.when(pl.col("day").is_between(date(2026, 2, 15), date(2026, 2, 23))).then(pl.lit("holiday"))
    .when(pl.col("day").is_between(date(2026, 2, 24), date(2026, 3, 8))).then(pl.lit("window")).otherwise(pl.lit("")),
    name_en=pl.lit("Spring Festival"), name_zh=pl.lit("春节"), provisional=pl.lit(False),
)  # fmt: skip

LEVELS = pl.concat(
    SERIES[signal].select(
        signal=pl.lit(signal), day="day", value=pl.col("value").cast(pl.Float64), level=pl.lit(float(usual)),
        week=pl.when(pl.col("day").dt.weekday() == 6).then(1.2).when(pl.col("day").dt.weekday() == 7).then(0.9).otherwise(1.0), remainder=1.0,
    ).drop_nulls()
    for signal, usual in (("entries", 6), ("power", 9000), ("water", 300))
)  # fmt: skip
SHIFTS = pl.DataFrame(
    {"signal": ["entries", "power", "water"], "before": [6.0, 9000.0, 300.0], "after": [19.0, 9100.0, 720.0]}
)


def case(rank: int = 1, **changed: object) -> dict:
    """A row of the cases and the worklist; `changed` replaces columns."""
    signature = changed.get("signature", "people")
    ratios = {"entries": 3.1, "water": 2.4, "power": 1.0}
    row = {
        "night": NIGHT, "rank": rank, "case_id": f"NM-03-{400 + rank:04d}-{signature}-20260310", "household": f"NM-03-{400 + rank:04d}",
        "district": "North", "signature": signature, "desk": "occupancy", "rarity": 890_123.0, "chance_wrong": 0.08, "status": "ongoing",
        "onset": ONSET, "opened": date(2026, 3, 10), "last_seen": NIGHT, "ratios": [{"key": k, "value": v} for k, v in ratios.items()],
        "extra_people": 4.2, "extra_people_low": 2.1, "extra_people_high": 7.4,
        "because_en": messages.because_sentence("en", ratios, signature, 9), "because_zh": messages.because_sentence("zh", ratios, signature, 9),
    }  # fmt: skip
    row |= {
        "chance_before": row["chance_wrong"],
        "assigned": None,
        "decision": None,
        "reopened": None,
        "first_listed": changed.get("status") == "new",
    }
    return row | changed


def case_page(**changed: object) -> report.CasePage:
    """The page of one case; `changed` replaces columns of the case, or `evidence`, `notes` and `revised` of the page."""
    evidence = pl.DataFrame(
        [(NIGHT, "NM-03-0401", "together", "all", 10, 2.1, 6.2, 231_234.0, ""), (NIGHT, "NM-03-0401", "alone", "entries", 7, 3.1, 5.0, 81_000.0, "")],
        schema=tables.empty(tables.Evidence).schema, orient="row",
    )  # fmt: skip
    evidence, notes = (
        changed.pop("evidence", evidence),
        changed.pop("notes", ((None, "coarse"), ("power", "meter repeats the same value"))),
    )
    history, revised = {"entries": 412, "water": 405, "power": 61}, changed.pop("revised", None)
    row = case() | {"rarity_night": 890_123.0} | changed
    return report.CasePage(
        SITE,
        NIGHT,
        row,
        "NM-03",
        "North",
        SERIES,
        UNITS,
        CALENDAR,
        evidence,
        notes,
        history,
        LEVELS,
        SHIFTS,
        revised=revised,
    )


TWICE = {"revised": 2, "finished_utc": datetime(2026, 3, 18, 4, 5)}
"""A run that judged the night again for the second time."""
CHANGES = pl.DataFrame(
    [("NM-03-0401", "people", "changed", "c260310-1", case()["case_id"], 412_000.0, 890_123.0, 3, 1), ("NM-03-0402", "water", "new", None, "c260314-2", None, 52_000.0, None, 2),
     ("NM-03-0408", "power", "gone", "c260309-8", None, 31_000.0, None, 2, None), ("NM-03-0409", "power", "gone", "c260312-9", None, 99_000.0, None, 1, None),
     ("NM-03-0410", "water", "gone", "c260312-0", None, 20_000.0, None, None, None)],
    schema=[name for name in tables.Revisions.column_names() if name not in ("night", "revised")], orient="row",
).select(pl.lit(NIGHT).alias("night"), pl.lit(2, pl.Int64).alias("revised"), *tables.Revisions.column_names()[2:]).cast(dict(tables.empty(tables.Revisions).schema))  # fmt: skip
"""What it changed: a case with another code and place, a new one, two doors that went and a case that was never listed."""


def night_page(doors: list[dict], **changed: object) -> report.NightPage:
    """The page of a night with these doors; `changed` replaces fields of the page, and its `again` fields of the run."""
    more = {
        name: tables.empty(tables.Cases).schema[name]
        for name in (
            "status",
            "onset",
            "ratios",
            "because_en",
            "because_zh",
            "extra_people",
            "extra_people_low",
            "extra_people_high",
        )
    }
    run = {
        "run": "2026-03-14-20260315T010200Z", "night": NIGHT, "started_utc": datetime(2026, 3, 15, 1, 2), "finished_utc": datetime(2026, 3, 15, 1, 3),
        "version": "0.1.0", "settings_sha256": SITE.settings_sha256, "judged": 1462, "not_judged": 131, "cases_open": len(doors),
        "cases_new": 1, "expected_wrong_doors": 0.3, "notes": "", "revised": 0,
    } | changed.pop("again", {})  # fmt: skip
    fields = {
        "run": run,
        "worklist": _frame(doors, dict(tables.empty(tables.Worklist).schema) | more),
        "cases": _frame(doors, tables.empty(tables.Cases).schema),
        "not_judged": pl.DataFrame(
            {"reason": ["no whole day yet", "2 whole days in the last 7, half are needed"], "signal": ["water", "power"], "homes": [31, 88]}
        ),
        "quality": pl.DataFrame({"signal": ["water", "water"], "quality": ["read", "missing"], "days": [1370, 88]}),
        "rejects": pl.DataFrame({"source": ["power"], "reason": ["value negative"], "rows": [1204]}),
        "sparks": {row["case_id"]: charts.spark_svg([6.0] * 30 + [19.0] * 9, [6.0] * 39) for row in doors},
    }  # fmt: skip
    return report.NightPage(SITE, **fields | changed)


def overview_page(nights: int) -> report.OverviewPage:
    """The page over so many nights, the last of which has a folder."""
    schema = tables.empty(tables.Runs).schema
    run = night_page([]).run
    rows = [run | {"night": NIGHT - timedelta(days=back), "run": f"run-{back}"} for back in range(nights)]
    outcomes = pl.DataFrame(
        [("NM-1", NIGHT, "benign", "guests", None, 10)],
        schema=tables.empty(tables.Outcomes).schema,
        orient="row",
    )
    quality = pl.DataFrame(
        [(None, "water", 60, 0.0, 1680, 1512), ("Mill", "water", 14, 0.1, 392, 392), ("North", "water", 46, 0.1, 1288, 1120)],
        schema={"district": pl.String, "signal": pl.String, "homes": pl.Int64, "largest_share": pl.Float64, "days": pl.Int64, "good": pl.Int64}, orient="row",
    )  # fmt: skip
    found = {
        "last": date(2026, 2, 28),
        "card": [
            {
                "size": 3.0,
                "share": 0.8,
                "low": 0.7,
                "high": 0.9,
                "found": 8,
                "planted": 10,
                "median_delay": 6.0,
            }
        ],
    }
    cases = _frame([case()], tables.empty(tables.Cases).schema)
    return report.OverviewPage(
        SITE, _frame(rows, schema), cases, outcomes, frozenset({NIGHT}), quality, found
    )


def _frame(rows: list[dict], schema) -> pl.DataFrame:
    return pl.DataFrame([{name: row[name] for name in schema} for row in rows], schema=schema)
