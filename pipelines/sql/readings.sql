-- grain: one signal of one household on one local day
CREATE VIEW v1.readings AS
SELECT
    "household",
    "signal",
    "day",
    "value",
    "unit",
    "quality"
FROM _internal.readings;
