"""The safeguards around the loop: the audit log, pseudonyms, what the public sees, retention."""

import re
import stat

import polars as pl
import pytest

from tests.support.site import SURGED, Site, day, make_site

KEY = "0123456789abcdef0123456789abcdef0123\n"


@pytest.fixture
def site(site_with_case) -> Site:
    return site_with_case


# the audit log


def test_every_step_leaves_a_line_and_the_chain_is_whole(site):
    site.decide("benign")
    site.run("assign", site.case_id(), "--to", "team 2")
    site.run("outcomes import", str(site.put("f.csv", "case,day,outcome,reason\n")))
    site.run("audit fairness")
    site.run("audit record")
    site.nightly()
    assert [line["step"] for line in site.audit_lines()] == [
        "run",
        "decide",
        "assign",
        "import",
        "fairness",
        "record",
        "run",
    ]
    assert (
        site.audit_lines()[0]["night"] == str(day(-2))
        and len(site.audit_lines()[0]["settings_sha256"]) == 64
        and site.audit_lines()[1]["outcome"] == "benign"
    )
    verified = site.run("audit verify")
    assert verified.exit_code == 0 and verified.stdout.startswith("7 lines, the chain is whole")


def change(lines):
    lines[1] = lines[1].replace(b"benign", b"normal")


def change_last(lines):
    lines[-1] = lines[-1].replace(b"team 2", b"team 9")


def remove(lines):
    del lines[1]


def cut_off(lines):
    del lines[-1]


def move(lines):
    lines[1], lines[2] = lines[2], lines[1]


def insert(lines):
    lines.insert(1, lines[1])


@pytest.mark.parametrize("tamper", [change, change_last, remove, cut_off, move, insert])
def test_a_line_changed_removed_added_or_moved_is_found(site, tamper):
    site.decide("benign")
    site.run("assign", site.case_id(), "--to", "team 2")
    path = site.root / "out" / "audit.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    tamper(lines)
    path.write_bytes(b"".join(lines))
    result = site.run("audit verify")
    assert result.exit_code == 3 and "audit.jsonl" in result.stderr


def test_a_line_cut_short_by_a_kill_is_no_tampering(site):
    with open(site.root / "out" / "audit.jsonl", "ab") as file:
        file.write(b'{"at": "2026')
    assert site.run("audit verify").exit_code == 0
    site.decide("benign")
    assert site.run("audit verify").exit_code == 0 and [line["step"] for line in site.audit_lines()] == [
        "run",
        "decide",
    ]


# pseudonyms


def keyed(site: Site) -> Site:
    site.put("private/key", KEY).chmod(0o600)
    site.change(
        "[signals.power]", '[pseudonyms]\nkey = "private/key"\nmap = "private/map.csv"\n\n[signals.power]'
    )
    return site


def test_with_a_key_no_id_is_stored_or_shown_and_reveal_is_logged(tmp_path):
    site = keyed(make_site(tmp_path, ["power"]))
    site.put("households.csv", "id,place\n" + "".join(f"{h:04},N\n" for h in range(24)))
    site.change(
        "[pseudonyms]",
        '[households]\nfiles = "households.csv"\ncolumns = { household = "id", district = "place" }\n\n[pseudonyms]',
    )
    site.nightly()
    homes = site.view("households")["household"].to_list()
    assert len(homes) == 24 and all(re.fullmatch("h[0-9a-f]{20}", home) for home in homes)
    files = [
        path
        for path in (tmp_path / "out").rglob("*")
        if path.is_file() and path.suffix in (".html", ".csv", ".json", ".jsonl")
    ]
    assert files and not [
        path for path in files if re.search(rf"\b{SURGED}\b", path.read_text(encoding="utf-8"))
    ]
    stored = [pl.read_parquet(path) for path in (tmp_path / "out").rglob("*.parquet")]
    assert not [
        1 for frame in stored if "household" in frame.columns and SURGED in frame["household"].to_list()
    ]
    assert stat.S_IMODE((tmp_path / "private" / "map.csv").stat().st_mode) == 0o600
    case = site.case_id()
    refused = site.run("reveal", case, "--reason", " ", "--by", "A")
    assert refused.exit_code == 2 and [line["step"] for line in site.audit_lines()] == ["run"]
    told = site.run("reveal", case, "--reason", "visit on Friday", "--by", "A")
    assert told.stdout == f"{SURGED}\n"
    assert {name: site.audit_lines()[-1][name] for name in ("step", "case", "reason", "by")} == {
        "step": "reveal",
        "case": case,
        "reason": "visit on Friday",
        "by": "A",
    }
    assert SURGED not in (tmp_path / "out" / "audit.jsonl").read_text(encoding="utf-8")


def test_a_key_that_is_weak_open_or_new_is_refused(tmp_path, judged_site):
    site = keyed(make_site(tmp_path, ["power"]))
    (tmp_path / "private" / "key").chmod(0o640)
    assert re.search("look  pseudonyms: .*can be read by others", site.run("doctor").stdout)
    assert "can be read by others" in site.nightly(code=2).stderr
    site.put("private/key", "short").chmod(0o600)
    assert "at least 32 are needed" in site.nightly(code=2).stderr
    site.put("private/key", KEY)
    site.nightly()
    site.put("private/key", KEY.upper())
    assert "start anew" in site.nightly(code=2).stderr
    assert (
        "nothing to reveal"
        in judged_site.run("reveal", judged_site.case_id(), "--reason", "x", "--by", "A").stderr
    )


# for the public


def test_fairness_and_the_record_are_pages_in_every_language(site):
    site.change('languages = ["en"]', 'languages = ["en", "zh"]')
    site.decide("benign")
    assert "No group's doors are wrong far more often" in site.run("audit fairness").stdout
    page = site.root / "out" / "reports" / "record" / "index.html"
    assert site.run("audit record").stdout == f"{page}\n"
    told = {
        name: page.with_name(name).read_text(encoding="utf-8") for name in ("index.html", "index.zh.html")
    }
    for words in (
        "Trying the night",
        "Draft impact assessment",
        "Of 1 answered doors 1 were wrong",
        "Everything",
        "objections@example.org",
    )[:3]:
        assert words in told["index.html"]
    assert "影响评估草稿" in told["index.zh.html"] and "Trying the night" in told["index.zh.html"]
    assert (site.root / "out" / "reports" / "fairness" / "index.zh.html").exists()
    assert not [path for path in site.root.rglob("*audit*") if path.is_file() and path.name != "audit.jsonl"]


# retention


# the purpose


def test_a_rise_of_people_is_no_water_case_under_a_purpose_of_water(tmp_path):
    site = make_site(tmp_path)
    assert SURGED in [row["household"] for row in (site.nightly() and site.view("cases").to_dicts())]
    site.change('signatures = ["people", "water", "power", "door"]', 'signatures = ["water"]')
    site.nightly()
    assert site.view("cases").is_empty()
    assert site.view("worklist").is_empty()
