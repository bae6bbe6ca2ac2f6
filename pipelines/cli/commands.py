"""The command `anomaly`: options, help and exit code of every command; the work is done in `pipelines.jobs`.

Modules that are slow to import are imported inside the commands, so that `anomaly --help` answers at once.
"""

import datetime as dt
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from anomaly import __version__ as VERSION
from anomaly.messages import printable
from pipelines.cli import review_commands
from pipelines.cli.console import (
    CommandGroup,
    clear_progress,
    json_option,
    night_option,
    print_data,
    print_message,
    print_messages,
    print_text,
    progress_display,
    run_and_exit,
    settings_option,
)
from pipelines.errors import ExitCode

if TYPE_CHECKING:
    from pipelines.config.settings import Settings
    from pipelines.jobs.nightly import Result


@click.group(
    cls=CommandGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(VERSION, prog_name="anomaly")
def main() -> None:
    """List the few homes where occupancy or use has surged, for a person to visit.

    Example: anomaly nightly --settings sample_data/city/anomaly.toml
    """


@main.command()
@settings_option
@night_option
@click.option(
    "--revise", is_flag=True, help="Judge again, too, the nights that late or restated readings touch."
)
@json_option
def nightly_command(settings_path: Path, night: dt.datetime | None, revise: bool, as_json: bool) -> None:
    """Load what is new, judge the night, publish the file and write the report.

    Example: anomaly nightly --settings anomaly.toml
    """
    from pipelines.cli.run_log import logged_run
    from pipelines.jobs import nightly as job
    from pipelines.jobs.site_places import load_site

    settings = load_site(settings_path)
    with logged_run(settings, "nightly", progress_display(as_json), print_message) as run_log:
        run_log.result = job.nightly(settings, night and night.date(), run_log.progress, revise)
    _print_result(run_log.result, settings, as_json)


@main.command()
@settings_option
@click.option(
    "--from",
    "first",
    type=click.DateTime(["%Y-%m-%d"]),
    required=True,
    metavar="D",
    help="First night, YYYY-MM-DD.",
)
@click.option(
    "--to",
    "last",
    type=click.DateTime(["%Y-%m-%d"]),
    required=True,
    metavar="D",
    help="Last night, YYYY-MM-DD.",
)
@click.option("--reports", is_flag=True, help="Write the report of every night, not of the last one only.")
@json_option
def backfill_command(
    settings_path: Path, first: dt.datetime, last: dt.datetime, reports: bool, as_json: bool
) -> None:
    """Judge past nights in order, each knowing only what is dated on or before it.

    Example: anomaly backfill --settings anomaly.toml --from 2026-07-01 --to 2026-07-31
    """
    from pipelines.cli.run_log import logged_run
    from pipelines.jobs import nightly as job
    from pipelines.jobs.site_places import load_site

    if first > last:
        raise click.UsageError(
            f"--from {first.date()} lies after --to {last.date()}; give the earlier night first"
        )
    settings = load_site(settings_path)
    with logged_run(settings, "backfill", progress_display(as_json), print_message) as run_log:
        run_log.result = job.backfill(settings, first.date(), last.date(), reports, run_log.progress)
    _print_result(run_log.result, settings, as_json)


def _print_result(result: "Result", settings: "Settings", as_json: bool) -> None:
    """Print what a run came to, and leave with 0, or 3 where inputs were degraded."""
    lines = [f"degraded: {line}" for line in result.degraded]
    if result.did:
        judged, new = result.run["judged"], result.run["cases_new"]
        homes, cases = f"{judged} home{'s' * (judged != 1)}", f"{new} new case{'s' * (new != 1)}"
        lines.append(f"night {result.night}: {homes} judged, {cases}, {result.run['cases_open']} open")
        wrong = result.run["expected_wrong_doors"]
        lines.append(f"doors expected to be wrong among tonight's new ones: {wrong:.1f}")
    else:
        lines.append(f"night {result.night}: nothing to do, same inputs, settings and version as before")
    lines += [*result.remarks, f"report {result.report}", f"file   {settings.store}"]
    summary = {
        "night": result.night,
        "did": result.did,
        "degraded": list(result.degraded),
        "more": list(result.remarks),
        "report": result.report,
        "file": str(settings.store),
    }
    print_messages(as_json, lines, **(result.run | summary))
    sys.exit(result.exit_code)


@main.command()
@settings_option
@night_option
@click.option(
    "--format", "form", type=click.Choice(["table", "csv", "json"]), default="table", help="How to print it."
)
@click.option("--desk", metavar="NAME", help="Only the doors of this desk.")
@click.option("--district", metavar="NAME", help="Only the doors of this district.")
@json_option
def worklist_command(
    settings_path: Path, night: dt.datetime | None, form: str, as_json: bool, **only: str | None
) -> None:
    """The doors of a night, rarest first.

    Example: anomaly worklist --settings anomaly.toml --format csv
    """
    from pipelines.config.settings import load_settings
    from pipelines.reporting import queries

    settings = load_settings(settings_path)
    shown_night = queries.night_or_latest(settings, night and night.date())
    text = queries.worklist_text(settings, shown_night, "json" if as_json else form, **only)
    doors = [json.loads(line) for line in text.splitlines()] if as_json else []
    rows = ({"message_type": "door", **door} for door in doors)
    print_data(as_json, text, rows, night=shown_night, doors=len(doors))


@main.command()
@click.argument("case_or_household", shell_complete=review_commands.case_codes)
@settings_option
@night_option
@click.option("--for-resident", is_flag=True, help="The one-page letter for the people who live there.")
@click.option(
    "--language", type=click.Choice(["en", "zh"]), help="Language; the site's first one if left out."
)
@json_option
def explain_command(
    case_or_household: str,
    settings_path: Path,
    night: dt.datetime | None,
    for_resident: bool,
    language: str | None,
    as_json: bool,
) -> None:
    """Where every number of a case comes from.

    Example: anomaly explain c260831-0f3a9c21d7 --settings anomaly.toml
    """
    from pipelines.config.settings import load_settings
    from pipelines.reporting import explain as explain_module

    settings = load_settings(settings_path)
    language = language or settings.site.languages[0]
    write = explain_module.resident_letter if for_resident else explain_module.explain
    text = write(settings, case_or_household, night and night.date(), language)
    print_data(as_json, text, asked=case_or_household, language=language, text=text)


@main.command()
@settings_option
@json_option
def status_command(settings_path: Path, as_json: bool) -> None:
    """The last runs: what was judged, listed and degraded.

    Example: anomaly status --settings anomaly.toml
    """
    from pipelines.config.settings import load_settings
    from pipelines.reporting import queries

    print_text(queries.status_text(load_settings(settings_path), as_json))


@main.command()
@settings_option
@json_option
def doctor_command(settings_path: Path, as_json: bool) -> None:
    """Check before the night what would stop or degrade it.

    Example: anomaly doctor --settings anomaly.toml
    """
    from pipelines.config.settings import load_settings
    from pipelines.jobs.preflight import check_site

    findings = check_site(load_settings(settings_path))
    marks = {True: "ok  ", False: "look"}
    lines = (f"{marks[found.fine]}  {found.what}: {printable(found.detail)}\n" for found in findings)
    rows = ({"message_type": "finding", **vars(found)} for found in findings)
    to_look_at = sum(not found.fine for found in findings)
    print_data(as_json, "".join(lines), rows, checks=len(findings), to_look_at=to_look_at)
    sys.exit(ExitCode.DEGRADED if to_look_at else ExitCode.DONE)


@main.group()
def calendar_group() -> None:
    """The calendar in force.

    Example: anomaly calendar show --settings anomaly.toml --year 2027
    """


@calendar_group.command(name="show")
@settings_option
@click.option("--year", type=click.IntRange(1970, 2100), help="The year; this one if left out.")
@json_option
def show_calendar_command(settings_path: Path, year: int | None, as_json: bool) -> None:
    """Holidays, made-up workdays and moving windows of a year.

    Example: anomaly calendar show --settings anomaly.toml --year 2027
    """
    from pipelines.config.settings import load_settings
    from pipelines.reporting import queries

    settings, year = load_settings(settings_path), year or dt.date.today().year
    days = queries.calendar_of_year(settings, year)
    special = days.filter(days["kind"].is_in(["holiday", "workday"]) | days["window"].is_not_null())
    rows = ({"message_type": "day", **row} for row in special.iter_rows(named=True))
    print_data(
        as_json,
        queries.calendar_text(settings, year),
        rows,
        calendar=settings.site.calendar,
        year=year,
        provisional=bool(days["provisional"].any()),
    )


@main.command()
@click.option("--language", type=click.Choice(["en", "zh"]), default="en", help="Language of the meanings.")
@json_option
def tables_command(language: str, as_json: bool) -> None:
    """The data dictionary of the published file.

    Example: anomaly tables --language zh
    """
    from pipelines.publish.dictionary import data_dictionary
    from pipelines.reporting import queries

    rows = [{"message_type": "column", **row} for row in data_dictionary().iter_rows(named=True)]
    print_data(as_json, queries.dictionary_text(language), rows, columns=len(rows))


@main.command()
@click.argument("folder", type=click.Path(path_type=Path), metavar="DIR")
@json_option
def init_command(folder: Path, as_json: bool) -> None:
    """A commented settings file and folders to start from.

    Example: anomaly init nanming
    """
    from pipelines.jobs.init_site import create_site, next_step

    made = create_site(folder)
    print_data(as_json, "".join(f"{path}\n" for path in made), made=made, next=next_step(made[0]))
    if not as_json:
        print_message(next_step(made[0]))


@main.command()
@click.argument("folder", type=click.Path(path_type=Path), metavar="DIR")
@click.option(
    "--homes", type=click.IntRange(1, 1_000_000), default=300, show_default=True, help="Households."
)
@click.option(
    "--days", type=click.IntRange(30, 2000), default=427, show_default=True, help="Days of history."
)
@click.option(
    "--city",
    "preset",
    type=click.Choice(["mixed", "nuisances", "few", "young", "coarse"]),
    default="mixed",
    show_default=True,
    help="What happens in it.",
)
@click.option("--seed", type=int, default=1, show_default=True, help="The same seed gives the same city.")
@json_option
def simulate_command(folder: Path, homes: int, days: int, preset: str, seed: int, as_json: bool) -> None:
    """A synthetic city with known truth, in the form of real exports.

    Example: anomaly simulate mycity --homes 500 --seed 7
    """
    from pipelines.jobs.simulate_city import make_city

    text = make_city(folder, preset, homes, days, seed)
    print_data(as_json, f"{text}\n", homes=homes, days=days, folder=folder, text=text)


@main.command()
@settings_option
@click.option("--seed", type=int, default=1, show_default=True, help="Where the surges are planted.")
@click.option(
    "--nights",
    type=click.IntRange(10, 365),
    default=60,
    show_default=True,
    help="Nights to judge, the last ones.",
)
@click.option(
    "--rounds",
    type=click.IntRange(1, 100),
    help="Copies; more give narrower intervals. If left out, as many as give some 120 surges, 2 to 8.",
)
@json_option
def evaluate_command(settings_path: Path, seed: int, nights: int, rounds: int | None, as_json: bool) -> None:
    """Plant surges into a copy of the site's own data: what share is found, how soon, at how many wrong
    doors.

    Example: anomaly evaluate --settings anomaly.toml
    """
    from pipelines.jobs import evaluate as evaluation
    from pipelines.jobs.site_places import load_site

    settings = load_site(settings_path)
    measured = evaluation.evaluate_site(settings, seed, nights, rounds, progress_display(as_json))
    page = evaluation.write_evaluation_page(settings, measured)
    if as_json:
        print_text(evaluation.card_json(measured, page))
    else:
        clear_progress()
        print_text(f"{evaluation.card_text(measured)}\npage  {page}\n")


@main.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion_command(shell: str) -> None:
    """Print what teaches a shell to complete commands, options and the codes of open cases.

    Example: anomaly completion bash
    """
    from click.shell_completion import get_completion_class

    completion_class = get_completion_class(shell)
    assert completion_class is not None, "click completes in each of the shells that may be asked for"
    click.echo(completion_class(main, {}, "anomaly", "_ANOMALY_COMPLETE").source())


for command in review_commands.COMMANDS:
    main.add_command(command)


def program() -> None:
    """`anomaly` as it is installed."""
    run_and_exit(lambda: main(prog_name="anomaly"))
