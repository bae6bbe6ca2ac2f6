-- grain: one source on one night
CREATE VIEW v1.sources AS
SELECT
    "night",
    "source",
    "newest_day",
    "age_days",
    "usual_age_days",
    "homes_usual",
    "homes_read",
    "share_judged",
    "estimated",
    "refused",
    "status",
    "note"
FROM _internal.sources;
