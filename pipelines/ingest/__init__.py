"""From the files of the sources to daily readings in the state.

The order, and the module that does each step:

1. `files`              find the files of a source
2. `ledger`             leave out those that were loaded before and have not changed
3. `formats`            read a file of any format, in two steps:
   `csv_text`, `workbook` or `parquet_file`, into a `text_table`
   `roles`              name its columns by role, and refuse columns that describe persons
4. `pseudonyms`         replace ids by codes, where the settings ask for that
   `anomaly.readings`   parse the text into typed rows, and refuse rows that cannot be right
5. `incremental`        write the raw rows, and the daily readings that come of them
   `late_arrivals`      note which judged nights they touch
6. `register`           load the household register, which is read whole
   `signal_ids`         give the ids that a signal has of its own the homes that the register gives them
7. `contradictions`     mark the days of meters that the door counts contradict
8. `inputs`             hand the night what the state holds then

`loader` does these in turn, batch by batch, and mends what an earlier load has left undone.
"""
