"""SignalRule: what the settings say about one signal before its first row is read."""

from dataclasses import dataclass
from zoneinfo import ZoneInfo

from anomaly.readings.units import DAY_CAPS, base_unit, is_power

SIGNAL_KINDS = ("count", "usage", "register")
STAMPS = ("start", "end")
CLOCK_PARTS = ("%H", "%I", "%k", "%l", "%M", "%S", "%T", "%R", "%X", "%c", "%r", "%s", "%+")
"""Parts of a time format that read a clock."""


@dataclass(frozen=True)
class SignalRule:
    """How the rows of one signal are to be read.

    kind: "count" (passages in a period), "usage" (consumption in a period) or "register" (cumulative meter
    reading).
    unit: one of `units.UNITS`.
    time_format: strftime form of the time cells; None: ISO 8601 and its usual relatives.
    stamp: which end of its period a row's time names; without meaning for a register.
    periods_per_day: how many finer periods a whole day's row counts, where rows say how many they hold.
    decimal: the decimal sign of number cells.
    timezone: IANA name of the zone in which a day begins.
    source_timezone: IANA name of the zone of times without an offset; None: the same.
    max_per_day: base units that no day exceeds; None: DAY_CAPS of the base unit; 0: no cap.
    events: the rows of a count are passages, each one of its own, and come when they like.
    boundary_hours: how far from midnight a register reading may lie and still tell the level at midnight.
    combine: "sum": rows of one home and time that differ in their meter are summed; None: they contradict.
    keep: words of the meter column that are read; rows with others are passed over. Empty: all.
    actual: words of the read-type column; a row with another one is estimated. Empty: all rows are actual.
    absent: words in the value column that say there was no reading; such a row is passed over.
    multiplier: what a meter's values are multiplied by, such as the ratio of its current transformer.
    restarts: "daily": a register that begins at 0 each day.

    Raises ValueError, one line, when a field cannot be meant.
    """

    name: str
    kind: str
    unit: str = "count"
    time_format: str | None = None
    stamp: str = "start"
    periods_per_day: int | None = None
    decimal: str = "."
    timezone: str = "UTC"
    source_timezone: str | None = None
    max_per_day: int | None = None
    boundary_hours: float = 3.0
    events: bool = False
    combine: str | None = None
    keep: tuple[str, ...] = ()
    actual: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()
    multiplier: float = 1.0
    restarts: str | None = None

    def __post_init__(self) -> None:
        base_unit(self.unit)
        for field, value, allowed in (
            ("kind", self.kind, SIGNAL_KINDS),
            ("stamp", self.stamp, STAMPS),
            ("decimal", self.decimal, (".", ",")),
            ("combine", self.combine, (None, "sum")),
            ("restarts", self.restarts, (None, "daily")),
        ):
            if value not in allowed:
                choices = ", ".join(filter(None, allowed))
                raise ValueError(
                    f"signal {self.name!r}: {field} {value!r} is not known; write one of {choices}"
                )
        if not 0 <= self.boundary_hours <= 12:
            raise ValueError(
                f"signal {self.name!r}: boundary_hours {self.boundary_hours} must lie between 0 and 12"
            )
        if self.periods_per_day is not None and self.periods_per_day < 1:
            raise ValueError(
                f"signal {self.name!r}: periods_per_day {self.periods_per_day} must be at least 1"
            )
        if not 0 < self.multiplier < 1e9:
            raise ValueError(f"signal {self.name!r}: multiplier {self.multiplier} must be above 0")
        if self.restarts and self.kind != "register":
            raise ValueError(f"signal {self.name!r}: restarts belongs to a register, and kind is {self.kind}")
        if self.is_power and self.kind != "usage":
            raise ValueError(f'signal {self.name!r}: unit {self.unit!r} is mean power; write kind = "usage"')
        for timezone in (self.timezone, self.source_timezone):
            _check_timezone(timezone)

    @property
    def base(self) -> str:
        """The integer unit in which values are kept."""
        return base_unit(self.unit)[0]

    @property
    def factor(self) -> float:
        """Base units in one `unit`."""
        return base_unit(self.unit)[1]

    @property
    def is_power(self) -> bool:
        """True where values are mean power, which the length of its period makes a use."""
        return is_power(self.unit)

    @property
    def day_cap(self) -> int | None:
        """Base units that no day can exceed, or None where no such limit is known."""
        cap = DAY_CAPS.get(self.base) if self.max_per_day is None else self.max_per_day
        return cap or None

    @property
    def format_reads_clock(self) -> bool:
        """True where the time format reads a clock beside the day."""
        return any(part in (self.time_format or "") for part in CLOCK_PARTS)


def _check_timezone(name: str | None) -> None:
    """Raise ValueError for a name that is no zone."""
    try:
        ZoneInfo("UTC" if name is None else name)
    # ZoneInfoNotFoundError is a KeyError; "" and "a/../b" raise the others
    except (KeyError, ValueError, OSError) as error:
        raise ValueError(
            f"timezone {name!r} is not known; write an IANA name such as Asia/Shanghai, or UTC"
        ) from error
