-- grain: one episode of one household
CREATE VIEW v1.cases AS
SELECT
    "case_id",
    "household",
    "district",
    "signature",
    "onset",
    "opened",
    "last_seen",
    "status",
    "rarity",
    "ratios",
    "extra_people",
    "extra_people_low",
    "extra_people_high",
    "because_en",
    "because_zh",
    "decision",
    "reopened"
FROM _internal.cases;
