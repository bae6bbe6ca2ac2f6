-- grain: one decision or visit
CREATE VIEW v1.outcomes AS
SELECT
    "case_id",
    "day",
    "outcome",
    "reason",
    "by",
    "minutes"
FROM _internal.outcomes;
