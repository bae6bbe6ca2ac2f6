"""Record what people decide and find: outcomes, assignments, reveals.

Each is written to the journal first, then to the audit log, and then shown in the published file, so that
nothing that was recorded is lost when a later step fails.
"""

import csv
import datetime as dt
import io
from dataclasses import dataclass, field
from pathlib import Path

from anomaly.messages import printable
from anomaly.pii import find_personal_text
from anomaly.tables import OUTCOMES
from pipelines.cases import outcome_journal
from pipelines.cases.build import build_cases, read_control_doors
from pipelines.cases.snapshots import find_case, last_night_with_case
from pipelines.config.calendar import local_today
from pipelines.config.settings import Settings
from pipelines.errors import AuditLogBroken, NotFound, NotRecorded, StateDamaged, StoreLocked
from pipelines.ingest import pseudonyms
from pipelines.publish import duckdb_file, parquet_export
from pipelines.publish.frames import outcome_frames
from pipelines.storage.audit_log import AuditLog
from pipelines.storage.state import Store

HASTY_DECISIONS = 10  # within a minute
LATEST_DECISIONS, NEARLY_ALL = 20, 0.95  # so large a share of the latest decisions
LOCK_SECONDS = 20.0  # to wait for a run before the published file is left to it
_ENTRY_FIELDS = ("case_id", "day", "outcome", "reason", "by", "minutes")


@dataclass(frozen=True)
class OutcomeEntry:
    """One outcome as a person gave it."""

    case_id: str
    outcome: str
    reason: str
    day: dt.date
    by: str | None = None
    minutes: int | None = None
    """How long it took."""


@dataclass(frozen=True)
class ImportResult:
    """What came of a file of outcomes."""

    recorded: int
    already: int
    """Rows that had been recorded before."""
    refused: list[str] = field(default_factory=list)
    """A line for each row that was refused, with its number."""
    remarks: list[str] = field(default_factory=list)
    """Lines on the published file, where it could not be changed at once."""


def decide(settings: Settings, entry: OutcomeEntry) -> list[str]:
    """Record one outcome and publish it; returns remarks for the person. Raises NotRecorded, NotFound."""
    store = _judged_store(settings)
    with outcome_journal.lock_journals(store):
        lacking = _lacking_warnings(store)
        line = _CaseIndex(settings, store).journal_line(entry)
        recorded = [_entry_of(line) for line in store.read_lines(outcome_journal.OUTCOMES)]
        again = _entry_of(line) in recorded
        if not again:  # the same entry may come again after it was broken off: once is enough
            store.append_line(outcome_journal.OUTCOMES, line | {"how": "decide"})
        facts = {"case": entry.case_id, "outcome": entry.outcome, "day": entry.day, "by": entry.by}
        AuditLog(store).append("decide", **facts, again=again, lines=len(recorded) + (not again))
    remarks = ["it was recorded already"] if again else routine_warnings(store, dt.datetime.now(dt.UTC))
    return [*lacking, *remarks, *_publish(settings, store)]


def import_outcomes(settings: Settings, path: Path) -> ImportResult:
    """Record the outcomes of a CSV file from the field.

    Columns case, day, outcome, reason, by, minutes; the last two may be missing. Rows that can be recorded
    are, whatever becomes of the others. A file that comes again adds nothing.
    """
    store = _judged_store(settings)
    rows = _read_rows(path)
    refused, fresh, already = [], [], 0
    with outcome_journal.lock_journals(store):
        lacking = _lacking_warnings(store)
        case_index = _CaseIndex(settings, store)
        recorded = [_entry_of(line) for line in store.read_lines(outcome_journal.OUTCOMES)]
        seen = set(recorded)
        for number, row in enumerate(rows, 1):
            try:
                line = case_index.journal_line(_parse_entry(row))
            except (NotRecorded, NotFound) as error:
                refused.append(f"row {number}: {error}")
                continue
            if _entry_of(line) in seen:
                already += 1
            else:
                seen.add(_entry_of(line))
                fresh.append(line | {"how": "import"})
        store.append_lines(outcome_journal.OUTCOMES, fresh)
        counts = {"recorded": len(fresh), "already": already, "refused": len(refused)}
        outcomes = [[line["case_id"], line["outcome"], line["day"]] for line in fresh]
        lines = len(recorded) + len(fresh)
        AuditLog(store).append("import", file=printable(path.name), **counts, outcomes=outcomes, lines=lines)
    remarks = lacking + (_publish(settings, store) if fresh or already else [])
    return ImportResult(len(fresh), already, refused, remarks)


