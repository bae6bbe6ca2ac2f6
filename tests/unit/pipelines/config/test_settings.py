"""The settings file: every name known or refused with a guess, every default written down."""

import datetime as dt
import re
import tomllib

import pytest

from pipelines.config.sections import REFERENCE
from pipelines.config.settings import check_purpose, listed_signatures, load_settings
from pipelines.errors import SettingsError
from tests.support.site import PURPOSE, SIGNALS

LEAST = (
    PURPOSE.format(signatures='["power"]')
    + '[store]\npath = "out/a.duckdb"\n\n[signals.power]\n'
    + SIGNALS["power"]
)


def write(folder, text: str):
    path = folder / "anomaly.toml"
    path.write_text(text, encoding="utf-8")
    return path


def refusal(folder, text: str) -> str:
    with pytest.raises(SettingsError) as caught:
        load_settings(write(folder, text))
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_purpose_store_and_one_signal_are_enough(tmp_path):
    settings = load_settings(write(tmp_path, LEAST))
    assert (
        settings.store == tmp_path / "out" / "a.duckdb" and settings.reports == tmp_path / "out" / "reports"
    )
    assert (
        settings.households is None
        and settings.worklist.doors_per_night == 20
        and settings.limits.rejects_share == 0.01
    )
    assert settings.rules["power"].factor == 1000


def test_a_mark_at_the_start_of_the_file_is_no_error(tmp_path):
    write(tmp_path, "").write_bytes(b"\xef\xbb\xbf" + LEAST.encode())
    assert load_settings(tmp_path / "anomaly.toml").site.name == "Site"


def test_paths_are_relative_to_the_settings_wherever_one_stands(tmp_path, monkeypatch):
    write(tmp_path, LEAST)
    monkeypatch.chdir(tmp_path.parent)
    assert (
        load_settings(tmp_path.relative_to(tmp_path.parent) / "anomaly.toml").store
        == tmp_path / "out" / "a.duckdb"
    )


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("[store]", "[stroe]", "unknown section [stroe]; did you mean `store`?"),
        ("path =", "paht =", "unknown name `paht` in [store]; did you mean `path`?"),
        (
            "legal_basis",
            "legal_bases",
            "unknown name `legal_bases` in [purpose]; did you mean `legal_basis`?",
        ),
        ("columns = {", "colums = {", "unknown name `colums` in [signals.power]; did you mean `columns`?"),
        ("household =", "houshold =", "[signals.power] columns: household is not mapped"),
        ('value = "used"', 'value = "used", exit = "out"', "unknown role `exit`; did you mean `exits`?"),
        (
            "[store]",
            "[worklist]\ndoors = 3\n[store]",
            "unknown name `doors` in [worklist]; did you mean `doors_per_night`?",
        ),
        ("[store]", "[expected]\nbaselinedays = 3\n[store]", "did you mean `baseline_days`?"),
        ("[store]", '[detectors]\nuse = ["alonee"]\n[store]', "unknown `alonee`; did you mean `alone`?"),
        ('["power"]', '["pwoer"]', "[purpose] signatures: unknown `pwoer`; did you mean `power`?"),
        ("[store]", "[watchlist]\nhouseholds = 3\n[store]", "unknown section [watchlist]"),
    ],
)
def test_what_is_misspelt_is_refused_with_a_guess(tmp_path, old, new, words):
    assert old in LEAST
    assert words in refusal(tmp_path, LEAST.replace(old, new))


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('kind = "usage"', 'kind = "total"', "choose count, usage, register or event"),
        ('unit = "kWh"', 'unit = "gallon"', "unit 'gallon' is not known"),
        ('unit = "kWh"', 'unit = "kWh"\nstamp = "middle"', "choose start or end"),
        ('unit = "kWh"', 'unit = "kWh"\ndecimal = ";"', "decimal ';' is not known"),
        ('unit = "kWh"', 'unit = "kWh"\nperiods = "n"', "periods needs periods_per_day"),
        ('unit = "kWh"', 'unit = "kWh"\nperiods_per_day = 0', "periods_per_day 0 must be at least 1"),
        ('unit = "kWh"', 'unit = "kWh"\nboundary_hours = 13', "must lie between 0 and 12"),
        ('unit = "kWh"', 'unit = "kWh"\nmax_per_day = -1', "not below 0"),
        ('"out/a.duckdb"', '"out/a.db"', "must end in .duckdb"),
        ("[store]", '[site]\ntimezone = "Mars/Olympus"\n[store]', "is not an IANA zone"),
        ("[store]", '[site]\nlanguages = ["fr"]\n[store]', "choose from en, zh"),
        ("[store]", "[site]\nlanguages = []\n[store]", "languages is empty"),
        (
            "[store]",
            "[worklist]\ndoors_per_night = -1\n[store]",
            "doors_per_night = -1; write a number that is not below 0",
        ),
        ("[store]", '[worklist]\ndoors_per_night = "many"\n[store]', "doors_per_night"),
        ("[store]", "[evidence]\nchance_cases = 0\n[store]", "write a number above 0"),
        ("expires = 2099-12-31", 'expires = "soon"', "purpose.expires"),
        ("[signals.power]", '[signals."pow er"]', "a signal is named in letters, digits and _"),
        ("[signals.power]", "[signals.people]", "not all, people, door or households"),
        ("[store]", "[store", "not readable as TOML"),
    ],
)
def test_what_cannot_be_meant_is_refused_in_one_line(tmp_path, old, new, words):
    assert old in LEAST
    message = refusal(tmp_path, LEAST.replace(old, new))
    assert words in message, message


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('[site]\nname = "a\\u001B[2J"', "[site.name] has the control sign '\\x1b'; write plain text"),
        ('[worklist]\ndesks = { water = "a\\u0000" }', "[worklist.desks.water] has the control sign '\\x00'"),
        ('[worklist]\ndesks = { "a\\u009B" = "x" }', "[worklist.desks] has the control sign '\\x9b'"),
        ('[notify]\ncommand = ["a\\u0007"]', "[notify.command] has the control sign '\\x07'"),
    ],
)
def test_control_signs_are_refused(tmp_path, line, words):
    assert words in refusal(tmp_path, LEAST.replace("[store]", f"{line}\n[store]"))


