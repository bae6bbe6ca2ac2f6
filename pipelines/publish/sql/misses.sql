-- grain: one estimate of the surges that no list has shown, from random control doors
CREATE VIEW v1.misses AS
SELECT
    "drawn",
    "answered",
    "found",
    "share",
    "low",
    "high",
    "unlisted",
    "missed",
    "missed_low",
    "missed_high"
FROM _internal.misses;
