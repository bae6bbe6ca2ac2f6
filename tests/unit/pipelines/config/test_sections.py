"""Sections of the settings: defaults as the reference shows them, and what cannot be meant refused."""

import dataclasses
import re
import tomllib

import pytest

from anomaly.cases import CaseRules, WorklistRules
from anomaly.detectors import DetectorRules
from anomaly.evidence import EvidenceRules
from anomaly.expected import ExpectedRules
from anomaly.outcomes import AccountRules
from anomaly.readings.units import DAY_CAPS
from pipelines.config import sections
from pipelines.config.sections import REFERENCE, EngineSection, LimitsSection, RetentionSection

EXAMPLE = {
    *("kind", "columns", "files", "unit", "name", "legal_basis", "owner", "contact", "expires"),
    *("signatures", "timezone", "languages"),
}
"""Names that have no default, or for which the reference shows a site's choice."""


ALL_RULES = [
    *(sections.SiteSection, sections.PurposeSection, sections.SignalSection, sections.LimitsSection),
    *(
        sections.PublishSection,
        sections.ControlSection,
        sections.PseudonymsSection,
        sections.RetentionSection,
    ),
    *(WorklistRules, ExpectedRules, DetectorRules, EvidenceRules, CaseRules, AccountRules),
]


def test_no_setting_names_a_household_a_building_or_a_district():
    """No targets: nothing in the settings can raise the sensitivity for anybody."""
    not_rules = (sections.SiteSection, sections.PurposeSection, sections.SignalSection)
    names = {f.name for rule in ALL_RULES if rule not in not_rules for f in dataclasses.fields(rule)}
    targets = re.compile("household|home|building|district|watch|target|weight")
    assert not [name for name in names if targets.search(name)]


def shown_sections() -> list[tuple[str, object, dict]]:
    """(name, the dataclass or instance that holds the defaults, what the reference writes)."""
    written = tomllib.loads(REFERENCE.read_text(encoding="utf-8"))
    hints = {field.name: field for field in dataclasses.fields(sections.SettingsFile)}
    found = []
    for name, tree in written.items():
        if name == "signals":
            found += [
                (f"signals.{signal}", sections.SignalSection, section) for signal, section in tree.items()
            ]
        elif hints[name].default is not dataclasses.MISSING and hints[name].default is not None:
            found.append((name, hints[name].default, tree))
    return found


@pytest.mark.parametrize(
    ("name", "defaults", "written"),
    shown_sections(),
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_every_default_the_reference_shows_is_the_codes_own(name, defaults, written):
    """`max_per_day` of water is the cap of its unit: 50 m³ is 50,000 litres."""
    for key, value in written.items():
        if key in EXAMPLE:
            continue
        if key == "max_per_day":
            assert value * 1000 == DAY_CAPS["litre"]
            continue
        default = getattr(defaults, key)
        assert (list(default) if isinstance(default, tuple) else default) == value, (name, key)


def test_the_reference_shows_every_name_there_is():
    """Those without a value to show stand in a comment."""
    text = REFERENCE.read_text(encoding="utf-8")
    for section in dataclasses.fields(sections.SettingsFile):
        assert f"[{section.name}" in text, section.name
    names = [field.name for rule in ALL_RULES for field in dataclasses.fields(rule)]
    assert [name for name in names if f"{name} =" not in text] == []


@pytest.mark.parametrize(
    ("section", "values", "message"),
    [
        (LimitsSection, {"file_mb": 0}, "file_mb = 0 would read nothing"),
        (LimitsSection, {"rejects_share": 1.1}, "a share lies between 0 and 1"),
        (RetentionSection, {"nights_days": 0}, "0 days would keep nothing"),
        (EngineSection, {"kind": "spark"}, "kind = 'spark'; choose local or ray"),
        (EngineSection, {"address": "10.0.0.1:6379"}, "is a cluster's, and kind = 'local' uses none"),
        (EngineSection, {"kind": "ray", "address": "head"}, "write auto, or host:port of the cluster's head"),
        (EngineSection, {"sample_homes": 99}, "fewer than 100 homes say nothing of a site"),
    ],
)
def test_a_value_that_cannot_be_meant_is_refused(section, values, message):
    with pytest.raises(ValueError, match=message):
        section(**values)


def test_a_cluster_may_be_named_by_host_and_port():
    assert EngineSection(kind="ray", address="10.0.0.1:6379").address == "10.0.0.1:6379"