def assign(settings: Settings, case_id: str, to: str, by: str | None) -> list[str]:
    """Record to whom a case is given, and publish it; returns remarks. Raises NotRecorded, NotFound."""
    store = _judged_store(settings)
    _check_text("--to", to)
    with outcome_journal.lock_journals(store):
        _CaseIndex(settings, store).find(case_id)
        line = {"case_id": case_id, "day": str(local_today(settings)), "to": to.strip(), "by": by}
        of_case = [
            earlier
            for earlier in store.read_lines(outcome_journal.ASSIGNMENTS)
            if earlier["case_id"] == case_id
        ]
        if line not in of_case[-1:]:
            store.append_line(outcome_journal.ASSIGNMENTS, line)
        AuditLog(store).append("assign", case=case_id, to=to.strip(), by=by)
    return _publish(settings, store)


def reveal(settings: Settings, case_id: str, reason: str, by: str) -> str:
    """Return the id behind a case's code, after the request was logged. Raises NotFound, NotRecorded."""
    store = _judged_store(settings)
    _check_text("--reason", reason)
    _check_text("--by", by)
    household = _CaseIndex(settings, store).find(case_id)["household"]
    household_id = pseudonyms.reveal_id(settings, household)
    AuditLog(store).append("reveal", case=case_id, reason=reason.strip(), by=by.strip())
    return household_id


def routine_warnings(store: Store, now: dt.datetime) -> list[str]:
    """Return warnings where deciding has become routine: many within a minute, or nearly all confirmed."""
    decisions = [
        line
        for line in store.read_lines(outcome_journal.OUTCOMES)
        if line.get("how") == "decide" and line["outcome"] in ("confirmed", "benign", "contested")
    ]
    warnings = []
    ages = [now - dt.datetime.fromisoformat(line["recorded"]) for line in decisions]
    within_minute = sum(age.total_seconds() <= 60 for age in ages)
    if within_minute >= HASTY_DECISIONS:
        warnings.append(
            f"warning: {within_minute} decisions were recorded within a minute;"
            " each should rest on a look at its case page"
        )
    latest = [line["outcome"] for line in decisions[-LATEST_DECISIONS:]]
    confirmed = latest.count("confirmed")
    if len(latest) == LATEST_DECISIONS and confirmed >= NEARLY_ALL * LATEST_DECISIONS:
        warnings.append(
            f"warning: {confirmed} of the last {LATEST_DECISIONS} decisions are confirmed;"
            " a list that is nearly always accepted is not being looked at"
        )
    return warnings


def _lacking_warnings(store: Store) -> list[str]:
    """Return a line where the journals lack what the audit log has; recording it again mends that."""
    try:
        AuditLog(store).verify()
        outcome_journal.check_against_audit_log(store)
    except (AuditLogBroken, StateDamaged) as error:
        return [f"warning: {error}"]
    return []


def _judged_store(settings: Settings) -> Store:
    """Return the store, ready to be written; raises NotFound where no night has been judged.

    Raises AuditLogBroken, StateDamaged or OSError where the audit log could not take the line afterwards.
    """
    store = Store(settings.store)
    if not store.judged_nights():
        raise NotFound(f"{store.folder}: no night has been judged; run `anomaly nightly --settings …` first")
    store.prepare()
    AuditLog(store).head()
    return store


class _CaseIndex:
    """The cases and control doors there are, with what was promised of each when it was listed."""

    def __init__(self, settings: Settings, store: Store):
        self._settings, self._store = settings, store
        self._latest_night = max(store.judged_nights())
        history = build_cases(settings, store)
        self._cases = {row["case_id"]: row for row in history.cases.iter_rows(named=True)}
        self._cases |= {
            row["case_id"]: row | {"signature": "control", "listed": None}
            for row in read_control_doors(store).iter_rows(named=True)
        }
        # what an answer itself took off its list, or a prune with its night, the journal still knows
        answered = {
            line["case_id"]: {"night": line["listed"]} | line
            for line in outcome_journal.read_outcomes(store)
            if line.get("listed")
        }
        first_listed = history.worklist.filter("first_listed")
        listed = {row["case_id"]: row for row in first_listed.iter_rows(named=True)}
        self._listings = answered | listed
        register = outcome_journal.read_register(settings, store)
        self._register = {row["household"]: row for row in register.iter_rows(named=True)}

    def find(self, case_id: str) -> dict:
        """Return a case by its code; raises NotFound."""
        if case_id in self._cases:
            return self._cases[case_id]
        # judging earlier nights again may have given a case another code; the one on paper still counts
        night = last_night_with_case(self._store, case_id)
        case = find_case(self._store, case_id, night) if night else None
        if case is None:
            raise NotFound(f"{case_id}: no such case; `anomaly worklist` and v1.cases list them")
        return case

    def journal_line(self, entry: OutcomeEntry) -> dict:
        """Return the journal's line: entry, home, what was promised, and from which night on it counts."""
        case = self.find(entry.case_id)
        self._check(entry)
        listing = self._listings.get(entry.case_id) or case | {"night": case["listed"]}
        place = self._register.get(case["household"], {})
        # a list that somebody works from does not change, but for what was found out before it was made
        next_night = self._latest_night + dt.timedelta(days=1)
        since = self._latest_night if entry.day <= self._latest_night else next_night
        line = {
            "case_id": entry.case_id,
            "day": entry.day,
            "outcome": entry.outcome,
            "reason": entry.reason.strip(),
            "by": entry.by or None,
            "minutes": entry.minutes,
            "household": case["household"],
            "signature": case["signature"],
            "district": place.get("district"),
            "class": place.get("class"),
            "chance_before": listing.get("chance_before"),
            "chance_wrong": listing.get("chance_wrong"),
            "listed": listing.get("night"),
            "since": since,
            "recorded": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        }
        return {name: str(v) if isinstance(v, dt.date) else v for name, v in line.items()}

    def _check(self, entry: OutcomeEntry) -> None:
        if entry.outcome not in OUTCOMES:
            raise NotRecorded(f"outcome {entry.outcome!r} is not there; choose from {', '.join(OUTCOMES)}")
        if entry.day > local_today(self._settings):
            raise NotRecorded(f"day {entry.day} lies in the future; give the day of the visit")
        if entry.minutes is not None and not 0 <= entry.minutes < 100_000:
            raise NotRecorded(f"minutes = {entry.minutes}; write how many minutes it took")
        _check_text("reason", entry.reason)
        if entry.by:
            _check_text("by", entry.by)


