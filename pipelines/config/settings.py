"""Read the settings file: TOML in, frozen dataclasses out.

Names and defaults are those of `sections` and of the rules in `anomaly`. This module reads the file, refuses
what it does not know with a guess, and checks what the dataclasses cannot check by themselves.
"""

import dataclasses
import datetime as dt
import difflib
import hashlib
import math
import os
import re
import tomllib
import types
import typing
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
import polars as pl

from anomaly.cases import CaseRules, WorklistRules
from anomaly.detectors import REGISTER, DetectorRules
from anomaly.evidence import EvidenceRules, signature_of
from anomaly.expected import ExpectedRules
from anomaly.messages import CONTROL_SIGNS
from anomaly.outcomes import AccountRules
from anomaly.readings import SIGNAL_KINDS, SignalRule, base_unit
from pipelines.config.sections import (
    FILE_COLUMN,
    MADE_COLUMNS,
    PASSAGE_COLUMN,
    ControlSection,
    EngineSection,
    HouseholdsSection,
    LimitsSection,
    NotifySection,
    PseudonymsSection,
    PublishSection,
    PurposeSection,
    RetentionSection,
    SettingsFile,
    SignalSection,
    SiteSection,
    Source,
)
from pipelines.errors import SettingsError


@dataclasses.dataclass(frozen=True)
class Settings:
    """Everything a run is governed by. Paths are absolute."""

    path: Path
    """The settings file."""
    root: Path
    """The folder of the settings file."""
    sha256: str
    """Hash of the file's bytes."""
    site: SiteSection
    purpose: PurposeSection
    store: Path
    """The published file."""
    reports: Path
    """The folder of the pages."""
    sources: Mapping[str, Source]
    """Signal → its files, by name."""
    rules: Mapping[str, SignalRule]
    """Signal → how its rows are read, by name."""
    households: Source | None
    """The files of the register, if there is one."""
    worklist: WorklistRules
    expected: ExpectedRules
    detectors: DetectorRules
    evidence: EvidenceRules
    cases: CaseRules
    account: AccountRules
    control: ControlSection
    pseudonyms: PseudonymsSection | None
    retention: RetentionSection
    limits: LimitsSection
    notify: NotifySection
    publish: PublishSection
    engine: EngineSection


def real_path(path: Path) -> Path:
    """Return the absolute path with its links followed; those in a circle lead nowhere and stay."""
    return Path(os.path.realpath(path))


