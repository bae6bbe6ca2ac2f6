"""What is known about a signal before its first row is read: kind, unit, clock and physical limits."""

from dataclasses import dataclass
from zoneinfo import ZoneInfo

KINDS = ("count", "usage", "register")
STAMPS = ("start", "end")

# unit as written in the settings (any case) -> base unit, base units in one of it
UNITS: dict[str, tuple[str, float]] = {
    "count": ("count", 1.0),
    "litre": ("litre", 1.0),
    "l": ("litre", 1.0),
    "m3": ("litre", 1000.0),
    "wh": ("Wh", 1.0),
    "kwh": ("Wh", 1000.0),
    "mwh": ("Wh", 1_000_000.0),
    "cent": ("cent", 1.0),
}

# What no home exceeds in a day: a 20 mm connection running all day (2 m3/h), 25 kW all day, one passage every 17 s.
DAY_CAPS = {"litre": 50_000, "Wh": 600_000, "count": 5_000}


def base_unit(unit: str) -> tuple[str, float]:
    """The integer unit a signal is kept in and how many of it one `unit` holds: "m3" -> ("litre", 1000.0).

    Raises ValueError for a unit that is not known, naming those that are.
    """
    known = UNITS.get(unit.strip().replace("³", "3").lower())
    if known is None:
        names = ["Wh", "kWh", "MWh", "m3", "litre", "l", "count", "cent"]
        raise ValueError(
            f"unit {unit!r} is not known; write one of {', '.join(sorted(names, key=str.lower))}"
        )
    return known


@dataclass(frozen=True)
class SignalRule:
    """How the rows of one signal are to be read. Raises ValueError, one line, when a field cannot be meant.

    `max_per_day` is in base units; left out, it follows the base unit (DAY_CAPS), and 0 means no cap.
    """

    name: str
    kind: str
    unit: str = "count"
    time_format: str | None = None
    stamp: str = "start"
    periods_per_day: int | None = None
    decimal: str = "."
    timezone: str = "UTC"
    max_per_day: int | None = None
    boundary_hours: float = 3.0

    def __post_init__(self) -> None:
        base_unit(self.unit)
        for field, value, allowed in (
            ("kind", self.kind, KINDS),
            ("stamp", self.stamp, STAMPS),
            ("decimal", self.decimal, (".", ",")),
        ):
            if value not in allowed:
                raise ValueError(
                    f"signal {self.name!r}: {field} {value!r} is not known; write one of {', '.join(allowed)}"
                )
        if not 0 <= self.boundary_hours <= 12:
            raise ValueError(
                f"signal {self.name!r}: boundary_hours {self.boundary_hours} must lie between 0 and 12"
            )
        if self.periods_per_day is not None and self.periods_per_day < 1:
            raise ValueError(
                f"signal {self.name!r}: periods_per_day {self.periods_per_day} must be at least 1"
            )
        try:
            ZoneInfo(self.timezone)
        except (
            KeyError,
            ValueError,
            OSError,
        ) as err:  # ZoneInfoNotFoundError is a KeyError; "" and "a/../b" raise the others
            raise ValueError(
                f"timezone {self.timezone!r} is not known; write an IANA name such as Asia/Shanghai"
            ) from err

    @property
    def base(self) -> str:
        """The integer unit values are kept in."""
        return base_unit(self.unit)[0]

    @property
    def factor(self) -> float:
        """Base units in one `unit`."""
        return base_unit(self.unit)[1]

    @property
    def day_cap(self) -> int | None:
        """Base units no single day can exceed, or None where nothing is known."""
        cap = DAY_CAPS.get(self.base) if self.max_per_day is None else self.max_per_day
        return cap or None
