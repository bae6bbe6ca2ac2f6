-- grain: one signal of one household on one day, as the run of `night` saw it
CREATE VIEW v1.expected AS
SELECT
    "night",
    "household",
    "signal",
    "day",
    "value",
    "expected",
    "low",
    "high",
    "surprise",
    "unit"
FROM _internal.expected;