def load_settings(path: Path) -> Settings:
    """Read and check a settings file.

    Raises SettingsError in one line for an unreadable file, an unknown name (with a guess), a wrong type or a
    value that cannot be used. The purpose's end is checked by `check_purpose`, since it depends on the day of
    the run.
    """
    raw = _read_bytes(path)
    try:
        tree = tomllib.loads(raw.decode("utf-8-sig"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: not readable as TOML ({error}); correct that line") from None
    _refuse_control_signs(tree, "", path)
    _refuse_unknown_names(tree, SettingsFile, "", path)
    if "purpose" not in tree:
        needs = "state name, legal_basis, owner, contact, expires and signatures"
        raise SettingsError(f"{path}: [purpose] is missing; {needs}: nothing runs without it")
    try:
        file = msgspec.convert(tree, SettingsFile)
    except msgspec.ValidationError as error:
        what = str(error).replace("$.", "")
        raise SettingsError(
            f"{path}: {what}; see `anomaly init` for every setting with its default"
        ) from None
    _check_file(file, path)
    root = real_path(path).parent
    signals = sorted(file.signals.items())
    return Settings(
        path=real_path(path),
        root=root,
        sha256=hashlib.sha256(raw).hexdigest(),
        site=file.site,
        purpose=file.purpose,
        store=real_path(root / file.store.path),
        reports=real_path(root / file.reports.path),
        sources={name: _signal_source(name, section, file.limits, file.site) for name, section in signals},
        rules={name: _rule_of_file(name, file) for name, _ in signals},
        households=_register_source(file.households, file.limits) if file.households else None,
        worklist=file.worklist,
        expected=file.expected,
        detectors=file.detectors,
        evidence=file.evidence,
        cases=file.cases,
        account=file.account,
        control=file.control,
        pseudonyms=file.pseudonyms,
        retention=file.retention,
        limits=file.limits,
        notify=file.notify,
        publish=file.publish,
        engine=file.engine,
    )


def check_purpose(settings: Settings, today: dt.date) -> None:
    """Raise SettingsError after the purpose has expired."""
    if today > settings.purpose.expires:
        remedy = "a run needs a purpose in force: have it renewed, then set a new `expires`"
        raise SettingsError(f"[purpose] expired on {settings.purpose.expires}; {remedy}")


def listed_signatures(settings: Settings) -> list[str]:
    """Return the kinds of case that may be listed, sorted: those of the purpose that the signals can make."""
    possible = [signature_of(name) for name in settings.rules]
    if len(settings.rules) > 1:
        possible.append("people")
    return [signature for signature in sorted(possible) if signature in settings.purpose.signatures]


def _read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        remedy = "name the settings file with --settings, or make one with `anomaly init DIR`"
        raise SettingsError(f"{path}: cannot be read ({error.strerror}); {remedy}") from None


# names


def _refuse_unknown_names(tree: object, kind: object, where: str, path: Path) -> None:
    """Walk the tree beside its dataclass `kind`, and refuse the first name that is not a field."""
    if isinstance(kind, types.UnionType):
        kind = next(k for k in typing.get_args(kind) if k is not type(None))
    if typing.get_origin(kind) is Mapping and isinstance(tree, Mapping):
        for name, branch in tree.items():
            _refuse_unknown_names(branch, typing.get_args(kind)[1], f"{where}.{name}".strip("."), path)
        return
    if not dataclasses.is_dataclass(kind) or not isinstance(tree, Mapping):
        return
    hints = typing.get_type_hints(kind)
    for name, branch in tree.items():
        if name not in hints:
            what = f"name `{name}` in [{where}]" if where else f"section [{name}]"
            raise SettingsError(f"{path}: unknown {what}; {_guess(name, sorted(hints), 'known here')}")
        _refuse_unknown_names(branch, hints[name], f"{where}.{name}".strip("."), path)


def _refuse_control_signs(tree: object, where: str, path: Path) -> None:
    """Refuse a text with signs such as NUL and escape, which no page, path or terminal is to get.

    A separator may be one: some exports are written so.
    """
    if isinstance(tree, Mapping):
        for name, branch in tree.items():
            _refuse_control_signs(name, where, path)
            if name != "separator":
                _refuse_control_signs(branch, f"{where}.{name}".strip("."), path)
    elif isinstance(tree, list):
        for item in tree:
            _refuse_control_signs(item, where, path)
    elif isinstance(tree, str) and (found := CONTROL_SIGNS.search(tree)):
        raise SettingsError(f"{path}: [{where}] has the control sign {ascii(found[0])}; write plain text")


def _guess(name: str, known: Iterable[str], otherwise: str) -> str:
    """Return which known name was meant, or all of them where none is close."""
    known = list(known)
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"did you mean `{close[0]}`?" if close else f"{otherwise}: {', '.join(known)}"


# values that the dataclasses cannot check by themselves

_Refuse = Callable[[str], typing.NoReturn]
"""Raises SettingsError with the path of the file before the message."""

_SIGNAL_ROLES = ("clock", "exits", "household", "meter", "periods", "read_type", "time", "unit", "value")
_ROLES_OF_ROWS = frozenset({"meter", "read_type", "unit"})
"""They may stand beside a column for each period: what is so of a row is so of each of its cells."""
EVENT = "event"
"""The kind of a signal whose rows are passages: a count, once they are counted."""
_REGISTER_ROLES = ("building", "class", "district", "household", "moved_in", "moved_out", "residents")
_PLACEHOLDER = re.compile(r"State (?:what|the|who|where)\b")  # of the reference; "State Grid" is an owner
_MAX_NAME_LENGTH = 40
_MAX_NUMBER, _MAX_DAYS = 1e12, 36_500  # beyond them sums and dates overflow


def _check_file(file: SettingsFile, path: Path) -> None:
    def refuse(what: str) -> typing.NoReturn:
        raise SettingsError(f"{path}: {what}")

    if not file.signals:
        refuse("no [signals.NAME] section; name at least one source of counts, usage or registers")
    _check_purpose_filled_in(file.purpose, refuse)
    _check_site(file.site, refuse)
    if not file.store.path.endswith(".duckdb"):
        refuse(f"[store] path = {file.store.path!r} must end in .duckdb")
    _check_numbers(file, refuse)
    for name, section in file.signals.items():
        _check_signal(name, section, file.site.timezone, refuse)
        if section.household_from_file and file.pseudonyms:
            refuse(
                f"[signals.{name}] household_from_file: names of files are kept, and with them the ids that "
                "[pseudonyms] is to hide; give the ids a column of their own"
            )
    if file.households:
        _check_separator(file.households.separator, "[households]", refuse)
        _check_columns(file.households.columns, ("household",), _REGISTER_ROLES, "[households]", refuse)
        _check_names(file.households.ids, file.signals, "[households] ids", refuse)
    signatures = list(dict.fromkeys(["people", "door", "water", "power", *map(signature_of, file.signals)]))
    _check_names(file.purpose.signatures, signatures, "[purpose] signatures", refuse)
    _check_names(file.worklist.desks, signatures, "[worklist] desks", refuse)
    desks = [file.worklist.desk_of(signature) for signature in signatures]
    _check_names(file.worklist.desk_capacity, desks, "[worklist] desk_capacity", refuse)
    if negative := min([*file.worklist.desk_capacity.values(), 0]):
        refuse(f"[worklist] desk_capacity = {negative}; write a number that is not below 0")
    _check_names([*file.detectors.use, *file.detectors.second_opinion], REGISTER, "[detectors]", refuse)


def _check_purpose_filled_in(purpose: PurposeSection, refuse: _Refuse) -> None:
    """Refuse a field that is empty or as `anomaly init` wrote it."""
    for name in ("name", "legal_basis", "owner", "contact"):
        text = getattr(purpose, name).strip()
        if not text:
            refuse(f"[purpose] {name} is empty; fill it in: nothing runs without it")
        if _PLACEHOLDER.match(text):
            refuse(f"[purpose] {name} still reads {text!r}; fill it in: nothing runs without it")
    if not purpose.signatures:
        refuse("[purpose] signatures is empty; name at least one kind of case that may be listed")


def _check_site(site: SiteSection, refuse: _Refuse) -> None:
    try:
        ZoneInfo(site.timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # OSError: "Asia" is a folder of zones
        refuse(f'[site] timezone = {site.timezone!r} is not an IANA zone; write for example "Asia/Shanghai"')
    if unknown := set(site.languages) - {"en", "zh"}:
        refuse(f"[site] languages: {', '.join(sorted(unknown))} is not there; choose from en, zh")
    if not site.languages:
        refuse("[site] languages is empty; choose from en, zh")


def _check_numbers(file: SettingsFile, refuse: _Refuse) -> None:
    """Refuse a number below zero, without end, or beyond what a date or a sum can hold."""
    sections: dict[str, object] = {f"signals.{name}": section for name, section in file.signals.items()}
    for field in dataclasses.fields(file):
        section = getattr(file, field.name)
        if dataclasses.is_dataclass(section):
            sections[field.name] = section
    for where, section in sections.items():
        for name, value in vars(section).items():
            if not isinstance(value, int | float):
                continue
            largest = _MAX_DAYS if name.endswith("_days") else _MAX_NUMBER
            if not math.isfinite(value) or value > largest:
                refuse(f"[{where}] {name} = {value}; write a number of at most {largest:,.0f}")
            if value < 0:
                refuse(f"[{where}] {name} = {value}; write a number that is not below 0")


def _check_signal(name: str, section: SignalSection, timezone: str, refuse: _Refuse) -> None:
    where = f"[signals.{name}]"
    if not name.isidentifier() or name in ("all", "people", "door", "households"):
        named = "a signal is named in letters, digits and _, and not all, people, door or households"
        refuse(f"{where}: {named}")
    if len(name) > _MAX_NAME_LENGTH:
        refuse(f"{where}: the name has {len(name)} characters; choose one of at most {_MAX_NAME_LENGTH}")
    if section.kind not in (*SIGNAL_KINDS, EVENT):
        refuse(f"{where} kind = {section.kind!r}; choose count, usage, register or event")
    if section.stamp not in ("start", "end"):
        refuse(f"{where} stamp = {section.stamp!r}; choose start or end")
    if section.periods and not section.periods_per_day:
        refuse(f"{where} periods needs periods_per_day (how many make a whole day)")
    if section.time_format is not None and not _reads_days(section.time_format):
        remedy = 'write for example "%d/%m/%Y %H:%M:%S", or leave it out for ISO'
        refuse(f"{where} time_format = {section.time_format!r} reads no day; {remedy}")
    _check_separator(section.separator, where, refuse)
    _check_cells(section, where, refuse)
    try:
        _signal_rule(name, section, timezone)
    except ValueError as error:
        refuse(f"{where}: {error}")
    _check_shape(section, where, refuse)
    made = _made_columns(section)
    needed = [role for role in ("household", "time", "value") if role not in made]
    _check_columns(section.columns, needed, _SIGNAL_ROLES, where, refuse)


def _check_shape(section: SignalSection, where: str, refuse: _Refuse) -> None:
    """Refuse an unknown shape, and what has no meaning beside it."""
    if section.shape not in MADE_COLUMNS:
        refuse(f"{where} shape = {section.shape!r}; choose {', '.join(MADE_COLUMNS)}")
    if section.header_row < 1:
        refuse(f"{where} header_row = {section.header_row}; rows are counted from 1")
    _check_household_from_file(section, where, refuse)
    if section.kind == EVENT and (section.shape != "long" or section.unit != "count"):
        refuse(f"{where} kind = {EVENT!r}: a row is one passage; take out shape and unit")
    if section.kind == EVENT and (further := sorted({"value", "exits", "periods"} & section.columns.keys())):
        refuse(f"{where} kind = {EVENT!r}: a row is one passage; take out columns.{further[0]}")
    if section.shape == "long":
        return
    allowed = {"time", "household"} - MADE_COLUMNS[section.shape].keys()
    beside = _ROLES_OF_ROWS | ({"clock"} if section.shape == "meters" else set())
    if further := sorted(section.columns.keys() - allowed - beside):
        what = f"shape = {section.shape!r} finds {further[0]} by itself"
        write = (
            f"write columns = {{ {' = …, '.join(sorted(allowed))} = … }}" if allowed else "take columns out"
        )
        refuse(f"{where} columns: {what}; {write}")
    if section.shape == "nem12":
        if section.kind != "usage" or section.stamp != "start" or section.unit not in ("Wh", "kWh", "MWh"):
            refuse(f'{where} shape = "nem12" has kind = "usage", unit = "kWh" (Wh, MWh) and stamp = "start"')
        if section.time_format or section.household_from_file or section.header_row != 1:
            refuse(f'{where} shape = "nem12": take out time_format, household_from_file and header_row')
    if section.periods:
        refuse(f"{where} periods has no meaning with shape = {section.shape!r}; take it out")


def _check_household_from_file(section: SignalSection, where: str, refuse: _Refuse) -> None:
    pattern = section.household_from_file
    if pattern is None:
        return
    try:
        groups = re.compile(pattern).groups
    except re.error as error:
        refuse(
            f"{where} household_from_file = {pattern!r} is no pattern ({error}); "
            "write for example 'meter_(\\d+)'"
        )
    if groups > 1:
        refuse(
            f"{where} household_from_file = {pattern!r} has {groups} groups; put brackets round the id alone"
        )
    if "household" in section.columns or section.shape == "meters":
        refuse(f"{where} household_from_file: the id stands in the file already; take one of them out")


def _check_cells(section: SignalSection, where: str, refuse: _Refuse) -> None:
    """Refuse settings of cells that need a column which is not mapped, and columns that need a setting."""
    for setting, role in (("combine", "meter"), ("keep", "meter"), ("actual", "read_type")):
        if getattr(section, setting) and role not in section.columns:
            refuse(f'{where} {setting} needs columns = {{ {role} = "name in the file", … }}')
    if "read_type" in section.columns and not section.actual:
        refuse(
            f'{where} columns.read_type needs actual = ["A"]: the words of readings that are not estimated'
        )
    if "meter" in section.columns and section.kind != "register" and not (section.combine or section.keep):
        remedy = 'write combine = "sum", or keep = ["a word of it"]'
        refuse(f"{where} columns.meter needs to know what to do with several meters; {remedy}")
    if "unit" in section.columns and section.unit == "count":
        refuse(f'{where} columns.unit needs unit = "kWh" or another: what rows without one are in')


def _check_separator(separator: str, where: str, refuse: _Refuse) -> None:
    if len(separator) != 1:
        refuse(f'{where} separator = {separator!r}; write exactly one character, for example ";"')


def _reads_days(time_format: str) -> bool:
    """Return whether a time in this format is read back, at least to its year, with or without a zone."""
    moment = pl.Series([dt.datetime(2026, 8, 31, 13, 45)])
    for zone in (None, "UTC"):
        try:
            text = moment.dt.replace_time_zone(zone).dt.strftime(time_format)
            times = text.str.to_datetime(time_format, strict=False, time_unit="us", time_zone=zone)
        except pl.exceptions.PolarsError:
            continue
        if times.dt.year().item() == 2026:
            return True
    return False


def _check_names(names: Iterable[str], known: Iterable[str], where: str, refuse: _Refuse) -> None:
    known = list(known)
    for name in names:
        if name not in known:
            refuse(f"{where}: unknown `{name}`; {_guess(name, known, 'known')}")


def _check_columns(
    columns: Mapping[str, str],
    needed: Collection[str],
    known: Collection[str],
    where: str,
    refuse: _Refuse,
) -> None:
    if missing := sorted(set(needed) - set(columns)):
        remedy = f'write columns = {{ {missing[0]} = "name in the file", … }}'
        refuse(f"{where} columns: {', '.join(missing)} is not mapped; {remedy}")
    for role in columns:
        if role not in known:
            refuse(f"{where} columns: unknown role `{role}`; {_guess(role, known, 'known')}")


# sections as the readers of files take them


def _made_columns(section: SignalSection) -> dict[str, str]:
    """Return role → column of the columns that are made as a file is read."""
    made = dict(MADE_COLUMNS[section.shape])
    if section.household_from_file:
        made["household"] = FILE_COLUMN
    if section.kind == EVENT:
        made["value"] = PASSAGE_COLUMN
    return made


def _signal_source(name: str, section: SignalSection, limits: LimitsSection, site: SiteSection) -> Source:
    periods = {"periods": section.periods} if section.periods else {}
    return Source(
        name=name,
        files=section.files,
        columns=dict(section.columns) | periods | _made_columns(section),
        separator=section.separator,
        decimal=section.decimal,
        encoding=section.encoding,
        shape=section.shape,
        header_row=section.header_row,
        household_from_file=section.household_from_file,
        unit=section.unit,
        stamp=section.stamp,
        time_format=section.time_format,
        timezone=section.timezone or site.timezone,
        sheet=section.sheet,
        max_bytes=limits.file_mb << 20,
    )


def _rule_of_file(name: str, file: SettingsFile) -> SignalRule:
    """Return how a signal is read; the meters of a home that has several ids of its own are summed."""
    rule = _signal_rule(name, file.signals[name], file.site.timezone)
    has_own_ids = file.households is not None and name in file.households.ids
    return dataclasses.replace(rule, combine="sum") if has_own_ids else rule


def _signal_rule(name: str, section: SignalSection, timezone: str) -> SignalRule:
    factor = base_unit(section.unit)[1]
    return SignalRule(
        name=name,
        kind="count" if section.kind == EVENT else section.kind,
        events=section.kind == EVENT,
        unit=section.unit,
        # the times of periods are made of the days, and written as ISO
        time_format=section.time_format if section.shape != "intervals" else None,
        stamp=section.stamp,
        periods_per_day=section.periods_per_day,
        decimal=section.decimal,
        timezone=timezone,
        source_timezone=section.timezone,
        max_per_day=None if section.max_per_day is None else round(section.max_per_day * factor),
        boundary_hours=section.boundary_hours,
        combine=section.combine,
        keep=section.keep,
        actual=section.actual,
        absent=section.absent,
        multiplier=section.multiplier,
        restarts=section.restarts,
    )


def _register_source(section: HouseholdsSection, limits: LimitsSection) -> Source:
    return Source(
        name="households",
        files=section.files,
        columns=dict(section.columns) | {f"id:{signal}": column for signal, column in section.ids.items()},
        separator=section.separator,
        encoding=section.encoding,
        max_bytes=limits.file_mb << 20,
    )
