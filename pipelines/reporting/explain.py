"""A case as one night knew it: from what was frozen that night, or for a home without a case worked out from the stored state."""

import datetime as dt
from collections.abc import Sequence

import polars as pl

from anomaly import __version__, messages, report
from pipelines.cases.snapshots import frozen, frozen_case, last_night_of, series
from pipelines.config.settings import Settings
from pipelines.errors import NotFound
from pipelines.ingest.loader import stored_inputs
from pipelines.publish.frames import evidence_with_reasons
from pipelines.reporting.night_report import site_of
from pipelines.scoring.night import expect_all
from pipelines.storage.state import Store


def replay(settings: Settings, name: str, night: dt.date, language: str) -> str:
    """Plain text: the case, its evidence, every number of the last four weeks and how each was made. name: of a case or a home."""
    store = Store(settings.store)
    case = frozen_case(store, name, night)
    home = case["household"] if case else _household(store, name, night)
    lines = [f"home {home}, night {night}"]
    if case:
        lines += [
            f"case {case['case_id']}: {messages.translate_signature(language, case['signature'])}, onset {case['onset']}, opened {case['opened']}, {case['status']}"
        ]
        lines += [
            messages.join_sentences(
                language, case[f"because_{language}"], messages.more_people_sentence(language, case)
            )
        ]
    lines += ["", "evidence of this night (detector, signal, window, observed/expected, score, rarity)"]
    seen = evidence_with_reasons(settings, store, [night], language, [home])
    for row in seen.iter_rows(named=True):
        lines.append(
            f"  {row['detector']:<9} {row['signal']:<9} {row['window_days']:>2} days  ×{row['ratio']:.2f}  {row['score']:6.2f}  1 in {row['rarity']:,.0f} household-nights"
        )
    if seen.is_empty():
        lines.append("  none")
    barred = store.read(f"nights/{night}/not_judged.parquet").filter(pl.col("household") == home)
    lines += [f"not judged: {row['signal']}: {row['reason']}" for row in barred.iter_rows(named=True)]
    numbers, made = _numbers(settings, store, home, night)
    lines += [*_days(numbers), "", *METHOD, made, "A case is a reason to look, not evidence of wrongdoing."]
    return "\n".join(lines) + "\n"


METHOD = (
    "expected: median of the last 84 occupied days older than a fortnight (11 to 17 days), with the weekday's own departure, times what the peers did that day;",
    "          never below a level lived at within the past year. low–high: 90 % of such days. surprise: distance in robust deviations of the log.",
    "score:    sum of surprise over the window / sqrt(days), scaled by the night's peers. rarity: one such new episode in so many past household-nights.",
)


def letter_of(settings: Settings, name: str, night: dt.date, language: str) -> str:
    """The resident's letter, in the numbers of that night. Raises NotThere for a home without a case then."""
    store = Store(settings.store)
    case = frozen_case(store, name, night)
    if case is None:
        raise NotFound(
            f"{name} has no case on the night of {night}; name a case that was open then, or another --night (see `anomaly worklist`)"
        )
    numbers = frozen(store, night, "series").filter(pl.col("household") == case["household"])
    signals = numbers["signal"].unique(maintain_order=True).to_list()
    nothing = pl.DataFrame()
    page = report.CasePage(
        site_of(settings),
        night,
        case,
        None,
        case.get("district"),
        dict.fromkeys(signals, nothing),
        {},
        nothing,
        nothing,
        (),
        {},
    )
    return report.resident_letter(page, language)


def _household(store: Store, name: str, night: dt.date) -> str:
    if last := last_night_of(store, name):
        case = frozen_case(store, name, last)
        if case["case_id"] == name:
            raise NotFound(
                f"{name} was not open on the night of {night}, last on {last}: ask with --night {last}, or for its home {case['household']}"
            )
    return name


def _numbers(settings: Settings, store: Store, home: str, night: dt.date) -> tuple[pl.DataFrame, str]:
    """The home's last weeks and how they were come by: frozen with the night, or worked out now."""
    numbers = frozen(store, night, "series").filter(pl.col("household") == home)
    if numbers.height:
        made = store.read_json(f"nights/{night}/frozen.json", {})
        return (
            numbers,
            f"frozen with the night: version {made.get('version')}, settings {str(made.get('settings_sha256'))[:12]}",
        )
    inputs = stored_inputs(settings, store)
    if inputs.readings.is_empty():
        raise NotFound(f"{store.folder}: holds no readings; run `anomaly nightly --settings …` first")
    if home not in set(inputs.register["household"]):
        raise NotFound(
            f"{home}: neither a case nor a household of this site; `anomaly worklist` lists the cases"
        )
    judged_nights = expect_all(settings, inputs, night)
    shown = (
        series(inputs, judged_nights, [home], night)
        if home in judged_nights.expected.grid.households
        else pl.DataFrame(schema={"signal": pl.String, "unit": pl.String})
    )
    return (
        shown,
        f"no case that night: worked out now from the readings stored now: version {__version__}, settings {settings.sha256[:12]}",
    )


def _days(numbers: pl.DataFrame) -> Sequence[str]:
    lines = []
    for (signal, unit), frame in numbers.group_by("signal", "unit", maintain_order=True):
        lines += [
            "",
            f"{signal} ({unit} a day)",
            "  day         observed  expected       low      high  surprise  quality",
        ]
        for row in frame.iter_rows(named=True):
            cells = [row["value"], row["expected"], row["low"], row["high"]]
            shown = "".join(f"{'-' if c is None else format(c, ',.0f'):>10}" for c in cells)
            surprise = "-" if row["surprise"] is None else f"{row['surprise']:.1f}"
            lines.append(
                f"  {row['day']}{shown}{surprise:>10}  {row['quality']}{': ' + row['note'] if row['note'] else ''}"
            )
    return lines
