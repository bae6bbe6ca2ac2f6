"""Units: how a unit that the settings name becomes a whole number of base units."""

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
UNITS_AS_WRITTEN = ("cent", "count", "kWh", "l", "litre", "m3", "MWh", "Wh")
"""The units in alphabetical order, for messages."""

DAY_CAPS = {"litre": 50_000, "Wh": 600_000, "count": 5_000}
"""Base units that no home exceeds in a day: a 20 mm connection running all day (2 m3/h), 25 kW all day, one
passage every 17 s."""


def base_unit(unit: str) -> tuple[str, float]:
    """Return the integer unit in which a signal is kept, and how many of it one `unit` holds.

    "m3" -> ("litre", 1000.0). Raises ValueError for a unit that is not known, naming those that are.
    """
    found = UNITS.get(unit.strip().replace("³", "3").lower())
    if found is None:
        raise ValueError(f"unit {unit!r} is not known; write one of {', '.join(UNITS_AS_WRITTEN)}")
    return found
