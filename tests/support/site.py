"""Tiny sites for the tests of the flow: seeded homes, their exports as files, and the command run on them."""

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np
import polars as pl
from click.testing import CliRunner, Result

from pipelines.cli.commands import main

FIRST = dt.date(2026, 3, 1)
DAYS = 75
HOMES = 24
LAST = FIRST + dt.timedelta(days=DAYS - 1)
SURGED = "0007"
"""The home whose every signal is three times the usual for the last SURGE_DAYS days."""
SURGE_DAYS = 14

PURPOSE = """[purpose]
name = "Trying the night"
legal_basis = "none needed: invented homes"
owner = "the tests"
contact = "objections@example.org"
expires = 2099-12-31
signatures = {signatures}
"""
SIGNALS = {
    "entries": 'files = "entries*.csv"\nkind = "count"\n'
    'columns = { household = "id", time = "day", value = "entries" }\n',
    "water": 'files = "water*.csv"\nkind = "register"\nunit = "m3"\n'
    'columns = { household = "id", time = "day", value = "reading" }\n',
    "power": 'files = "power*.csv"\nkind = "usage"\nunit = "kWh"\n'
    'columns = { household = "id", time = "day", value = "used" }\n',
}
"""Three ways a signal may come: passages counted, a register in m³, a day's use in kWh."""
VIEWS = ("households", "readings", "expected", "evidence", "cases", "worklist", "not_judged", "rejects")
"""Every view but the runs and the outcomes, which know the clock and people."""
VALUE = {"entries": "entries", "water": "reading", "power": "used"}


def day(number: int) -> dt.date:
    """Day `number` of a site, 0 first; from the end where negative."""
    return FIRST + dt.timedelta(days=number % DAYS)


def daily(homes: int = HOMES, days: int = DAYS, seed: int = 1) -> dict[str, np.ndarray]:
    """signal → (homes, days) whole numbers: passages, litres, Wh; one home surges at the end."""
    rng = np.random.default_rng(seed)
    level = rng.lognormal(0.0, 0.4, (homes, 1))
    lift = np.ones((homes, days))
    if homes > int(SURGED):
        lift[int(SURGED), -SURGE_DAYS:] = 3.0
    return {
        "entries": rng.poisson(6 * level * lift),
        "water": np.rint(250 * level * lift * rng.lognormal(0.0, 0.25, (homes, days))).astype(int),
        "power": np.rint(8_000 * level * lift * rng.lognormal(0.0, 0.2, (homes, days))).astype(int),
    }


def rows(signal: str, values: np.ndarray, first: dt.date = FIRST) -> pl.DataFrame:
    """An export of `values` (homes, days) in the form that SIGNALS name: id, day, value; day by day."""
    homes, days = values.shape
    if signal == "water":
        cells = [f"{v / 1000:.3f}" for v in (100_000 + values.cumsum(axis=1)).T.ravel()]
    elif signal == "power":
        cells = [f"{v / 1000:.3f}" for v in values.T.ravel()]
    else:
        cells = [str(v) for v in values.T.ravel()]
    return pl.DataFrame(
        {
            "id": [f"{h:04}" for h in range(homes)] * days,
            "day": [str(first + dt.timedelta(days=d)) for d in range(days) for _ in range(homes)],
            VALUE.get(signal, "value"): cells,
        }
    )


def until(frame: pl.DataFrame, last: dt.date) -> pl.DataFrame:
    """The rows of an export that are dated on or before `last`."""
    return frame.filter(pl.col("day") <= str(last))


