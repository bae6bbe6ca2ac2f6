"""A further signal needs only a section of the settings: gas, heat, charges on the bill, all by their own
names."""

import re

import numpy as np
import polars as pl
import pytest

from tests.support.site import DAYS, HOMES, LAST, SURGE_DAYS, SURGED, Site, make_site, rows

NAMES = {
    "gas": ("register", "m3", 1000),
    "heat": ("usage", "kWh", 1000),
    "charges": ("usage", "cent", 1),
    "parcels": ("count", "count", 1),
}
"""signal → kind, unit, base units in one of it."""


def section(name: str) -> str:
    kind, unit, _ = NAMES[name]
    return f'files = "{name}.csv"\nkind = "{kind}"\nunit = "{unit}"\ncolumns = {{ household = "id", time = "day", value = "value" }}\n'


def export(name: str, surging: bool) -> pl.DataFrame:
    """A year's-end of that signal; the home SURGED uses four times as much at the end, if `surging`."""
    rng = np.random.default_rng(3)
    level = 3_000 * rng.lognormal(0.0, 0.4, (HOMES, 1)) * np.ones((HOMES, DAYS))
    if surging:
        level[int(SURGED), -SURGE_DAYS:] *= 4
    kind, _, factor = NAMES[name]
    values = (
        rng.poisson(level / 300)
        if kind == "count"
        else np.rint(level * rng.lognormal(0.0, 0.2, level.shape)).astype(int)
    )
    values = 500_000 + values.cumsum(axis=1) if kind == "register" else values
    cells = [f"{v / factor:.3f}" if factor > 1 else str(v) for v in values.T.ravel()]
    return rows("entries", values).select("id", "day", value=pl.Series(cells))


@pytest.mark.parametrize("name", NAMES)
def test_alone_it_is_judged_and_listed_under_its_own_name(tmp_path, name):
    site = Site(tmp_path)
    site.configure({name: section(name)}, signatures=[name])
    site.put(f"{name}.csv", export(name, surging=True))
    site.nightly()
    base = {"m3": "litre", "kWh": "Wh"}.get(NAMES[name][1], NAMES[name][1])
    assert site.view("readings").select("signal", "unit").unique().rows() == [(name, base)]
    (case,) = site.view("cases").rows(named=True)
    assert (case["household"], case["signature"]) == (SURGED, name) and list(case["ratios"]) == [name]
    assert case["ratios"][name] == pytest.approx(4, rel=0.3)
    (door,) = site.view("worklist").rows(named=True)
    assert (door["signature"], door["desk"]) == (name, name)
    page = (tmp_path / "out" / "reports" / str(LAST) / "cases" / f"{case['case_id']}.html").read_text(
        encoding="utf-8"
    )
    assert name in page.lower()
    told = site.run("explain", SURGED)
    assert told.exit_code == 0 and re.search(rf"(?im)^{name}, .+ a day$", told.stdout)


def test_beside_the_usual_three_it_has_its_own_signature(tmp_path):
    """A boiler gone wrong: gas alone rises, people's signals do not."""
    site = make_site(tmp_path, seed=4)
    signals = {n: (tmp_path / f"{n}.csv").read_text() for n in ("entries", "water", "power")}
    from tests.support.site import SIGNALS, daily

    for name in signals:  # without the surge of people
        values = daily(seed=4)[name]
        values[int(SURGED), -SURGE_DAYS:] = values[int(SURGED), :SURGE_DAYS]
        site.put(f"{name}.csv", rows(name, values))
    site.configure(SIGNALS | {"gas": section("gas")}, signatures=["people", "water", "power", "door", "gas"])
    site.put("gas.csv", export("gas", surging=True))
    site.nightly()
    cases = site.view("cases").filter(pl.col("household") == SURGED)
    assert cases["signature"].to_list() == ["gas"]
    assert sorted(site.view("expected")["signal"].unique()) == ["entries", "gas", "power", "water"]


def test_a_signal_outside_the_purpose_is_read_and_never_listed(tmp_path):
    site = Site(tmp_path)
    site.configure({"gas": section("gas"), "heat": section("heat")}, signatures=["heat"])
    site.put("gas.csv", export("gas", surging=True))
    site.put("heat.csv", export("heat", surging=False))
    site.nightly()
    assert set(site.view("readings")["signal"]) == {"gas", "heat"}
    assert site.view("cases").is_empty() and "gas" not in site.view("evidence")["signal"].to_list()


def test_a_misspelt_signature_is_refused_with_a_guess(tmp_path):
    site = Site(tmp_path)
    site.configure({"gas": section("gas")}, signatures=["gass"])
    site.put("gas.csv", export("gas", surging=False))
    assert "[purpose] signatures: unknown `gass`; did you mean `gas`?" in site.nightly(code=2).stderr


def test_no_code_holds_the_names_as_a_closed_list():
    """A signal called anything at all, by settings alone: digits, capitals, underscores, Chinese letters."""
    import tempfile
    from pathlib import Path

    from pipelines.config.settings import load_settings
    from tests.support.site import PURPOSE

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "anomaly.toml"
        names = ["Gas_2", "heizung", "天然气"]
        text = PURPOSE.format(signatures=str(names).replace("'", '"')) + '[store]\npath = "a.duckdb"\n'
        text += "".join(
            f'[signals."{n}"]\nfiles = "x.csv"\nkind = "usage"\nunit = "kWh"\ncolumns = {{ household = "a", time = "b", value = "c" }}\n'
            for n in names
        )
        path.write_text(text, encoding="utf-8")
        assert sorted(load_settings(path).rules) == sorted(names)
