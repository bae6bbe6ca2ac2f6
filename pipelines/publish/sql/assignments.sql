-- grain: one assignment of a case to a person or team
CREATE VIEW v1.assignments AS
SELECT
    "case_id",
    "day",
    "to",
    "by"
FROM _internal.assignments;
