"""What a person tells about a case: recorded on the disk first, then in the audit log, then in the published file."""

import csv
import datetime as dt
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from anomaly.pii import find_personal_columns
from anomaly.tables import OUTCOMES
from pipelines.cases import outcome_journal
from pipelines.cases.build import control_doors, fold
from pipelines.cases.snapshots import frozen_case, last_night_of
from pipelines.config.calendar import local_today
from pipelines.config.settings import Settings
from pipelines.errors import NotFound, NotRecorded, StoreLocked
from pipelines.ingest import pseudonyms
from pipelines.publish import duckdb_file, parquet_export
from pipelines.publish.frames import outcome_frames
from pipelines.storage.audit_log import AuditLog
from pipelines.storage.state import Store

HASTE = 10  # decisions within a minute
LATEST, NEARLY_ALL = 20, 0.95  # of the latest decisions
LOCK_SECONDS = 20.0


@dataclass(frozen=True)
class Said:
    """One answer as it was given. minutes: how long it took."""

    case_id: str
    outcome: str
    reason: str
    day: dt.date
    by: str | None = None
    minutes: int | None = None


def decide(settings: Settings, said: Said) -> list[str]:
    """Record one answer and publish it; returns what the person should hear. Raises NotRecorded, NotFound."""
    store = _ready(settings)
    with outcome_journal.writing(store):
        line = _Known(settings, store).line(said)
        again = _mark(line) in map(_mark, store.read_lines(outcome_journal.OUTCOMES))
        if not again:  # who tells the same again may have been broken off: once is enough
            store.append_line(outcome_journal.OUTCOMES, line | {"how": "decide"})
        AuditLog(store).append(
            "decide", case=said.case_id, outcome=said.outcome, day=said.day, by=said.by, again=again
        )
    return [
        *(["it was recorded already"] if again else meter(store, dt.datetime.now(dt.UTC))),
        *_publish(settings, store),
    ]


def import_outcomes(settings: Settings, path: Path) -> tuple[int, int, list[str]]:
    """Record the answers of a CSV file from the field: how many were new, how many were there already, and what was refused.

    Columns case, day, outcome, reason, by, minutes; the last two may be missing. The rows that can be right are recorded,
    each refused one is a line with its number. A file that comes again adds nothing.
    """
    store = _ready(settings)
    rows = _rows(path)
    with outcome_journal.writing(store):
        known = _Known(settings, store)
        there = {_mark(line) for line in store.read_lines(outcome_journal.OUTCOMES)}
        refused, fresh, again = [], [], 0
        for number, row in enumerate(rows, 1):
            try:
                line = known.line(_said(row))
            except (NotRecorded, NotFound) as error:
                refused.append(f"row {number}: {error}")
                continue
            if _mark(line) in there:
                again += 1
            else:
                there.add(_mark(line))
                fresh.append(line | {"how": "import"})
        for line in fresh:
            store.append_line(outcome_journal.OUTCOMES, line)
        AuditLog(store).append("import", file=path.name, recorded=len(fresh), already=again, refused=len(refused))
    return len(fresh), again, refused + (_publish(settings, store) if fresh or again else [])


def assign(settings: Settings, case_id: str, to: str, by: str | None) -> list[str]:
    """Record to whom a case is given, and publish it; told again, it is the same assignment."""
    store = _ready(settings)
    _plain("--to", to)
    with outcome_journal.writing(store):
        _Known(settings, store).case(case_id)
        line = {"case_id": case_id, "day": str(local_today(settings)), "to": to.strip(), "by": by}
        if line != next(
            (
                known
                for known in reversed(store.read_lines(outcome_journal.ASSIGNMENTS))
                if known["case_id"] == case_id
            ),
            None,
        ):
            store.append_line(outcome_journal.ASSIGNMENTS, line)
        AuditLog(store).append("assign", case=case_id, to=to.strip(), by=by)
    return _publish(settings, store)


def reveal(settings: Settings, case_id: str, reason: str, by: str) -> str:
    """The id behind a case's code; whoever asks, and why, is logged before it is told. Raises NotFound, NotRecorded."""
    store = _ready(settings)
    _plain("--reason", reason)
    _plain("--by", by)
    household = _Known(settings, store).case(case_id)["household"]
    found = pseudonyms.reveal_id(settings, household)
    AuditLog(store).append("reveal", case=case_id, reason=reason.strip(), by=by.strip())
    return found


def meter(store: Store, now: dt.datetime) -> list[str]:
    """Warnings where deciding has become a formality: many within a minute, or nearly all of them confirmed."""
    made = [
        line
        for line in store.read_lines(outcome_journal.OUTCOMES)
        if line.get("how") == "decide" and line["outcome"] in ("confirmed", "benign", "contested")
    ]
    told = []
    recent = [
        line for line in made if (now - dt.datetime.fromisoformat(line["recorded"])).total_seconds() <= 60
    ]
    if len(recent) >= HASTE:
        told.append(
            f"warning: {len(recent)} decisions were recorded within a minute; each should rest on a look at its case page"
        )
    last = [line["outcome"] for line in made[-LATEST:]]
    if len(last) == LATEST and last.count("confirmed") >= NEARLY_ALL * LATEST:
        told.append(
            f"warning: {last.count('confirmed')} of the last {LATEST} decisions are confirmed; a list that is nearly always accepted is not being looked at"
        )
    return told


