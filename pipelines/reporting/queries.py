"""Answers from what was published: the list, a case, the last runs, the calendar, the dictionary."""

import datetime as dt
import json

import duckdb
import polars as pl

from anomaly.messages import formula_safe, printable
from pipelines.config.settings import Settings
from pipelines.errors import NotFound
from pipelines.ingest import late_arrivals
from pipelines.publish.dictionary import data_dictionary
from pipelines.publish.duckdb_file import OFFLINE, is_readable
from pipelines.storage.state import Store


def ask(settings: Settings, sql: str, **params) -> pl.DataFrame:
    """A query of the published file as a frame; the file is opened for reading only and closed at once."""
    if not settings.store.exists():
        raise NotFound(f"{settings.store}: not published yet; run `anomaly nightly --settings …` first")
    if not is_readable(settings.store):
        raise NotFound(
            f"{settings.store}: cannot be read; run `anomaly nightly --settings …`, which publishes it anew"
        )
    with duckdb.connect(str(settings.store), read_only=True, config=OFFLINE) as con:
        # by rows: handing a relation over as a frame makes DuckDB 2.0 complain of leaks on stderr at exit
        asked = con.execute(sql, params or None)
        names = [column[0] for column in asked.description]
        return pl.DataFrame(asked.fetchall(), schema=names, orient="row", infer_schema_length=None)


def night_or_latest(settings: Settings, night: dt.date | None) -> dt.date:
    """The night asked for if it was judged, else the latest judged one."""
    judged = ask(settings, "SELECT DISTINCT night FROM v1.runs ORDER BY night")["night"].to_list()
    if night is None:
        return judged[-1]
    if night not in judged:
        raise NotFound(
            f"night {night} was not judged; judged are {judged[0]} … {judged[-1]}: run `anomaly nightly --night {night}` first"
        )
    return night


def worklist(settings: Settings, night: dt.date | None, form: str, **only: str | None) -> str:
    """The doors of a night as a table, CSV or JSON lines. only: desk or district; of one alone where one is named."""
    night = night_or_latest(settings, night)
    doors = ask(
        settings,
        "SELECT w.*, c.decision FROM v1.worklist AS w JOIN v1.cases AS c USING (case_id) WHERE night = $night ORDER BY rank",
        night=night,
    )
    doors = doors.filter(*(pl.col(column) == name for column, name in only.items() if name))
    if form == "csv":
        return _safe(doors.drop("decision")).write_csv()
    if form == "json":
        return doors.drop("decision").with_columns(pl.col("night").cast(pl.String)).write_ndjson()
    if doors.is_empty():
        return f"{night}: nobody to visit. An empty list is a good night.\n"
    shown = doors.select(
        "rank",
        case="case_id",
        home="household",
        district=pl.col("district").fill_null("-"),
        kind="signature",
        desk="desk",
        rarity=pl.Series([f"1 in {rarity:,.0f}" for rarity in doors["rarity"]]),
        wrong=pl.Series([f"{chance:.0%}" for chance in doors["chance_wrong"]]),
    )
    told = {"assigned": "to", "decision": "decision"}  # columns of what people have told, where they have
    shown = shown.hstack(
        [
            doors[name].fill_null("-").alias(head)
            for name, head in told.items()
            if doors[name].is_not_null().any()
        ]
    )
    return f"{night}\n{as_columns(shown)}"


def explain(settings: Settings, name: str, night: dt.date | None, language: str) -> str:
    """Where the numbers of a case, or of a home, come from, as that night knew them."""
    from pipelines.reporting.explain import replay

    return _printable_lines(replay(settings, name, _night_of(settings, name, night), language))


def letter(settings: Settings, name: str, night: dt.date | None, language: str) -> str:
    """The one-page letter to the resident."""
    from pipelines.reporting.explain import letter_of

    return _printable_lines(letter_of(settings, name, _night_of(settings, name, night), language))