def test_a_separator_may_be_a_control_sign(tmp_path):
    text = LEAST.replace('kind = "usage"', 'kind = "usage"\nseparator = "\\u0001"')
    assert load_settings(write(tmp_path, text)).sources["power"].separator == "\x01"


@pytest.mark.parametrize("name", ["name", "legal_basis", "owner", "contact", "expires", "signatures"])
def test_a_purpose_is_whole_or_refused(tmp_path, name):
    line = next(line for line in LEAST.splitlines() if line.startswith(f"{name} ="))
    assert name in refusal(tmp_path, LEAST.replace(line, ""))


@pytest.mark.parametrize("name", ["name", "legal_basis", "owner", "contact"])
def test_a_purpose_is_filled_in_or_refused(tmp_path, name):
    """Empty, blank, or as `anomaly init` wrote it; an owner may well be called State Grid."""
    line = next(line for line in LEAST.splitlines() if line.startswith(f"{name} ="))
    left = tomllib.loads(REFERENCE.read_text(encoding="utf-8"))["purpose"][name]
    assert f"[purpose] {name} is empty" in refusal(tmp_path, LEAST.replace(line, f'{name} = ""'))
    assert f"[purpose] {name} is empty" in refusal(tmp_path, LEAST.replace(line, f'{name} = "  "'))
    assert f"[purpose] {name} still reads {left!r}" in refusal(
        tmp_path, LEAST.replace(line, f'{name} = "{left}"')
    )
    load_settings(write(tmp_path, LEAST.replace(line, f'{name} = "State Grid, Nanming"')))


def test_a_purpose_lists_at_least_one_kind_of_case(tmp_path):
    assert "[purpose] signatures is empty" in refusal(tmp_path, LEAST.replace('["power"]', "[]"))


