"""Commands of those who decide and answer for the site: decide, outcomes, assign, reveal, audit, prune."""

import datetime as dt
import sys
from pathlib import Path

import click

from pipelines.cli.console import json_option, print_data, print_message, print_messages, settings_option
from pipelines.errors import AnomalyError, ExitCode
from pipelines.runtime.cache_folders import choose_cache_folders

# those of anomaly.tables, which is slow to import
OUTCOMES = ("confirmed", "benign", "no_access", "not_visited", "contested")


def case_codes(context: click.Context, parameter: click.Parameter, begun: str) -> list[str]:
    """Return the codes of open cases, for a shell to complete; none where settings or file cannot be read."""
    try:
        choose_cache_folders()
        from pipelines.config.settings import load_settings
        from pipelines.reporting import queries

        settings = load_settings(context.params.get("settings_path") or Path("anomaly.toml"))
        found = queries.query_published(
            settings,
            "SELECT case_id FROM v1.cases"
            " WHERE status <> 'closed' AND starts_with(case_id, $begun) ORDER BY 1",
            begun=begun,
        )
    except (AnomalyError, OSError):
        return []
    return found["case_id"].to_list()


case_argument = click.argument("case", shell_complete=case_codes)
by_option = click.option("--by", metavar="NAME", help="Who records it.")


@click.command()
@case_argument
@click.argument("outcome", type=click.Choice(OUTCOMES), metavar="OUTCOME")
@settings_option
@click.option(
    "--reason", required=True, metavar="TEXT", help="Why, in a few words; no names or numbers of persons."
)
@by_option
@click.option("--minutes", type=click.IntRange(0, 99_999), help="How many minutes it took.")
@click.option(
    "--day",
    type=click.DateTime(["%Y-%m-%d"]),
    metavar="D",
    help="The day of the visit, YYYY-MM-DD; today if left out.",
)
@json_option
def decide_command(
    case: str, outcome: str, settings_path: Path, reason: str, day: dt.datetime | None, as_json: bool, **more
) -> None:
    """Record what a person decided or found; the published file is swapped at once.

    OUTCOME is confirmed, benign, contested, no_access or not_visited. The last two say nothing: the door
    stays on the list.

    Example: anomaly decide c260831-0f3a9c21d7 benign --settings anomaly.toml --reason "guests until Sunday"
    """
    from pipelines.jobs import record_outcome
    from pipelines.jobs.site_places import load_site

    settings = load_site(settings_path)
    visited = day.date() if day else record_outcome.local_today(settings)
    remarks = record_outcome.decide(
        settings, record_outcome.OutcomeEntry(case, outcome, reason, visited, **more)
    )
    lines = [f"{case}: {outcome}, recorded for {visited}", *remarks]
    print_messages(as_json, lines, case=case, outcome=outcome, day=visited, told=remarks)


@click.group()
def outcomes_group() -> None:
    """Answers from the field, many at once.

    Example: anomaly outcomes import field.csv --settings anomaly.toml
    """


@outcomes_group.command(name="import")
@click.argument("file", type=click.Path(path_type=Path))
@settings_option
@json_option
def import_outcomes_command(file: Path, settings_path: Path, as_json: bool) -> None:
    """Record the answers of a CSV file: case, day, outcome, reason, by, minutes.

    Example: anomaly outcomes import field.csv --settings anomaly.toml
    """
    from pipelines.jobs import record_outcome
    from pipelines.jobs.site_places import load_site

    result = record_outcome.import_outcomes(load_site(settings_path), file)
    counts = {"recorded": result.recorded, "already": result.already, "refused": len(result.refused)}
    first_line = f"{result.recorded} recorded, {result.already} were there already"
    rows = ({"message_type": "refused", "text": line} for line in result.refused)
    print_messages(as_json, [first_line, *result.refused, *result.remarks], rows, **counts)
    if result.refused:
        sys.exit(ExitCode.DEGRADED)


@click.command()
@case_argument
@settings_option
@click.option("--to", required=True, metavar="NAME", help="Who is to look at it.")
@by_option
@json_option
def assign_command(case: str, settings_path: Path, to: str, by: str | None, as_json: bool) -> None:
    """Give a case to a person or a team.

    Example: anomaly assign c260831-0f3a9c21d7 --settings anomaly.toml --to "team 2"
    """
    from pipelines.jobs import record_outcome
    from pipelines.jobs.site_places import load_site

    remarks = record_outcome.assign(load_site(settings_path), case, to, by)
    print_messages(as_json, [f"{case}: assigned to {to}", *remarks], case=case, to=to, told=remarks)


