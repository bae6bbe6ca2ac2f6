"""The settings file: TOML in, the rooms' own frozen dataclasses out.

Names and defaults live with the rooms; this module only reads, refuses what it does not know (with a guess) and
checks that the purpose is in force.
"""

import dataclasses
import datetime as dt
import difflib
import hashlib
import math
import re
import tomllib
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
import polars as pl

from anomaly import evidence
from anomaly.cases import CaseRules, WorklistRules
from anomaly.detectors import REGISTER, DetectorRules
from anomaly.evidence import EvidenceRules, signature_of
from anomaly.expected import ExpectedRules
from anomaly.outcomes import AccountRules
from anomaly.readings import SignalRule, base_unit
from pipelines.config.sections import (
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
    """Everything a run is governed by. Paths are absolute; `sha256` is of the file's bytes."""

    root: Path
    sha256: str
    site: SiteSection
    purpose: PurposeSection
    store: Path
    reports: Path
    sources: Mapping[str, Source]
    rules: Mapping[str, SignalRule]
    households: Source | None
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

    @property
    def state(self) -> Path:
        """The folder that holds all state."""
        return self.store.parent

    @property
    def signal_kinds(self) -> dict[str, str]:
        return {name: rule.kind for name, rule in self.rules.items()}


def load_settings(path: Path) -> Settings:
    """Read and check a settings file.

    Raises SettingsError in one line for an unreadable file, an unknown name (with a guess), a wrong type or a value
    that cannot be used. The purpose's end is checked by `check_purpose`, since it depends on the day of the run.
    """
    raw = _read(path)
    try:
        tree = tomllib.loads(raw.decode("utf-8-sig"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: not readable as TOML ({error}); correct that line") from None
    _refuse_unknown(tree, SettingsFile, "", path)
    if "purpose" not in tree:
        raise SettingsError(
            f"{path}: [purpose] is missing; state name, legal_basis, owner, contact, expires and signatures: nothing runs without it"
        )
    try:
        file = msgspec.convert(tree, SettingsFile)
    except msgspec.ValidationError as error:
        raise SettingsError(
            f"{path}: {str(error).replace('$.', '')}; see `anomaly init` for every setting with its default"
        ) from None
    _check(file, path)
    root = path.resolve().parent
    return Settings(
        root=root,
        sha256=hashlib.sha256(raw).hexdigest(),
        site=file.site,
        purpose=file.purpose,
        store=(root / file.store.path).resolve(),
        reports=(root / file.reports.path).resolve(),
        sources={name: _source(name, section, file.limits) for name, section in sorted(file.signals.items())},
        rules={
            name: _rule(name, section, file.site.timezone) for name, section in sorted(file.signals.items())
        },
        households=_register(file.households, file.limits),
        **{
            f: getattr(file, f)
            for f in (
                "worklist",
                "expected",
                "detectors",
                "evidence",
                "cases",
                "account",
                "control",
                "pseudonyms",
                "retention",
                "limits",
                "notify",
                "publish",
                "engine",
            )
        },
    )


def check_purpose(settings: Settings, today: dt.date) -> None:
    """Refuse to run after the purpose has expired."""
    if today > settings.purpose.expires:
        raise SettingsError(
            f"[purpose] expired on {settings.purpose.expires}; a run needs a purpose in force: have it renewed, then set a new `expires`"
        )


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SettingsError(
            f"{path}: cannot be read ({error.strerror}); name the settings file with --settings, or make one with `anomaly init DIR`"
        ) from None


def _refuse_unknown(tree: object, kind: object, where: str, path: Path) -> None:
    """Walk the tree beside its dataclasses; the first name that is not a field is refused with a guess."""
    if isinstance(kind, types.UnionType):
        kind = next(k for k in typing.get_args(kind) if k is not type(None))
    if typing.get_origin(kind) is Mapping and isinstance(tree, Mapping):
        for name, branch in tree.items():
            _refuse_unknown(branch, typing.get_args(kind)[1], f"{where}.{name}".strip("."), path)
        return
    if not dataclasses.is_dataclass(kind) or not isinstance(tree, Mapping):
        return
    hints = typing.get_type_hints(kind)
    for name, branch in tree.items():
        if name not in hints:
            guess = difflib.get_close_matches(name, hints, n=1, cutoff=0.5)
            hint = f"did you mean `{guess[0]}`?" if guess else f"known here: {', '.join(sorted(hints))}"
            raise SettingsError(
                f"{path}: unknown name `{name}` in [{where}]; {hint}"
                if where
                else f"{path}: unknown section [{name}]; {hint}"
            )
        _refuse_unknown(branch, hints[name], f"{where}.{name}".strip("."), path)


_ROLES = {"household", "time", "value", "exits", "periods"}
_REGISTER_ROLES = {"household", "building", "district", "residents", "class", "moved_in"}
_PLACEHOLDER = re.compile(r"State (?:what|the|who|where)\b")  # of the reference; "State Grid" is an owner
_LONGEST_NAME = 40
_MOST, _MOST_DAYS = 1e12, 36_500  # beyond them sums and dates overflow


def _check(file: SettingsFile, path: Path) -> None:
    def refuse(what: str) -> typing.NoReturn:
        raise SettingsError(f"{path}: {what}")

    if not file.signals:
        refuse("no [signals.NAME] section; name at least one source of counts, usage or registers")
    _check_purpose_said(file.purpose, refuse)
    try:
        ZoneInfo(file.site.timezone)
    except (
        ZoneInfoNotFoundError,
        ValueError,
        OSError,
    ):  # OSError: the name of a folder of zones, like "Asia"
        refuse(
            f'[site] timezone = {file.site.timezone!r} is not an IANA zone; write for example "Asia/Shanghai"'
        )
    if unknown := set(file.site.languages) - {"en", "zh"}:
        refuse(f"[site] languages: {', '.join(sorted(unknown))} is not there; choose from en, zh")
    if not file.site.languages:
        refuse("[site] languages is empty; choose from en, zh")
    if not file.store.path.endswith(".duckdb"):
        refuse(f"[store] path = {file.store.path!r} must end in .duckdb")
    _check_numbers(file, refuse)
    for name, section in file.signals.items():
        _check_signal(name, section, file.site.timezone, refuse)
    if file.households:
        _check_separator(file.households.separator, "[households]", refuse)
        _check_columns(file.households.columns, {"household"}, _REGISTER_ROLES, "[households]", refuse)
    kinds = list(dict.fromkeys(["people", "door", "water", "power", *map(signature_of, file.signals)]))
    _check_names(file.purpose.signatures, kinds, "[purpose] signatures", refuse)
    _check_names(file.worklist.desks, kinds, "[worklist] desks", refuse)
    desks = [file.worklist.desk_of(kind) for kind in kinds]
    _check_names(file.worklist.desk_capacity, desks, "[worklist] desk_capacity", refuse)
    if least := min([*file.worklist.desk_capacity.values(), 0]):
        refuse(f"[worklist] desk_capacity = {least}; write a number that is not below 0")
    _check_names([*file.detectors.use, *file.detectors.second_opinion], REGISTER, "[detectors]", refuse)


def _check_purpose_said(purpose: PurposeSection, refuse) -> None:
    """Every field filled in by somebody: not empty, nor what `anomaly init` wrote there."""
    for name in ("name", "legal_basis", "owner", "contact"):
        said = getattr(purpose, name).strip()
        if not said:
            refuse(f"[purpose] {name} is empty; fill it in: nothing runs without it")
        if _PLACEHOLDER.match(said):
            refuse(f"[purpose] {name} still reads {said!r}; fill it in: nothing runs without it")
    if not purpose.signatures:
        refuse("[purpose] signatures is empty; name at least one kind of case that may be listed")


def _check_signal(name: str, section: SignalSection, timezone: str, refuse) -> None:
    where = f"[signals.{name}]"
    if not name.isidentifier() or name in ("all", "people", "door", "households"):
        refuse(
            f"{where}: a signal is named in letters, digits and _, and not all, people, door or households"
        )
    if len(name) > _LONGEST_NAME:
        refuse(f"{where}: the name has {len(name)} characters; choose one of at most {_LONGEST_NAME}")
    if section.kind not in ("count", "usage", "register"):
        refuse(f"{where} kind = {section.kind!r}; choose count, usage or register")
    if section.stamp not in ("start", "end"):
        refuse(f"{where} stamp = {section.stamp!r}; choose start or end")
    if section.periods and not section.periods_per_day:
        refuse(f"{where} periods needs periods_per_day (how many make a whole day)")
    if section.time_format is not None and not _reads_times(section.time_format):
        refuse(
            f'{where} time_format = {section.time_format!r} reads no day; write for example "%d/%m/%Y %H:%M:%S", or leave it out for ISO'
        )
    _check_separator(section.separator, where, refuse)
    try:
        _rule(name, section, timezone)
    except ValueError as error:
        refuse(f"{where}: {error}")
    _check_columns(section.columns, {"household", "time", "value"}, _ROLES, where, refuse)


def _check_separator(separator: str, where: str, refuse) -> None:
    if len(separator) != 1:
        refuse(f'{where} separator = {separator!r}; write exactly one character, for example ";"')


def _reads_times(form: str) -> bool:
    """Whether a time written in this form is read back, at least to its year; zones may be asked for or not."""
    moment = pl.Series([dt.datetime(2026, 8, 31, 13, 45)])
    for zone in (None, "UTC"):
        try:
            text = moment.dt.replace_time_zone(zone).dt.strftime(form)
            read = text.str.to_datetime(form, strict=False, time_unit="us", time_zone=zone).dt.year().item()
        except pl.exceptions.PolarsError:
            continue
        if read == 2026:
            return True
    return False


def _check_names(names, known, where, refuse) -> None:
    for name in names:
        if name not in known:
            guess = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
            refuse(
                f"{where}: unknown `{name}`; "
                + (f"did you mean `{guess[0]}`?" if guess else f"known: {', '.join(known)}")
            )


def _check_numbers(file: SettingsFile, refuse) -> None:
    """No setting means anything below zero, without end, or beyond what a date or a sum can hold."""
    sections = {f"signals.{name}": section for name, section in file.signals.items()}
    sections |= {
        f.name: getattr(file, f.name)
        for f in dataclasses.fields(file)
        if dataclasses.is_dataclass(getattr(file, f.name))
    }
    for where, section in sections.items():
        for name, value in vars(section).items():
            if not isinstance(value, int | float):
                continue
            most = _MOST_DAYS if name.endswith("_days") else _MOST
            if not math.isfinite(value) or value > most:
                refuse(f"[{where}] {name} = {value}; write a number of at most {most:,.0f}")
            if value < 0:
                refuse(f"[{where}] {name} = {value}; write a number that is not below 0")


def _check_columns(columns, needed, known, where, refuse) -> None:
    if missing := sorted(needed - set(columns)):
        refuse(
            f'{where} columns: {", ".join(missing)} is not mapped; write columns = {{ {missing[0]} = "name in the file", … }}'
        )
    for role in columns:
        if role not in known:
            guess = difflib.get_close_matches(role, known, n=1, cutoff=0.5)
            refuse(
                f"{where} columns: unknown role `{role}`; "
                + (f"did you mean `{guess[0]}`?" if guess else f"known: {', '.join(sorted(known))}")
            )


def _source(name: str, section: SignalSection, limits: LimitsSection) -> Source:
    columns = dict(section.columns) | ({"periods": section.periods} if section.periods else {})
    return Source(
        name,
        section.files,
        columns,
        section.separator,
        section.decimal,
        section.encoding,
        max_bytes=limits.file_mb << 20,
    )


def _rule(name: str, section: SignalSection, timezone: str) -> SignalRule:
    factor = base_unit(section.unit)[1]
    return SignalRule(
        name=name,
        kind=section.kind,
        unit=section.unit,
        time_format=section.time_format,
        stamp=section.stamp,
        periods_per_day=section.periods_per_day,
        decimal=section.decimal,
        timezone=timezone,
        max_per_day=None if section.max_per_day is None else round(section.max_per_day * factor),
        boundary_hours=section.boundary_hours,
    )


def _register(section: HouseholdsSection | None, limits: LimitsSection) -> Source | None:
    if section is None:
        return None
    return Source(
        "households",
        section.files,
        dict(section.columns),
        section.separator,
        ".",
        section.encoding,
        max_bytes=limits.file_mb << 20,
    )


def listed_signatures(settings: Settings) -> list[str]:
    """Kinds of case that may be listed: the purpose's, of those the signals can make."""
    possible = [evidence.signature_of(name) for name in settings.rules] + (
        ["people"] if len(settings.rules) > 1 else []
    )
    return [kind for kind in sorted(possible) if kind in settings.purpose.signatures]
