-- grain: one input row that was refused
CREATE VIEW v1.rejects AS
SELECT
    "source",
    "file",
    "row",
    "reason"
FROM _internal.rejects;
