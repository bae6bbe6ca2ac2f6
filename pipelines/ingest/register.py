"""Load the household register from its files.

It is small and read whole: when any of its files has changed, came or went, all are read again.
"""

from pathlib import Path

import polars as pl

from anomaly.readings import parse_household_register, parse_signal_ids
from pipelines.config.sections import Source
from pipelines.ingest.files import file_name, find_files
from pipelines.ingest.formats import read_file
from pipelines.ingest.ledger import FileLedger, reading_mark
from pipelines.ingest.pseudonyms import EncodeIds
from pipelines.ingest.signal_ids import ROLE, encode_signal_ids, signals_with_ids, write_signal_ids
from pipelines.storage.rejects import replace_rejects
from pipelines.storage.stored_register import has_register, write_register

OPTIONAL_COLUMNS = ("building", "district", "class", "moved_in", "moved_out", "broken")


def load_register(source: Source, root: Path, ledger: FileLedger, encode_ids: EncodeIds) -> None:
    """Bring the stored register, its rejects and the ledger up to date with its files. Raises SourceError."""
    changed = ledger.find_changed(source, root, reading_mark(source))
    paths = {file_name(path, root): path for path in find_files(root, source)}
    gone = [file for file in ledger.files(source.name) if file not in paths]
    if not changed and not gone and has_register(ledger.store):
        return
    frames = []
    for name, path in paths.items():
        raw = encode_signal_ids(encode_ids(read_file(path, source)), encode_ids)
        absent = [column for column in OPTIONAL_COLUMNS if column not in raw.columns]
        raw = raw.with_columns(pl.lit(None, pl.String).alias(column) for column in absent)
        frames.append(raw.with_columns(file=pl.lit(name)))
    cells = pl.concat(frames, how="diagonal")
    register, refused = parse_household_register(cells)
    if signals := signals_with_ids(source):
        ids, contested = parse_signal_ids(cells, {signal: f"{ROLE}{signal}" for signal in signals})
        write_signal_ids(ledger.store, ids)
        refused = pl.concat([refused, contested]).unique(["file", "row"], keep="first", maintain_order=True)
    # of files that did not change too: an id may be ambiguous since another file gives it
    entries = {file: ledger.get(source.name, file) for file in paths}
    entries |= {entry["file"]: entry for entry, _ in changed}
    for file, entry in entries.items():
        assert entry is not None, "a file that is not in the ledger has changed"
        of_file = pl.col("file") == file
        entry["rejects"] = refused.filter(of_file).height
        entry["rows"] = cells.filter(of_file).height - entry["rejects"]
        ledger.record(entry)
    for file in gone:
        ledger.remove(source.name, file)
    write_register(ledger.store, register)
    rejects = {file: refused.filter(pl.col("file") == file) for file in [*paths, *gone]}
    replace_rejects(ledger.store, source.name, rejects)
