-- grain: promised against realised wrong doors of one group of doors
CREATE VIEW v1.account AS
SELECT
    "grouped_by",
    "name",
    "listed",
    "answered",
    "confirmed",
    "wrong",
    "promised",
    "wrong_share",
    "low",
    "high",
    "chance_before",
    "chance_after",
    "stopped"
FROM _internal.account;