def _ready(settings: Settings) -> Store:
    store = Store(settings.store)
    if not store.judged_nights():
        raise NotFound(f"{store.folder}: no night has been judged; run `anomaly nightly --settings …` first")
    store.prepare()
    return store


class _Known:
    """The cases and control doors there are, with what was promised of each."""

    def __init__(self, settings: Settings, store: Store):
        self.settings, self.store = settings, store
        folded = fold(settings, store)
        self.latest = max(store.judged_nights())
        self.cases = {row["case_id"]: row for row in folded.cases.iter_rows(named=True)}
        self.cases |= {
            row["case_id"]: row | {"signature": "control", "listed": None}
            for row in control_doors(store).iter_rows(named=True)
        }
        self.doors = {
            row["case_id"]: row for row in folded.worklist.filter("first_listed").iter_rows(named=True)
        }
        # what an answer itself took off its list, or a prune with its night, the journal still knows
        self.doors = {
            line["case_id"]: {"night": line["listed"]} | line
            for line in outcome_journal.read_outcomes(store)
            if line.get("listed")
        } | self.doors
        self.places = {
            row["household"]: row for row in outcome_journal.register(settings, store).iter_rows(named=True)
        }

    def case(self, case_id: str) -> dict:
        if case_id in self.cases:
            return self.cases[case_id]
        # judging earlier nights again may have given a case another code; the one that people hold in their hands still counts
        if night := last_night_of(self.store, case_id):
            return frozen_case(self.store, case_id, night)
        raise NotFound(f"{case_id}: no such case; `anomaly worklist` and v1.cases list them")

    def line(self, said: Said) -> dict:
        """The journal's line: what was said, of what, what had been promised of it, and from which night on it is known."""
        case = self.case(said.case_id)
        self._check(said)
        door = self.doors.get(said.case_id) or case | {"night": case["listed"]}
        place = self.places.get(case["household"], {})
        # a list that somebody works from is not changed under their hands, but for what had been found out before it
        since = self.latest if said.day <= self.latest else self.latest + dt.timedelta(days=1)
        facts = {
            "household": case["household"],
            "signature": case["signature"],
            "district": place.get("district"),
            "class": place.get("class"),
        }
        facts |= {name: door.get(name) for name in ("chance_before", "chance_wrong")} | {
            "listed": door.get("night"),
            "since": since,
        }
        told = {
            "case_id": said.case_id,
            "day": said.day,
            "outcome": said.outcome,
            "reason": said.reason.strip(),
            "by": said.by or None,
            "minutes": said.minutes,
        }
        recorded = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
        return {name: str(v) if isinstance(v, dt.date) else v for name, v in (told | facts).items()} | {
            "recorded": recorded
        }

    def _check(self, said: Said) -> None:
        if said.outcome not in OUTCOMES:
            raise NotRecorded(f"outcome {said.outcome!r} is not there; choose from {', '.join(OUTCOMES)}")
        if said.day > local_today(self.settings):
            raise NotRecorded(f"day {said.day} lies in the future; give the day of the visit")
        if said.minutes is not None and not 0 <= said.minutes < 100_000:
            raise NotRecorded(f"minutes = {said.minutes}; write how many minutes it took")
        _plain("reason", said.reason)


def _plain(name: str, text: str) -> None:
    """A text that says something and does not carry a person's number into the store."""
    if not text.strip():
        raise NotRecorded(f"{name} is empty; a person decides, and says why in a few words")
    if found := find_personal_columns(pl.DataFrame({"text": [text]})):
        raise NotRecorded(f"{name} {found['text']}; leave it out: the store keeps nothing of the kind")


def _rows(path: Path) -> list[dict]:
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
    names = {"case_id" if name.strip() == "case" else name.strip(): name for name in rows.fieldnames or []}
    if missing := [name for name in ("case_id", "day", "outcome", "reason") if name not in names]:
        raise NotRecorded(
            f"{path}: has no column {missing[0].removesuffix('_id')}; give case, day, outcome, reason and, where known, by and minutes"
        )
    return [{name: (row[column] or "").strip() for name, column in names.items()} for row in rows]


def _said(row: dict) -> Said:
    try:
        day = dt.date.fromisoformat(row["day"])
        minutes = int(row["minutes"]) if row.get("minutes") else None
    except ValueError:
        raise NotRecorded(
            "day is not YYYY-MM-DD, or minutes is not a whole number; correct the row and import the file again"
        ) from None
    return Said(row["case_id"], row["outcome"], row["reason"], day, row.get("by") or None, minutes)


def _mark(line: dict) -> tuple:
    return tuple(line.get(name) for name in ("case_id", "day", "outcome", "reason", "by", "minutes"))


def _publish(settings: Settings, store: Store) -> Sequence[str]:
    """Swap the published file for one that knows the journals; returns a line where that has to wait."""
    try:
        with store.locked(LOCK_SECONDS):
            if not duckdb_file.is_readable(settings.store):
                return [
                    f"recorded; {settings.store} cannot be read: run `anomaly nightly --settings …`, which publishes it anew"
                ]
            frames = outcome_frames(settings, store, fold(settings, store))
            exported = parquet_export.is_up_to_date(settings)
            duckdb_file.replace_tables(settings.store, frames)
            return parquet_export.sync_parquet_export(settings, frames.keys() if exported else None)
    except StoreLocked:
        return ["recorded; another run holds the lock, and the file shows it after the next run"]
    return []
