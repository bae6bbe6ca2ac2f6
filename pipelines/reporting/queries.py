"""Answer the commands worklist, status, calendar and tables, from what was published.

(`anomaly explain` answers from the store: pipelines/reporting/explain.py.)
"""

import datetime as dt
import json

import duckdb
import polars as pl

from anomaly.evidence import signature_of
from anomaly.messages import align_columns, formula_safe, printable
from pipelines.config.calendar import calendar_in_force
from pipelines.config.settings import Settings
from pipelines.errors import NotFound
from pipelines.ingest import late_arrivals
from pipelines.publish.dictionary import data_dictionary
from pipelines.publish.duckdb_file import OFFLINE, is_readable
from pipelines.storage.state import OLDER_RUN_LOG, RUN_LOG, Store

SHOWN_RUNS = 14


def query_published(settings: Settings, sql: str, **params: object) -> pl.DataFrame:
    """Ask the published file and return the answer as a frame.

    The file is opened for reading and closed at once. Raises NotFound where there is none that can be read,
    PermissionError where this user may not read it.
    """
    try:
        settings.store.open("rb").close()
    except (FileNotFoundError, NotADirectoryError):
        raise NotFound(
            f"{settings.store}: not published yet; run `anomaly nightly --settings …` first"
        ) from None
    if not is_readable(settings.store):
        raise NotFound(
            f"{settings.store}: cannot be read; run `anomaly nightly --settings …`, which publishes it anew"
        )
    with duckdb.connect(str(settings.store), read_only=True, config=OFFLINE) as con:
        # by rows: handing a relation over as a frame makes DuckDB 2.0 complain of leaks on stderr at exit
        asked = con.execute(sql, params or None)
        names = [column[0] for column in asked.description or ()]
        return pl.DataFrame(asked.fetchall(), schema=names, orient="row", infer_schema_length=None)


def night_or_latest(settings: Settings, night: dt.date | None) -> dt.date:
    """Return the night asked for, or the latest judged one where none is.

    Raises NotFound for a night that was not judged.
    """
    judged = query_published(settings, "SELECT DISTINCT night FROM v1.runs ORDER BY night")["night"].to_list()
    if night is None:
        return judged[-1]
    if night not in judged:
        raise NotFound(
            f"night {night} was not judged; judged are {judged[0]} … {judged[-1]}: "
            f"run `anomaly nightly --night {night}` first"
        )
    return night


def worklist_text(
    settings: Settings,
    night: dt.date | None,
    output_format: str,
    desk: str | None = None,
    district: str | None = None,
) -> str:
    """Return the doors of a night, rarest first, as a table, csv or json (one object a line).

    desk, district: only the doors of this one, where one is named. Raises NotFound for a desk that no kind
    of case has.
    """
    night = night_or_latest(settings, night)
    doors = query_published(
        settings,
        """
        SELECT worklist.*, cases.decision
        FROM v1.worklist AS worklist JOIN v1.cases AS cases USING (case_id)
        WHERE night = $night ORDER BY rank
        """,
        night=night,
    )
    if desk:
        kinds = ["people", *map(signature_of, settings.rules)]
        desks = set(doors["desk"]).union(map(settings.worklist.desk_of, kinds))
        if desk not in desks:
            raise NotFound(f"there is no desk {desk!r}; there are {', '.join(sorted(desks))}")
        doors = doors.filter(pl.col("desk") == desk)
    if district:
        doors = doors.filter(pl.col("district") == district)
    if output_format == "csv":
        return _escape_formulas(doors.drop("decision")).write_csv()
    if output_format == "json":
        return doors.drop("decision").with_columns(pl.col("night").cast(pl.String)).write_ndjson()
    if doors.is_empty():
        return f"{night}: nobody to visit. An empty list is a good night.\n"
    table = doors.select(
        "rank",
        case="case_id",
        home="household",
        district=pl.col("district").fill_null("-"),
        kind="signature",
        desk="desk",
        rarity=pl.Series([f"1 in {rarity:,.0f}" for rarity in doors["rarity"]]),
        wrong=pl.Series([f"{chance:.0%}" for chance in doors["chance_wrong"]]),
    )
    # who has a case, and what was decided: columns only where there is something in them
    for column, head in (("assigned", "to"), ("decision", "decision")):
        if doors[column].is_not_null().any():
            table = table.with_columns(doors[column].fill_null("-").alias(head))
    return f"{night}\n{format_columns(table)}"


