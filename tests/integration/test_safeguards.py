"""The safeguards around cases and answers: the audit log, pseudonyms and what the public sees."""

import re
import stat

import polars as pl
import pytest

from tests.support.site import KEY, SURGED, day, make_site, with_pseudonyms

# the audit log


def test_every_step_leaves_a_line_and_the_chain_is_whole(site):
    site.decide("benign")
    site.run("assign", site.case_id(), "--to", "team 2")
    site.run("outcomes import", str(site.put("f.csv", "case,day,outcome,reason\n")))
    site.run("audit fairness")
    site.run("audit record")
    site.nightly()
    steps = [line["step"] for line in site.audit_lines()]
    assert steps == ["run", "decide", "assign", "import", "fairness", "record", "run"]
    run, decision = site.audit_lines()[:2]
    assert run["night"] == str(day(-2)) and len(run["settings_sha256"]) == 64
    assert decision["outcome"] == "benign"
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
    assert site.run("audit verify").exit_code == 0
    assert [line["step"] for line in site.audit_lines()] == ["run", "decide"]


# pseudonyms


def test_with_a_key_no_id_is_stored_or_shown_and_reveal_is_logged(tmp_path):
    site = with_pseudonyms(make_site(tmp_path, ["power"]))
    site.put("households.csv", "id,place\n" + "".join(f"{h:04},N\n" for h in range(24)))
    register = (
        '[households]\nfiles = "households.csv"\ncolumns = { household = "id", district = "place" }\n\n'
    )
    site.change("[pseudonyms]", f"{register}[pseudonyms]")
    site.nightly()
    homes = site.view("households")["household"].to_list()
    assert len(homes) == 24 and all(re.fullmatch("h[0-9a-f]{20}", home) for home in homes)
    written = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    texts = [path for path in written if path.suffix in (".html", ".csv", ".json", ".jsonl")]
    assert texts
    assert not [path for path in texts if re.search(rf"\b{SURGED}\b", path.read_text(encoding="utf-8"))]
    frames = [pl.read_parquet(path) for path in written if path.suffix == ".parquet"]
    frames = [frame for frame in frames if "household" in frame.columns]
    assert frames and not [1 for frame in frames if SURGED in frame["household"].to_list()]
    assert stat.S_IMODE((tmp_path / "private" / "map.csv").stat().st_mode) == 0o600
    case = site.case_id()
    refused = site.run("reveal", case, "--reason", " ", "--by", "A")
    assert refused.exit_code == 2 and [line["step"] for line in site.audit_lines()] == ["run"]
    revealed = site.run("reveal", case, "--reason", "visit on Friday", "--by", "A")
    assert revealed.stdout == f"{SURGED}\n"
    logged = {name: site.audit_lines()[-1][name] for name in ("step", "case", "reason", "by")}
    assert logged == {"step": "reveal", "case": case, "reason": "visit on Friday", "by": "A"}
    assert SURGED not in (tmp_path / "out" / "audit.jsonl").read_text(encoding="utf-8")


def test_a_key_that_is_weak_open_or_new_is_refused(tmp_path, judged_site):
    site = with_pseudonyms(make_site(tmp_path, ["power"]))
    (tmp_path / "private" / "key").chmod(0o640)
    assert re.search("look  pseudonyms: .*can be read by others", site.run("doctor").stdout)
    assert "can be read by others" in site.nightly(code=2).stderr
    site.put("private/key", "short").chmod(0o600)
    assert "at least 32 are needed" in site.nightly(code=2).stderr
    site.put("private/key", KEY)
    site.nightly()
    site.put("private/key", KEY.upper())
    assert "start anew" in site.nightly(code=2).stderr
    without_key = judged_site.run("reveal", judged_site.case_id(), "--reason", "x", "--by", "A")
    assert "nothing to reveal" in without_key.stderr


# for the public


def test_fairness_and_the_record_are_pages_in_every_language(site):
    site.change('languages = ["en"]', 'languages = ["en", "zh"]')
    site.decide("benign")
    assert "No group has false alarms far more often" in site.run("audit fairness").stdout
    page = site.root / "out" / "reports" / "record" / "index.html"
    assert site.run("audit record").stdout == f"{page}\n"
    english = page.read_text(encoding="utf-8")
    for words in (
        "Trying the night",
        "Draft impact assessment",
        "Homes with a result: 1. False alarms among them: 1",
    ):
        assert words in english
    chinese = page.with_name("index.zh.html").read_text(encoding="utf-8")
    assert "影响评估草稿" in chinese and "Trying the night" in chinese
    assert (site.root / "out" / "reports" / "fairness" / "index.zh.html").exists()
    assert not [path for path in site.root.rglob("*audit*") if path.is_file() and path.name != "audit.jsonl"]


# the purpose


def test_a_rise_of_people_is_no_water_case_under_a_purpose_of_water(tmp_path):
    site = make_site(tmp_path)
    assert SURGED in [row["household"] for row in (site.nightly() and site.view("cases").to_dicts())]
    site.change('signatures = ["people", "water", "power", "door"]', 'signatures = ["water"]')
    site.nightly()
    assert site.view("cases").is_empty()
    assert site.view("worklist").is_empty()