@dataclass(frozen=True)
class Site:
    """A site's folder and what is asked of it."""

    root: Path

    @property
    def settings(self) -> Path:
        return self.root / "anomaly.toml"

    @property
    def file(self) -> Path:
        return self.root / "out" / "anomaly.duckdb"

    def put(self, name: str, content: str | bytes | pl.DataFrame) -> Path:
        """Write an input file: text, bytes or a frame as CSV."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, pl.DataFrame):
            content = content.write_csv()
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def configure(
        self,
        signals: Mapping[str, str],
        signatures: Sequence[str] = ("people", "water", "power", "door"),
        more: str = "",
    ) -> None:
        """Write the settings file."""
        text = '[site]\nname = "Tiny"\ntimezone = "Asia/Shanghai"\nlanguages = ["en"]\n\n'
        text += (
            PURPOSE.format(signatures=str(list(signatures)).replace("'", '"'))
            + '\n[store]\npath = "out/anomaly.duckdb"\n\n'
            + more
        )
        text += "".join(f"\n[signals.{name}]\n{section}" for name, section in signals.items())
        self.settings.write_text(text, encoding="utf-8")

    def change(self, old: str, new: str) -> None:
        """Change a line of the settings; the old text must be there."""
        text = self.settings.read_text(encoding="utf-8")
        assert old in text, f"{old!r} is not in the settings"
        self.settings.write_text(text.replace(old, new), encoding="utf-8")

    def run(self, command: str, *args: str) -> Result:
        """Run `anomaly COMMAND --settings … ARGS` in this process."""
        return CliRunner().invoke(main, [*command.split(), "--settings", str(self.settings), *args])

    def nightly(self, *args: str, code: int = 0) -> Result:
        """Run the night and insist on its exit code."""
        result = self.run("nightly", *args)
        assert result.exit_code == code, (result.exit_code, result.output, result.exception)
        return result

    def decide(self, outcome: str, *args: str, case: str | None = None) -> Result:
        """Record an outcome of a case, of the first one unless it is named."""
        return self.run("decide", case or self.case_id(), outcome, "--reason", "seen at the door", *args)

    def case_id(self) -> str:
        """The code of the first case."""
        return self.view("cases")["case_id"][0]

    def log_lines(self, name: str = "log.jsonl") -> list[dict]:
        """The lines of the log of runs."""
        text = (self.root / "out" / name).read_text(encoding="utf-8")
        return [json.loads(line) for line in text.splitlines()]

    def audit_lines(self) -> list[dict]:
        """The lines of the audit log."""
        text = (self.root / "out" / "audit.jsonl").read_text(encoding="utf-8")
        return [json.loads(line) for line in text.splitlines()]

    def view(self, name: str) -> pl.DataFrame:
        """A view of the published file as a frame."""
        names, found = self._ask(name)
        return pl.DataFrame(found, schema=names, orient="row", infer_schema_length=None)

    def published(self, views: Sequence[str] = VIEWS) -> dict[str, list]:
        """view → its rows, for a comparison row for row."""
        return {name: self._ask(name)[1] for name in views}

    def ask(self, query: str) -> list[tuple]:
        """What the published file answers."""
        with duckdb.connect(str(self.file), read_only=True) as con:
            return con.execute(query).fetchall()

    def _ask(self, view: str) -> tuple[list[str], list[tuple]]:
        with duckdb.connect(str(self.file), read_only=True) as con:
            asked = con.execute(f"SELECT * FROM v1.{view} ORDER BY ALL")
            return [column[0] for column in asked.description], asked.fetchall()


KEY = "0123456789abcdef0123456789abcdef0123\n"


def with_pseudonyms(site: Site) -> Site:
    """Give a site with a signal `power` a key in private/key, so that its homes get codes; return it."""
    site.put("private/key", KEY).chmod(0o600)
    section = '[pseudonyms]\nkey = "private/key"\nmap = "private/map.csv"\n\n'
    site.change("[signals.power]", f"{section}[signals.power]")
    return site


def make_site(
    root: Path, signals: Sequence[str] = ("entries", "water", "power"), last: dt.date = LAST, seed: int = 1
) -> Site:
    """A site of HOMES homes with one file a signal, cut after `last`: one people case on its last night."""
    root.mkdir(parents=True, exist_ok=True)
    site = Site(root)
    values = daily(seed=seed)
    for name in signals:
        site.put(f"{name}.csv", until(rows(name, values[name]), last))
    site.configure({name: SIGNALS[name] for name in signals})
    return site
