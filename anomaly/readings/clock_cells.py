"""Read clocks that stand in a column of their own, and join them with the day beside them.

Forms that are read: 7:30, 07:30:00, 0730, 730, 7 (hours), 7:30 PM, 下午7:30, 7时30分, a range of two of
these, and the time cells of workbooks. Whole numbers from 1 to the number of hours, half-hours or
quarter-hours of a day count periods.
"""

import polars as pl

from anomaly.readings.signal_rule import SignalRule

_MIDNIGHT = r"[Tt\s]+0?0:00(?::00(?:\.0+)?)?$"  # what a workbook or a database adds to a day
_NO_DAY = r"^(?:1899-12-3[01]|1900-01-0[01]|1970-01-01|0001-01-01)[Tt\s]+"  # … and to a clock
_RANGE = r"^(.*\d.*?)\s*(?:-|–|—|~|～|至|到|\bto\b)\s*(.*\d.*)$"
_HALF_OF_DAY = (
    r"(?i)^(上午|凌晨|早上|下午|晚上|am|pm|a\.m\.|p\.m\.)?\s*"
    r"(\d{1,2})(?::(\d{2}))?(?::(\d{2}))?\s*(am|pm|a\.m\.|p\.m\.)?$"
)
_PERIODS_A_DAY = (24, 48, 96)
LONGEST_DAY_HOURS = 25


def join_clocks(days: pl.Series, clocks: pl.Series, rule: SignalRule) -> pl.Series:
    """Return cells such as "2026-06-01 07:30" of a column of days and one of clocks; null where either is.

    days: text or typed days. clocks: text. Both are read as they stand where `rule.time_format` reads a clock
    too. Of a range the end that `rule.stamp` names is taken.
    """
    days = days.cast(pl.String).str.replace(_MIDNIGHT, "")
    if rule.time_format and not rule.format_reads_clock:
        read = days.str.to_date(rule.time_format, strict=False).cast(pl.String)
        days = read.zip_with(read.is_not_null(), days)
    distinct = clocks.unique().drop_nulls().sort()
    if not rule.format_reads_clock and distinct.len():
        clocks = clocks.replace_strict(distinct, _plain_clocks(distinct, rule), default=None)
    cells = pl.DataFrame({"day": days, "clock": clocks})
    return cells.select(pl.format("{} {}", "day", "clock")).to_series().rename("cell")


def _plain_clocks(clocks: pl.Series, rule: SignalRule) -> pl.Series:
    """Return each clock as H:MM or H:MM:SS where its form is known, and as it stands elsewhere."""
    text = clocks.str.strip_chars().str.replace(_NO_DAY, "").str.replace(r"^(\d+)\.0$", "${1}")
    text = text.str.replace_all(r"[时時点點hH：]", ":").str.replace_all(r"分(\d)", ":${1}")
    text = text.str.replace_all(r"[分秒]", "").str.strip_chars_end(":")
    start, end = (text.str.extract(_RANGE, group) for group in (1, 2))
    end = end.str.replace(r"^0?0:00(:00)?$", "24:00")  # … to 00:00 is the end of the day
    part = end if rule.stamp == "end" else start
    text = part.zip_with(part.is_not_null(), text)
    numbers = text.str.extract(r"^(\d{1,2})$").cast(pl.Int64)
    plain = _clocks_with_halves(text)
    if text.str.contains(r"^\d{3,6}$").any():  # 30 beside 100 and 1230 is 00:30
        digits = text.str.extract(r"^(\d{1,6})$")
        digits = digits.str.zfill(4).zip_with(digits.str.len_chars() <= 4, digits.str.zfill(6))
        digits = digits.str.replace(r"^(\d\d)(\d\d)(\d\d)?$", "${1}:${2}:${3}").str.strip_chars_end(":")
        plain = digits.zip_with(digits.is_not_null(), plain)
    elif numbers.null_count() < len(numbers):
        plain = _clocks_of_numbers(numbers, rule).zip_with(numbers.is_not_null(), plain)
    return plain.zip_with(plain.is_not_null(), text)


def _clocks_of_numbers(numbers: pl.Series, rule: SignalRule) -> pl.Series:
    """Return the clocks that hours or numbers of periods stand for.

    Numbers that begin at 1 and reach the periods of a whole day count them; others are hours of the clock.
    """
    all_numbers = numbers.drop_nulls().to_numpy()
    least, most = int(all_numbers.min()), int(all_numbers.max())
    a_day = next((n for n in _PERIODS_A_DAY if most <= n * LONGEST_DAY_HOURS / 24), _PERIODS_A_DAY[-1])
    counts_periods = least != 0 and most >= (23 if a_day == 24 else a_day / 2)
    minutes = 24 * 60 // a_day
    at = (pl.col("number") - (1 if counts_periods and rule.stamp == "start" else 0)) * minutes
    clock = pl.format("{}:{}", at // 60, (at % 60).cast(pl.String).str.zfill(2))
    # the periods that a day of 25 hours has more keep their day, each with a time of its own
    further = pl.format("23:59:59.{}", pl.col("number").cast(pl.String).str.zfill(4))
    clock = pl.when(pl.lit(counts_periods) & (pl.col("number") > a_day)).then(further).otherwise(clock)
    return numbers.to_frame("number").select(clock).to_series()


def _clocks_with_halves(text: pl.Series) -> pl.Series:
    """Return clocks of twelve hours as clocks of twenty-four; null for all others."""
    parts = text.to_frame("cell").select(pl.col("cell").str.extract_groups(_HALF_OF_DAY).alias("parts"))
    parts = parts.unnest("parts").rename(
        {"1": "before", "2": "hour", "3": "minute", "4": "second", "5": "after"}
    )
    mark = pl.coalesce("before", "after").str.to_lowercase()
    is_later = mark.str.starts_with("p") | mark.is_in(["下午", "晚上"])
    hour = pl.col("hour").cast(pl.Int64) % 12 + pl.when(is_later).then(12).otherwise(0)
    zero = pl.lit("00")
    clock = pl.format("{}:{}:{}", hour, pl.coalesce("minute", zero), pl.coalesce("second", zero))
    return parts.select(pl.when(mark.is_not_null()).then(clock)).to_series()
