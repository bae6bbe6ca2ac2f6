-- grain: one run of the nightly job or of one night of a backfill
CREATE VIEW v1.runs AS
SELECT
    "run",
    "night",
    "started_utc",
    "finished_utc",
    "version",
    "settings_sha256",
    "judged",
    "not_judged",
    "cases_open",
    "cases_new",
    "expected_wrong_doors",
    "notes",
    "revised"
FROM _internal.runs;