def _check_text(name: str, text: str) -> None:
    """Raise NotRecorded for a text that is empty, no text, or would carry a person's number into the
    store."""
    if not text.strip():
        raise NotRecorded(f"{name} is empty; a person decides, and says why in a few words")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise NotRecorded(
            f"{name} is not text in UTF-8; set the terminal to UTF-8 and write it again"
        ) from None
    if found := find_personal_text(text):
        raise NotRecorded(f"{name} {found}; leave it out: the store keeps nothing of the kind")


def _read_rows(path: Path) -> list[dict[str, str]]:
    """Read the rows of a CSV file of outcomes, the column `case` as case_id; raises NotRecorded."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise NotRecorded(
            f"{path}: cannot be read ({error.strerror}); name the CSV file of outcomes"
        ) from None
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            text = data.decode(encoding)
            break
        except UnicodeDecodeError:
            continue
    else:
        raise NotRecorded(f"{path}: is not text; export it as CSV in UTF-8")
    rows = csv.DictReader(io.StringIO(text))
    try:
        header, cells = rows.fieldnames or [], list(rows)
    except csv.Error:  # a cell of more than 128 kB, or a quote that swallows the rest of the file
        raise NotRecorded(
            f"{path}: line {rows.line_num + 1} cannot be read as CSV; correct it and import the file again"
        ) from None
    columns = {"case_id" if name.strip() == "case" else name.strip(): name for name in header}
    if missing := [name for name in ("case_id", "day", "outcome", "reason") if name not in columns]:
        raise NotRecorded(
            f"{path}: has no column {missing[0].removesuffix('_id')};"
            " give case, day, outcome, reason and, where known, by and minutes"
        )
    return [{name: (row[column] or "").strip() for name, column in columns.items()} for row in cells]


def _parse_entry(row: dict[str, str]) -> OutcomeEntry:
    try:
        day = dt.date.fromisoformat(row["day"])
        minutes = int(row["minutes"]) if row.get("minutes") else None
    except ValueError:
        wrong = "day is not YYYY-MM-DD, or minutes is not a whole number"
        raise NotRecorded(f"{wrong}; correct the row and import the file again") from None
    return OutcomeEntry(row["case_id"], row["outcome"], row["reason"], day, row.get("by") or None, minutes)


def _entry_of(line: dict) -> tuple:
    """Return what a person gave of a journal's line, to tell whether it was recorded already."""
    return tuple(line.get(name) for name in _ENTRY_FIELDS)


def _publish(settings: Settings, store: Store) -> list[str]:
    """Show the journals in the published file; returns a line where that has to wait."""
    try:
        with store.locked(LOCK_SECONDS):
            remarks = _replace_outcomes(settings, store)
    except StoreLocked:
        remarks = ["recorded; another run holds the lock, and the file shows it after the next run"]
    except PermissionError as error:
        remarks = [f"recorded; {error.filename} cannot be written: the file shows it after the next run"]
    return remarks


def _replace_outcomes(settings: Settings, store: Store) -> list[str]:
    """Swap the published file for one with the outcomes of now; returns a line where it cannot be read."""
    remarks = duckdb_file.put_logs_aside(settings.store)
    if not duckdb_file.is_readable(settings.store):
        remedy = "run `anomaly nightly --settings …`, which publishes it anew"
        return [*remarks, f"recorded; {settings.store} cannot be read: {remedy}"]
    frames = outcome_frames(settings, store, build_cases(settings, store))
    export_up_to_date = parquet_export.is_up_to_date(settings)
    remarks += duckdb_file.replace_tables(settings.store, frames)
    return remarks + parquet_export.sync_parquet_export(
        settings, frames.keys() if export_up_to_date else None
    )
