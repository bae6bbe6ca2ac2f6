"""Refuse files whose cells have lost their meaning before they came here: ids and numbers that cannot be
told.

A spreadsheet shows a long id as 5,41E+17 and keeps 15 of its digits; a decimal comma read as a sign between
thousands makes a use a thousand times as large. Neither can be mended afterwards.
"""

import polars as pl

from anomaly.readings import SignalRule
from pipelines.config.sections import Source
from pipelines.ingest.text_table import MalformedFile

KEPT_DIGITS = 15
"""Digits that a spreadsheet keeps of a number."""
CHANCE_ZEROS = 3
"""So many zeros behind the kept digits, over all ids, and no other digit there, are no chance."""
SHORTEST_SCIENTIFIC = 5
"""Characters of an id such as 5E+17."""
_SCIENTIFIC = r"^\d[.,]?\d*E\+\d{2}$|^\d[.,]\d{2,}[eE]\+?\d{2}$"
_LONG = rf"^\d{{{KEPT_DIGITS + 1},}}$"
PLAIN_CELLS = 3
"""So many whole numbers of three digits beside numbers with one sign make that sign one between thousands."""


def refuse_lost_ids(cells: pl.DataFrame, source: Source) -> None:
    """Raise MalformedFile where household ids went through a spreadsheet as numbers and lost digits."""
    ids = cells["household"]
    if ids.dtype != pl.String or _longest(ids) < SHORTEST_SCIENTIFIC:
        return
    column = source.columns["household"]
    if (scientific := ids.filter(ids.str.contains(_SCIENTIFIC).fill_null(False))).len():
        raise _lost_ids(f"has ids such as {scientific[0]!r} in `{column}`: their digits are lost", column)
    if _longest(ids) <= KEPT_DIGITS:
        return
    long = ids.filter(ids.str.contains(_LONG).fill_null(False)).unique()
    rest = long.str.slice(KEPT_DIGITS)
    if long.len() and rest.str.contains(r"^0+$").all() and rest.str.len_bytes().sum() >= CHANCE_ZEROS:
        example = long.sort()[0]
        raise _lost_ids(
            f"has ids such as {example!r} in `{column}` that all end in zeros behind {KEPT_DIGITS} digits: "
            "a spreadsheet rounded them",
            column,
        )


def _longest(texts: pl.Series) -> int:
    """Return the bytes of the longest text, 0 where there is none."""
    lengths = texts.str.len_bytes().drop_nulls().to_numpy()
    return int(lengths.max()) if len(lengths) else 0


def _lost_ids(problem: str, column: str) -> MalformedFile:
    return MalformedFile(
        problem,
        "export it again with that column as text, and do not open and save it in a spreadsheet",
        kept_problem=f"has ids in `{column}` whose digits are lost",
    )


def refuse_doubtful_decimals(cells: pl.DataFrame, source: Source, rule: SignalRule) -> None:
    """Raise MalformedFile where the decimal sign of the value column may be the other one.

    "0,312" is no group of thousands, nor is a sign that elsewhere in the column stands before other than
    three digits. Where every sign stands once before three digits, it is taken for decimal in a file whose
    separator is a semicolon, and where values would otherwise be more than any home uses in a day.
    """
    values = cells["value"]
    other = "," if source.decimal == "." else "."
    if values.dtype != pl.String or not values.str.contains(other, literal=True).any():
        return
    values = values.drop_nulls().str.strip_chars()
    signed = values.filter(values.str.contains(other, literal=True))
    numbers = signed.filter(signed.str.contains(rf"^[+-]?\d+(\{other}\d+)+(\{source.decimal}\d+)?$"))
    grouped = numbers.str.contains(rf"^[+-]?[1-9]\d{{0,2}}(\{other}\d{{3}}){{2,}}$").any()
    grouped |= numbers.str.contains(source.decimal, literal=True).any()
    if grouped or numbers.is_empty():
        return
    one_sign = numbers.filter(numbers.str.count_matches(other, literal=True) == 1)
    three_digits = one_sign.str.contains(rf"^[+-]?[1-9]\d{{0,2}}\{other}\d{{3}}$")
    if three_digits.all():
        plain = values.filter(~values.str.contains(other, literal=True))
        of_three = plain.filter(plain.str.contains(r"^\d{3}$")).len()
        semicolon = source.separator == ";" and other == ","
        no_plain = plain.is_empty() and other == "."
        if of_three >= PLAIN_CELLS or not (semicolon or no_plain or _beyond_any_day(one_sign, rule, other)):
            return
    example = (one_sign.filter(~three_digits) if not three_digits.all() else one_sign)[0]
    column = source.columns["value"]
    remedy = f'set decimal = "{other}" in [signals.{source.name}]'
    if three_digits.all():
        remedy += ", or export numbers without signs between thousands"
    look = f"in `{column}` that look like decimal {'commas' if other == ',' else 'points'}"
    raise MalformedFile(f"has values such as {example!r} {look}", remedy, kept_problem=f"has values {look}")


def _beyond_any_day(numbers: pl.Series, rule: SignalRule, group_sign: str) -> bool:
    """Return whether, read in groups of thousands, most values are more than any home uses in a day."""
    if rule.kind == "register" or rule.day_cap is None:
        return False
    values = numbers.str.replace(group_sign, "", literal=True).cast(pl.Float64, strict=False)
    typical = values.median()
    return isinstance(typical, float) and typical * rule.factor * rule.multiplier > rule.day_cap
