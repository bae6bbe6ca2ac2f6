-- grain: one reason to look at one household on one night
CREATE VIEW v1.evidence AS
SELECT
    "night",
    "household",
    "detector",
    "signal",
    "window_days",
    "ratio",
    "score",
    "rarity",
    "because"
FROM _internal.evidence;
