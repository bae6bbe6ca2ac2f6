"""The state folder: everything that outlives a run, how it is written, and how it is read.

`state` is the Store: where things lie, small files, journals and locks. `atomic_write` is the only module
that writes files, `checksums` knows every file's checksum, `partitions` keeps large tables as numbered
Parquet files. On these rest `home_numbers`, `raw_rows`, `daily_readings`, `rejects`, `stored_register` and
`audit_log`; `stored_readings` gives a night its readings.

Beside the published file lie `audit.jsonl`, `manifest.json`, `run.lock`, `run.holder` and the folder `state`:

    site.json               which settings file the state belongs to                 jobs.site_places
    sums.json               checksums of the files beside it, in each folder        checksums
    version.json            which version of the state this is                      state
    homes.parquet           ids of the homes by number                              home_numbers
    rows/SIGNAL/            raw rows, in partitions                                 raw_rows
    days/SIGNAL/            daily readings, in partitions                           daily_readings
    carry/SIGNAL/           what the next rows need to know of those before         ingest.incremental
    register.parquet        household register                                      stored_register
    rejects.parquet         rows that were refused                                  rejects
    files.json              files that were loaded                                  ingest.ledger
    readings.json           what the daily readings were made with                  ingest.loader
    loading.json            there while readings are being changed                  ingest.loader
    late.jsonl              readings that came after their nights were judged       ingest.late_arrivals
    late_count.json         how many such notes there were ever                     ingest.late_arrivals
    pseudonyms.json         which key the codes were made with                      ingest.pseudonyms
    nights/NIGHT/           what a night found, and what it knew                    scoring, cases
    runs.jsonl              every run                                               jobs.nightly
    running.json            there while a run is under way                          jobs.nightly
    outcomes.jsonl          decisions and visits                                    cases.outcome_journal
    assignments.jsonl       who has a case                                          cases.outcome_journal
    kept_from.json          first kept day of each class of data                    jobs.retention
    pruning.json            there while data are being pruned                       jobs.retention
    deletions.jsonl         what was pruned                                         jobs.retention
    chain.json              length and last hash of the audit log                   audit_log
"""
