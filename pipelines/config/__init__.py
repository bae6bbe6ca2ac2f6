"""The settings file, its defaults, and the calendar in force."""