@pytest.mark.parametrize(
    ("section", "line", "words"),
    [
        ("expected", "coarse_days = 0", "coarse_days = 0 is too small; write at least 1"),
        ("expected", "peers_min = 1", "write at least 2"),
        ("expected", "baseline_days = 13", "write at least 14"),
        ("expected", "least_days = 2", "write at least 3"),
        ("expected", "short_least_days = 2", "write at least 3"),
        ("expected", "guard_days = 0", "write at least 1"),
        ("expected", "short_guard_days = 0", "write at least 1"),
        ("expected", "vacancy_days = 0", "write at least 1"),
        ("expected", "least_days = 90", "exceeds baseline_days = 84"),
        ("expected", "vacant_share = 1.1", "a share lies between 0 and 1"),
        ("expected", "own_spread_share = nan", "a share lies between 0 and 1"),
        ("expected", "coarse_share = -0.1", "a share lies between 0 and 1"),
        ("expected", "floor_share = 2", "a share lies between 0 and 1"),
        ("expected", "least_spread = inf", "[expected] least_spread = inf"),
        ("expected", "guard_days = 99999999", "a number of at most 36,500"),
        ("evidence", "chance_cases = -1", "write a number above 0"),
        ("evidence", "chance_cases = inf", "write a number above 0"),
        ("evidence", "chance_cases = nan", "write a number above 0"),
        ("evidence", "kept_share = 0", "a share above 0 and at most 1"),
        ("evidence", "kept_share = 1.5", "a share above 0 and at most 1"),
        ("limits", "rejects_share = 1.5", "a share lies between 0 and 1"),
        ("cases", "quiet_days = 0", "write at least 1"),
        ("detectors", "use = []", "use is empty"),
        ("site", 'timezone = "Asia"', "is not an IANA zone"),
        ("worklist", 'desks = { pwoer = "x" }', "[worklist] desks: unknown `pwoer`; did you mean `power`?"),
        ("worklist", 'desks = { entries = "x" }', "[worklist] desks: unknown `entries`"),
    ],
)
def test_what_would_judge_nothing_or_break_the_night_is_refused(tmp_path, section, line, words):
    message = refusal(tmp_path, LEAST.replace("[store]", f"[{section}]\n{line}\n[store]"))
    assert words in message, message


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("max_per_day = inf", "max_per_day = inf; write a number of at most"),
        ("max_per_day = 1e300", "write a number of at most"),
        ("boundary_hours = nan", "boundary_hours = nan"),
        ('separator = ""', "separator = ''; write exactly one character"),
        ('separator = ";;"', "write exactly one character"),
        ('time_format = "day"', "time_format = 'day' reads no day"),
        ('time_format = "%Q/%Y"', "reads no day"),
        ('time_format = "%H:%M"', "reads no day"),
        ('time_format = "%d/%m"', "reads no day"),
        ('shape = "wide"', "shape = 'wide'; choose long, intervals, meters, nem12"),
        (
            'shape = "meters"',
            "columns: shape = 'meters' finds household by itself; write columns = { time = … }",
        ),
        ('shape = "intervals"', "finds value by itself; write columns = { household = …, time = … }"),
        ('household_from_file = "m("', "household_from_file = 'm(' is no pattern"),
        ('household_from_file = "(a)(b)"', "has 2 groups; put brackets round the id alone"),
        ('household_from_file = "a"', "the id stands in the file already"),
        ("header_row = 0", "header_row = 0; rows are counted from 1"),
    ],
)
def test_what_no_export_can_be_read_with_is_refused(tmp_path, line, words):
    message = refusal(tmp_path, LEAST + line + "\n")
    assert words in message and "[signals.power]" in message, message


def test_nem12_needs_no_columns(tmp_path):
    log = LEAST[: LEAST.index("[signals.power]")]
    log += '[signals.power]\nfiles = "a.csv"\nkind = "usage"\nunit = "kWh"\nshape = "nem12"\n'
    source = load_settings(write(tmp_path, log)).sources["power"]
    assert source.columns.keys() == {"household", "time", "value"} and source.unit == "kWh"
    assert "take columns out" in refusal(tmp_path, log + 'columns = { time = "day" }\n')
    assert 'has kind = "usage"' in refusal(tmp_path, log.replace("usage", "register"))
    assert "take out time_format" in refusal(tmp_path, log + 'time_format = "%Y%m%d"\n')


def test_an_event_log_needs_home_and_time(tmp_path):
    log = LEAST[: LEAST.index("[signals.power]")] + '[signals.power]\nfiles = "a.csv"\nkind = "event"\n'
    named = 'columns = { household = "id", time = "at" }\n'
    settings = load_settings(write(tmp_path, log + named))
    assert (settings.rules["power"].kind, settings.rules["power"].events) == ("count", True)
    assert "take out columns.value" in refusal(tmp_path, log + named.replace("}", ', value = "n" }'))
    assert "take out shape and unit" in refusal(tmp_path, log + named + 'unit = "kWh"\n')


