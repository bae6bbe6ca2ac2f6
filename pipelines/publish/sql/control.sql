-- grain: one unlisted home drawn at random for a check at the desk
CREATE VIEW v1.control AS
SELECT
    "night",
    "case_id",
    "household",
    "district"
FROM _internal.control;