@click.command()
@case_argument
@settings_option
@click.option("--reason", required=True, metavar="TEXT", help="Why the home must be known.")
@click.option("--by", required=True, metavar="NAME", help="Who asks.")
@json_option
def reveal_command(case: str, settings_path: Path, reason: str, by: str, as_json: bool) -> None:
    """Open the private map for one case: print the id behind its code, after the request was logged.

    Example: anomaly reveal c260831-0f3a9c21d7 --settings anomaly.toml --reason "visit on Friday" --by "A. Li"
    """
    from pipelines.jobs import record_outcome
    from pipelines.jobs.site_places import load_site

    household = record_outcome.reveal(load_site(settings_path), case, reason, by)
    print_data(as_json, f"{household}\n", case=case, household=household)


@click.group()
def audit_group() -> None:
    """The audit log, fairness and the record for the public.

    Example: anomaly audit verify --settings anomaly.toml
    """


@audit_group.command(name="verify")
@settings_option
@json_option
def verify_audit_command(settings_path: Path, as_json: bool) -> None:
    """Check that no line of the audit log was changed, removed or moved.

    Example: anomaly audit verify --settings anomaly.toml
    """
    from pipelines.config.settings import load_settings
    from pipelines.errors import NotFound
    from pipelines.storage.audit_log import AuditLog
    from pipelines.storage.state import Store

    audit_log = AuditLog(Store(load_settings(settings_path).store))
    lines, last = audit_log.verify()
    if not lines:
        raise NotFound(
            f"{audit_log.path}: there is no audit log yet; run `anomaly nightly --settings …` first"
        )
    print_data(as_json, f"{lines} lines, the chain is whole; last {last}\n", lines=lines, last=last)


@audit_group.command(name="fairness")
@settings_option
@json_option
def fairness_command(settings_path: Path, as_json: bool) -> None:
    """Who is listed, visited, confirmed and wrong, by district and dwelling class: a table and a page.

    Example: anomaly audit fairness --settings anomaly.toml
    """
    from pipelines.jobs.site_places import load_site
    from pipelines.reporting import fairness
    from pipelines.storage.audit_log import AuditLog
    from pipelines.storage.state import Store

    settings = load_site(settings_path)
    store = Store(settings.store)
    groups = fairness.fairness_rates(settings, store)
    page = fairness.write_fairness_page(settings, groups)
    rows = ({"message_type": "group", **row} for row in groups.iter_rows(named=True))
    counts = {"groups": groups.height, "stopped": groups["stop"].sum()}
    print_data(as_json, fairness.fairness_text(groups), rows, **counts, page=page)
    if not as_json:
        print_message(f"page  {page}")
    AuditLog(store).append("fairness", groups=groups.height, stop=groups.filter("stop")["name"].to_list())
    if groups["stop"].any():
        sys.exit(ExitCode.DEGRADED)


@audit_group.command(name="record")
@settings_option
@json_option
def record_command(settings_path: Path, as_json: bool) -> None:
    """Write the transparency record and a draft impact assessment from the settings and the account.

    Example: anomaly audit record --settings anomaly.toml
    """
    from pipelines.jobs.site_places import load_site
    from pipelines.reporting import fairness
    from pipelines.storage.audit_log import AuditLog
    from pipelines.storage.state import Store

    settings = load_site(settings_path)
    page = fairness.write_record_page(settings)
    AuditLog(Store(settings.store)).append("record", settings_sha256=settings.sha256)
    print_data(as_json, f"{page}\n", page=page)


@click.command()
@settings_option
@click.option("--dry-run", is_flag=True, help="Only say what would be taken out.")
@click.option(
    "--clock-is-right", is_flag=True, help="Go on, though today's date is far from all this site has seen."
)
@json_option
def prune_command(settings_path: Path, dry_run: bool, clock_is_right: bool, as_json: bool) -> None:
    """Take out what is older than [retention] allows, from the state, the pages and the published file.

    Example: anomaly prune --settings anomaly.toml --dry-run
    """
    from pipelines.jobs import retention
    from pipelines.jobs.site_places import load_site

    pruned = retention.prune(load_site(settings_path), dry_run, clock_is_right)
    rows = (
        {"message_type": "class", "class": data.name, "before": data.before, "rows": data.rows}
        | {"places": len(data.places)}
        for data in pruned.expired
    )
    text = "".join(f"{data.describe()}\n" for data in pruned.expired)
    print_data(as_json, text, rows, dry_run=dry_run, total=sum(data.rows for data in pruned.expired))
    if not as_json:
        for line in pruned.remarks:
            print_message(line)
    if dry_run and not as_json:
        print_message("nothing was taken out: a dry run")


COMMANDS = (
    decide_command,
    outcomes_group,
    assign_command,
    reveal_command,
    prune_command,
    audit_group,
)
