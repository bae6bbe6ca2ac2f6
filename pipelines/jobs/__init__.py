"""Do the work of the commands; their options and what they print are in `pipelines.cli`.

command                                 its work
--------------------------------------  -------------------------------
nightly, backfill                       nightly.py
evaluate                                evaluate.py
doctor                                  preflight.py, site_places.py
decide, outcomes import, assign, reveal record_outcome.py
prune                                   retention.py
init                                    init_site.py
simulate                                simulate_city.py
worklist, status, calendar, tables      pipelines/reporting/queries.py
explain                                 pipelines/reporting/explain.py
audit fairness, audit record            pipelines/reporting/fairness.py
audit verify                            pipelines/storage/audit_log.py
completion                              pipelines/cli/commands.py

Beside them: notices.py gives notice of what a run came to, and site_places.py refuses settings whose places
mix with exports or with another site, before any command writes.
"""