def _printable_lines(text: str) -> str:
    return "\n".join(map(printable, text.split("\n")))


def _night_of(settings: Settings, name: str, night: dt.date | None) -> dt.date:
    """The night asked for; without one, the latest for a home, and the last that had it open for a case."""
    from pipelines.cases.snapshots import last_night_of

    home = ask(settings, "SELECT 1 FROM v1.households WHERE household = $n", n=name).height
    return night_or_latest(settings, night or (None if home else last_night_of(Store(settings.store), name)))


def status(settings: Settings, as_json: bool) -> str:
    """The last runs, and the judged nights that late readings touch."""
    runs = ask(settings, "SELECT * FROM v1.runs ORDER BY finished_utc DESC, night DESC LIMIT 14")
    touched = late_arrivals.touched_nights(Store(settings.store), settings.expected.reach_days)
    if as_json:
        rows = [
            {"message_type": "run", **{k: str(v) if isinstance(v, dt.date) else v for k, v in row.items()}}
            for row in runs.iter_rows(named=True)
        ]
        rows.append(
            {"message_type": "summary", "runs": len(rows), "touched": [str(night) for night in touched]}
        )
        return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    shown = runs.select(
        "night",
        "judged",
        "not_judged",
        "cases_open",
        "cases_new",
        "expected_wrong_doors",
        "revised",
        finished="finished_utc",
        notes="notes",
    )
    return as_columns(shown) + "".join(f"{line}\n" for line in late_arrivals.describe_touched_nights(touched))


def calendar_days(settings: Settings, year: int) -> pl.DataFrame:
    """Every day of the year, as the calendar in force has it."""
    from pipelines.config.calendar import calendar_in_force

    return calendar_in_force(settings, dt.date(year, 1, 1), dt.date(year, 12, 31))


def calendar_table(settings: Settings, year: int) -> str:
    """Every day of the year that is not an ordinary one."""
    days = calendar_days(settings, year)
    state = (
        "provisional: adjusted workdays are not known yet; put them in calendars/"
        if days["provisional"].any()
        else "official"
    )
    odd = days.filter(pl.col("kind").is_in(["holiday", "workday"])).select(
        "day", "kind", "name_en", "name_zh"
    )
    windows = (
        days.filter(pl.col("window").is_not_null())
        .group_by("window", maintain_order=True)
        .agg(first=pl.col("day").min(), last=pl.col("day").max())
    )
    return f"{settings.site.calendar} {year}: {state}\n{as_columns(odd)}" + (
        f"\nmoving windows\n{as_columns(windows)}" if windows.height else ""
    )


def dictionary_text(language: str) -> str:
    """The data dictionary as a table a view."""
    words = data_dictionary()
    parts = []
    for (schema, view), frame in words.group_by("schema", "view", maintain_order=True):
        parts.append(
            f"{schema}.{view}\n"
            + as_columns(
                frame.select(
                    "column",
                    "type",
                    unit=pl.col(f"unit_{language}").fill_null(""),
                    meaning=f"meaning_{language}",
                ),
                head=False,
                indent="  ",
            )
        )
    return "\n".join(parts)


def as_columns(frame: pl.DataFrame, head: bool = True, indent: str = "") -> str:
    """Left-aligned text columns, two spaces apart."""
    rows = [[("" if v is None else printable(str(v))) for v in row] for row in frame.iter_rows()]
    if head:
        rows.insert(0, list(frame.columns))
    if not rows:
        return ""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "".join(
        indent + "  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() + "\n"
        for row in rows
    )


def _safe(frame: pl.DataFrame) -> pl.DataFrame:
    """Text cells that a spreadsheet would take for a formula get an apostrophe in front."""
    texts = (column for column in frame if column.dtype == pl.String)
    return frame.with_columns(
        pl.Series(column.name, [text and formula_safe(text) for text in column], pl.String) for column in texts
    )
