"""The sections of the settings file as frozen dataclasses, and the whole file.

The rules of the method (`[worklist]`, `[expected]`, `[detectors]` and others) are defined in `anomaly`,
beside what they govern. `reference.toml` shows every name with its default and the reason for it.
"""

import datetime as dt
import re
from collections.abc import Mapping
from dataclasses import astuple, dataclass, field
from pathlib import Path

from anomaly.cases import CaseRules, WorklistRules
from anomaly.detectors import DetectorRules
from anomaly.evidence import EvidenceRules
from anomaly.expected import ExpectedRules
from anomaly.outcomes import AccountRules
from pipelines.runtime.engine import KINDS, LOCAL, RAY

REFERENCE = Path(__file__).with_name("reference.toml")
"""The settings file that `anomaly init` writes: it shows every name with its default."""


MADE_COLUMNS: Mapping[str, Mapping[str, str]] = {
    "long": {},
    "intervals": {"value": "(value)"},
    "meters": {"household": "(meter)", "value": "(value)"},
    "nem12": {"household": "(NMI)", "time": "(time)", "value": "(value)"},
}
"""Shape of a table → role → the column that is made for it as the table is brought into the long shape."""
FILE_COLUMN = "(file)"
"""The column that is made of the id in a file's name."""
PASSAGE_COLUMN = "(passage)"
"""The column that is made for an event log: 1 in each row."""


@dataclass(frozen=True)
class SiteSection:
    """`[site]`: the site's name, calendar, time zone and languages."""

    name: str = "Site"
    calendar: str = "CN"
    timezone: str = "UTC"
    languages: tuple[str, ...] = ("en", "zh")


@dataclass(frozen=True)
class PurposeSection:
    """`[purpose]`: what the tool is run for, by whom and until when; nothing runs without it."""

    name: str
    legal_basis: str
    owner: str
    contact: str
    expires: dt.date
    signatures: tuple[str, ...]


@dataclass(frozen=True)
class StoreSection:
    """`[store]`: the path of the published file; all state is in its folder."""

    path: str


@dataclass(frozen=True)
class ReportsSection:
    """`[reports]`: the folder of the pages."""

    path: str = "out/reports"


@dataclass(frozen=True)
class HouseholdsSection:
    """`[households]`: the register of homes, role → column; ids: signal → column of the ids it has there."""

    files: str
    columns: Mapping[str, str]
    ids: Mapping[str, str] = field(default_factory=dict)
    separator: str = ","
    encoding: str = "auto"


@dataclass(frozen=True)
class SignalSection:
    """`[signals.NAME]`: where a signal's exports are and how they are read, role → column."""

    files: str
    kind: str
    columns: Mapping[str, str] = field(default_factory=dict)
    shape: str = "long"
    header_row: int = 1
    household_from_file: str | None = None
    unit: str = "count"
    separator: str = ","
    decimal: str = "."
    encoding: str = "auto"
    time_format: str | None = None
    timezone: str | None = None
    stamp: str = "start"
    periods: str | None = None
    periods_per_day: int | None = None
    max_per_day: float | None = None
    boundary_hours: float = 3.0
    combine: str | None = None
    keep: tuple[str, ...] = ()
    actual: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()
    multiplier: float = 1.0
    restarts: str | None = None
    sheet: str | None = None


@dataclass(frozen=True)
class LimitsSection:
    """`[limits]`: what a source may be before it is degraded or refused."""

    rejects_share: float = 0.01
    file_mb: int = 1024

    def __post_init__(self) -> None:
        if self.file_mb < 1:
            raise ValueError("file_mb = 0 would read nothing; write at least 1")
        if not 0 <= self.rejects_share <= 1:
            raise ValueError(f"rejects_share = {self.rejects_share}; a share lies between 0 and 1")


@dataclass(frozen=True)
class NotifySection:
    """`[notify]`: a command that is run when a run has ended, and how long it may take."""

    command: tuple[str, ...] = ()
    seconds: float = 30.0


@dataclass(frozen=True)
class PublishSection:
    """`[publish]`: how many days the published file holds, and whether it is exported as Parquet."""

    readings_days: int | None = None
    expected_days: int = 120
    parquet: bool = False