def test_ids_in_names_of_files_are_not_hidden_by_pseudonyms(tmp_path):
    named = re.sub(r'household = "[^"]*", ', "", LEAST) + "household_from_file = 'm(\\d+)'\n"
    assert load_settings(write(tmp_path, named)).sources["power"].columns["household"] == "(file)"
    message = refusal(tmp_path, named + '[pseudonyms]\nkey = "k"\n')
    assert "names of files are kept" in message


def test_a_wide_table_needs_only_the_columns_that_stand_beside_its_values(tmp_path):
    for shape, columns in {"meters": 'time = "day"', "intervals": 'household = "id", time = "day"'}.items():
        wide = LEAST[: LEAST.index("columns = ")] + f'columns = {{ {columns} }}\nshape = "{shape}"\n'
        source = load_settings(write(tmp_path, wide)).sources["power"]
        assert source.columns.keys() == {"household", "time", "value"} and source.shape == shape
    message = refusal(tmp_path, wide.replace('household = "id", ', ""))
    assert "household is not mapped" in message
    assert "periods has no meaning" in refusal(tmp_path, wide + 'periods = "n"\nperiods_per_day = 48\n')


@pytest.mark.parametrize(
    "form",
    [
        "%d/%m/%Y %H:%M:%S",
        "%Y%m%d",
        "%d.%m.%y %H:%M",
        "%s",
        "%Y-%m-%dT%H:%M:%S%z",
        "%+",
        "%b %d, %Y %I:%M %p",
        "%Y年%m月%d日",
    ],
)
def test_forms_of_times_that_exports_have_are_taken(tmp_path, form):
    assert (
        load_settings(write(tmp_path, LEAST + f'time_format = "{form}"\n')).rules["power"].time_format == form
    )


def test_a_signals_name_has_at_most_forty_characters(tmp_path):
    load_settings(write(tmp_path, LEAST.replace("[signals.power]", f"[signals.{'g' * 40}]")))
    assert "has 41 characters" in refusal(tmp_path, LEAST.replace("[signals.power]", f"[signals.{'g' * 41}]"))


def test_desks_may_name_every_kind_the_signals_make(tmp_path):
    text = (
        LEAST
        + "\n[signals.gas]\n"
        + SIGNALS["power"]
        + '[worklist]\ndesks = { people = "a", door = "b", gas = "c", water = "d" }\n'
    )
    assert load_settings(write(tmp_path, text)).worklist.desks["gas"] == "c"


def test_no_purpose_no_signal_no_store(tmp_path):
    assert "[purpose] is missing" in refusal(tmp_path, LEAST[LEAST.index("[store]") :])
    assert "signals" in refusal(tmp_path, LEAST[: LEAST.index("[signals")])
    assert "store" in refusal(tmp_path, LEAST.replace('[store]\npath = "out/a.duckdb"\n', ""))


def test_the_purpose_holds_to_its_last_day(tmp_path):
    settings = load_settings(write(tmp_path, LEAST.replace("2099-12-31", "2027-06-30")))
    check_purpose(settings, dt.date(2027, 6, 30))
    with pytest.raises(SettingsError, match="expired on 2027-06-30"):
        check_purpose(settings, dt.date(2027, 7, 1))


@pytest.mark.parametrize(
    ("signals", "purpose", "listed"),
    [
        (["power"], ["people", "water", "power", "door"], ["power"]),
        (["power", "gas"], ["people", "gas", "power"], ["gas", "people", "power"]),
        (["power", "gas"], ["power"], ["power"]),
    ],
)
def test_listed_are_the_kinds_of_the_purpose_that_the_signals_can_make(tmp_path, signals, purpose, listed):
    """A rise of people takes two signals."""
    text = PURPOSE.format(signatures=str(purpose).replace("'", '"')) + '[store]\npath = "a.duckdb"\n'
    text += "".join(f"[signals.{name}]\n{SIGNALS['power']}" for name in signals)
    assert listed_signatures(load_settings(write(tmp_path, text))) == listed