def status_text(settings: Settings, as_json: bool) -> str:
    """Return the last runs, the last that failed, and the nights that late readings touch.

    One line each for the latter two, or all as JSON lines. Raises NotFound where no run has succeeded.
    """
    failed = _last_failed_run(settings)
    try:
        runs = query_published(
            settings, f"SELECT * FROM v1.runs ORDER BY finished_utc DESC, night DESC LIMIT {SHOWN_RUNS}"
        )
    except NotFound as error:
        raise NotFound(f"{error}; {_describe_failed_run(failed)}") if failed else error from None
    touched = late_arrivals.touched_nights(Store(settings.store), settings.expected.reach_days)
    if as_json:
        rows: list[dict] = [
            {"message_type": "run", **{k: str(v) if isinstance(v, dt.date) else v for k, v in row.items()}}
            for row in runs.iter_rows(named=True)
        ]
        summary = {"runs": len(rows), "touched": [str(night) for night in touched], "last_failed": failed}
        rows.append({"message_type": "summary", **summary})
        return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    table = runs.select(
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
    lines = [_describe_failed_run(failed)] if failed else []
    lines += late_arrivals.describe_touched_nights(touched)
    return format_columns(table) + "".join(f"{line}\n" for line in lines)


def _last_failed_run(settings: Settings) -> dict | None:
    """Return at, command, exit_code and error of the last run that the log knows to have failed."""
    for name in (RUN_LOG, OLDER_RUN_LOG):
        try:
            log = (settings.store.parent / name).read_bytes()
        except OSError:  # none yet, or not to be read: the runs are still told
            continue
        for line in reversed(log.splitlines()):
            if b'"failed"' not in line:
                continue
            try:
                event = json.loads(line)
                if event["message_type"] == "failed":
                    return {field: event[field] for field in ("at", "command", "exit_code", "error")}
            except (ValueError, KeyError, TypeError):  # cut short, or not a line of the log
                continue
    return None


def _describe_failed_run(run: dict) -> str:
    finished = str(run["at"])[:19].replace("T", " ")
    return f"last failed run: {finished}, {run['command']}, exit code {run['exit_code']} ({run['error']})"


def calendar_of_year(settings: Settings, year: int) -> pl.DataFrame:
    """Return every day of the year as the calendar in force has it (tables.Calendar)."""
    return calendar_in_force(settings, dt.date(year, 1, 1), dt.date(year, 12, 31))


def calendar_text(settings: Settings, year: int) -> str:
    """Return the holidays, made-up workdays and moving windows of a year as a table."""
    days = calendar_of_year(settings, year)
    state = "official"
    if days["provisional"].any():
        state = "provisional: adjusted workdays are not known yet; put them in calendars/"
    special = days.filter(pl.col("kind").is_in(["holiday", "workday"]))
    text = f"{settings.site.calendar} {year}: {state}\n"
    text += format_columns(special.select("day", "kind", "name_en", "name_zh"))
    windows = (
        days.filter(pl.col("window").is_not_null())
        .group_by("window", maintain_order=True)
        .agg(first=pl.col("day").min(), last=pl.col("day").max())
    )
    if windows.height:
        text += f"\nmoving windows\n{format_columns(windows)}"
    return text


def dictionary_text(language: str) -> str:
    """Return the data dictionary as a table for each view."""
    parts = []
    for (schema, view), columns in data_dictionary().group_by("schema", "view", maintain_order=True):
        shown = columns.select(
            "column", "type", unit=pl.col(f"unit_{language}").fill_null(""), meaning=f"meaning_{language}"
        )
        parts.append(f"{schema}.{view}\n" + format_columns(shown, head=False, indent="  "))
    return "\n".join(parts)


def format_columns(frame: pl.DataFrame, head: bool = True, indent: str = "") -> str:
    """Return a frame as left-aligned text columns, two spaces apart. head: whether the names stand on top."""
    rows = [[("" if v is None else printable(str(v))) for v in row] for row in frame.iter_rows()]
    if head:
        rows.insert(0, list(frame.columns))
    return "".join(f"{indent}{line}\n" for line in align_columns(rows))


def _escape_formulas(frame: pl.DataFrame) -> pl.DataFrame:
    """Put an apostrophe in front of text that a spreadsheet would take for a formula."""
    return frame.with_columns(
        pl.Series(column.name, [text and formula_safe(text) for text in column], pl.String)
        for column in frame
        if column.dtype == pl.String
    )
