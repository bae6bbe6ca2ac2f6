"""The sections of the settings file that are the flow's own, and the whole file; the rest of the names live with the rooms."""

import dataclasses
import datetime as dt
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from anomaly.cases import CaseRules, WorklistRules
from anomaly.detectors import DetectorRules
from anomaly.evidence import EvidenceRules
from anomaly.expected import ExpectedRules
from anomaly.outcomes import AccountRules
from pipelines.runtime.engine import KINDS, LOCAL, RAY


@dataclasses.dataclass(frozen=True)
class SiteSection:
    name: str = "Site"
    calendar: str = "CN"
    timezone: str = "UTC"
    languages: tuple[str, ...] = ("en", "zh")


@dataclasses.dataclass(frozen=True)
class PurposeSection:
    name: str
    legal_basis: str
    owner: str
    contact: str
    expires: dt.date
    signatures: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class StoreSection:
    path: str


@dataclasses.dataclass(frozen=True)
class ReportsSection:
    path: str = "out/reports"


@dataclasses.dataclass(frozen=True)
class HouseholdsSection:
    files: str
    columns: Mapping[str, str]
    separator: str = ","
    encoding: str = "auto"


@dataclasses.dataclass(frozen=True)
class SignalSection:
    files: str
    kind: str
    columns: Mapping[str, str]
    unit: str = "count"
    separator: str = ","
    decimal: str = "."
    encoding: str = "auto"
    time_format: str | None = None
    stamp: str = "start"
    periods: str | None = None
    periods_per_day: int | None = None
    max_per_day: float | None = None
    boundary_hours: float = 3.0


@dataclasses.dataclass(frozen=True)
class LimitsSection:
    rejects_share: float = 0.01
    file_mb: int = 1024

    def __post_init__(self) -> None:
        if self.file_mb < 1:
            raise ValueError("file_mb = 0 would read nothing; write at least 1")
        if not 0 <= self.rejects_share <= 1:
            raise ValueError(f"rejects_share = {self.rejects_share}; a share lies between 0 and 1")


@dataclasses.dataclass(frozen=True)
class NotifySection:
    """What is run at the end of a run, with what it came to on its standard input; no shell in between."""

    command: tuple[str, ...] = ()
    seconds: float = 30.0


@dataclasses.dataclass(frozen=True)
class PublishSection:
    readings_days: int | None = None
    expected_days: int = 120
    parquet: bool = False


@dataclasses.dataclass(frozen=True)
class ControlSection:
    doors_per_night: int = 1


@dataclasses.dataclass(frozen=True)
class PseudonymsSection:
    key: str
    map: str = "private/pseudonyms.csv"


@dataclasses.dataclass(frozen=True)
class RetentionSection:
    raw_days: int = 7
    readings_days: int = 1100
    nights_days: int = 730
    reports_days: int = 400

    def __post_init__(self) -> None:
        if min(dataclasses.astuple(self)) < 1:
            raise ValueError("0 days would keep nothing; write at least 1")


@dataclasses.dataclass(frozen=True)
class EngineSection:
    """How a site too large to be looked at whole is judged, and where."""

    sample_homes: int = 5_000
    kind: str = LOCAL
    address: str = "auto"

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"kind = {self.kind!r}; choose {' or '.join(KINDS)}")
        if self.kind == LOCAL and self.address != "auto":
            raise ValueError(
                f"address = {self.address!r} is a cluster's, and kind = {LOCAL!r} uses none; write kind = {RAY!r}, or take the address out"
            )
        if self.address != "auto" and not re.fullmatch(r"[^\s/]+:\d{1,5}", self.address):
            raise ValueError(
                f"address = {self.address!r}; write auto, or host:port of the cluster's head, such as 10.0.0.1:6379"
            )
        if self.sample_homes < 100:
            raise ValueError(
                f"sample_homes = {self.sample_homes}; fewer than 100 homes say nothing of a site"
            )


@dataclasses.dataclass(frozen=True)
class SettingsFile:
    """The whole file, section by section, as it may be written."""

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
    """One [signals.NAME] or [households] section, as far as files are concerned."""

    name: str
    files: str
    """A path or glob relative to the settings."""
    columns: Mapping[str, str]
    """Role → column: household, time, value, exits, periods; household, building, district, class, residents, moved_in."""
    separator: str = ","
    decimal: str = "."
    encoding: str = "auto"
    """auto: UTF-8, UTF-16 with a mark, else GB18030; or a name Python knows."""
    optional: frozenset[str] = field(default_factory=frozenset)
    """Roles whose column may be absent; such a role comes through as nulls."""
    max_bytes: int = 1 << 30
    """The most a file may hold once unpacked; a larger one is refused while it is being unpacked."""
