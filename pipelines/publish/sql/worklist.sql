-- grain: one door proposed for one night
CREATE VIEW v1.worklist AS
SELECT
    "night",
    "rank",
    "case_id",
    "household",
    "district",
    "signature",
    "desk",
    "rarity",
    "chance_wrong",
    "chance_before",
    "first_listed",
    "assigned"
FROM _internal.worklist;
