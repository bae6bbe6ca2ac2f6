-- grain: one household
CREATE VIEW v1.households AS
SELECT
    "household",
    "building",
    "district"
FROM _internal.households;
