-- grain: one signal of one household that could not be judged on one night
CREATE VIEW v1.not_judged AS
SELECT
    "night",
    "household",
    "signal",
    "reason"
FROM _internal.not_judged;