@dataclass(frozen=True)
class ControlSection:
    """`[control]`: homes that are drawn at random each night, to learn what is missed."""

    doors_per_night: int = 1


@dataclass(frozen=True)
class PseudonymsSection:
    """`[pseudonyms]`: the key with which ids are coded, and the private map from codes to ids."""

    key: str
    map: str = "private/pseudonyms.csv"


@dataclass(frozen=True)
class RetentionSection:
    """`[retention]`: for how many days each class of data is kept."""

    raw_days: int = 7
    readings_days: int = 1100
    nights_days: int = 730
    reports_days: int = 400

    def __post_init__(self) -> None:
        if min(astuple(self)) < 1:
            raise ValueError("0 days would keep nothing; write at least 1")


@dataclass(frozen=True)
class EngineSection:
    """`[engine]`: of how many homes a large site's sample is, and on which machines its homes are judged."""

    sample_homes: int = 5_000
    kind: str = LOCAL
    address: str = "auto"

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"kind = {self.kind!r}; choose {' or '.join(KINDS)}")
        if self.kind == LOCAL and self.address != "auto":
            remedy = f"write kind = {RAY!r}, or take the address out"
            raise ValueError(
                f"address = {self.address!r} is a cluster's, and kind = {LOCAL!r} uses none; {remedy}"
            )
        if self.address != "auto" and not re.fullmatch(r"[^\s/]+:\d{1,5}", self.address):
            remedy = "write auto, or host:port of the cluster's head, such as 10.0.0.1:6379"
            raise ValueError(f"address = {self.address!r}; {remedy}")
        if self.sample_homes < 100:
            raise ValueError(
                f"sample_homes = {self.sample_homes}; fewer than 100 homes say nothing of a site"
            )


@dataclass(frozen=True)
class SettingsFile:
    """The whole settings file, section by section, as it may be written."""

    purpose: PurposeSection
    store: StoreSection
    signals: Mapping[str, SignalSection]
    site: SiteSection = SiteSection()
    reports: ReportsSection = ReportsSection()
    households: HouseholdsSection | None = None
    worklist: WorklistRules = WorklistRules()
    expected: ExpectedRules = ExpectedRules()
    detectors: DetectorRules = DetectorRules()
    evidence: EvidenceRules = EvidenceRules()
    cases: CaseRules = CaseRules()
    account: AccountRules = AccountRules()
    control: ControlSection = ControlSection()
    pseudonyms: PseudonymsSection | None = None
    retention: RetentionSection = RetentionSection()
    limits: LimitsSection = LimitsSection()
    notify: NotifySection = NotifySection()
    publish: PublishSection = PublishSection()
    engine: EngineSection = EngineSection()


@dataclass(frozen=True)
class Source:
    """What a `[signals.NAME]` or `[households]` section says about its files."""

    name: str
    files: str
    """A path or glob relative to the settings."""
    columns: Mapping[str, str]
    """Role → column. A signal has household, time, clock, value, exits, periods, meter, read_type and unit;
    the register has household, building, district, class, residents, moved_in and moved_out."""
    separator: str = ","
    decimal: str = "."
    encoding: str = "auto"
    """auto: UTF-8, UTF-16 with a mark, else GB18030; or a name Python knows."""
    shape: str = "long"
    """One of MADE_COLUMNS."""
    household_from_file: str | None = None
    """Pattern that finds the id in a file's name, by its group if it has one."""
    unit: str = "count"
    """What the settings say of the values; files in which a unit stands are compared with it."""
    header_row: int = 1
    """Line of a text or row of a sheet that names the columns, counted from 1; 1: the first that is not
    blank. What stands before it is passed over."""
    stamp: str = "start"
    time_format: str | None = None
    timezone: str = "UTC"
    """These three say how days are read that are the rows of a table with a column for each period."""
    optional: frozenset[str] = field(default_factory=frozenset)
    """Roles whose column may be absent; such a role is read as nulls."""
    sheet: str | None = None
    """Name of a workbook's sheet, "*" for all with the header of the first; None: the only one with data."""
    max_bytes: int = 1 << 30
    """What a file may hold once it is unpacked; a larger one is refused while it is being unpacked."""
