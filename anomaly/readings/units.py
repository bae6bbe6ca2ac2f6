"""Units: how a unit that the settings name becomes a whole number of base units."""

# unit as written in the settings (any case) -> base unit, base units in one of it
UNITS: dict[str, tuple[str, float]] = {
    "count": ("count", 1.0),
    "litre": ("litre", 1.0),
    "l": ("litre", 1.0),
    "m3": ("litre", 1000.0),
    "ft3": ("litre", 28.316846592),
    "gallon_us": ("litre", 3.785411784),
    "gallon_uk": ("litre", 4.54609),
    "liter": ("litre", 1.0),
    "升": ("litre", 1.0),
    "立方米": ("litre", 1000.0),
    "吨": ("litre", 1000.0),
    "wh": ("Wh", 1.0),
    "kwh": ("Wh", 1000.0),
    "mwh": ("Wh", 1_000_000.0),
    "度": ("Wh", 1000.0),
    "千瓦时": ("Wh", 1000.0),
    "w": ("Wh", 1.0),
    "kw": ("Wh", 1000.0),
    "cent": ("cent", 1.0),
}
UNITS_AS_WRITTEN = (
    "cent", "count", "ft3", "gallon_uk", "gallon_us", "kW", "kWh", "l", "litre", "m3", "MWh", "W", "Wh",
)  # fmt: skip
"""The units in alphabetical order, for messages."""
POWER_UNITS = frozenset({"w", "kw"})
"""Units of mean power: a row's value times the hours of its period is a use."""

DAY_CAPS = {"litre": 50_000, "Wh": 600_000, "count": 5_000}
"""Base units that no home exceeds in a day: a 20 mm connection running all day (2 m3/h), 25 kW all day, one
passage every 17 s."""


def base_unit(unit: str) -> tuple[str, float]:
    """Return the integer unit in which a signal is kept, and how many of it one `unit` holds.

    "m3" -> ("litre", 1000.0). Raises ValueError for a unit that is not known, naming those that are.
    """
    found = UNITS.get(_spelled(unit))
    if found is None:
        raise ValueError(f"unit {unit!r} is not known; write one of {', '.join(UNITS_AS_WRITTEN)}")
    return found


def is_power(unit: str) -> bool:
    """Return whether values of a unit are mean power over their period."""
    return _spelled(unit) in POWER_UNITS


def _spelled(unit: str) -> str:
    return unit.strip().replace("³", "3").lower()
