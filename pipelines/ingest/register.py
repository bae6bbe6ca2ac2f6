"""Load the household register from its files.

It is small and read whole: when any of its files has changed, all are read again.
"""

from pathlib import Path

import polars as pl

from anomaly.readings import parse_household_register
from pipelines.config.sections import Source
from pipelines.ingest.files import file_name, find_files
from pipelines.ingest.formats import read_file
from pipelines.ingest.ledger import FileLedger, reading_mark
from pipelines.ingest.pseudonyms import EncodeIds
from pipelines.storage.rejects import replace_rejects
from pipelines.storage.stored_register import has_register, write_register

_OPTIONAL_COLUMNS = ("building", "district", "class", "moved_in", "broken")


def load_register(source: Source, root: Path, ledger: FileLedger, encode_ids: EncodeIds) -> None:
    """Bring the stored register, its rejects and the ledger up to date with its files. Raises SourceError."""
    changed = ledger.find_changed(source, root, reading_mark(source))
    if not changed and has_register(ledger.store):
        return
    frames = []
    for path in find_files(root, source):
        raw = encode_ids(read_file(path, source))
        absent = [name for name in _OPTIONAL_COLUMNS if name not in raw.columns]
        raw = raw.with_columns(pl.lit(None, pl.String).alias(name) for name in absent)
        frames.append(raw.with_columns(file=pl.lit(file_name(path, root))))
    cells = pl.concat(frames, how="diagonal")
    register, refused = parse_household_register(cells)
    rejects = {}
    for entry, _ in changed:
        of_file = pl.col("file") == entry["file"]
        rejects[entry["file"]] = refused.filter(of_file)
        entry["rejects"] = rejects[entry["file"]].height
        entry["rows"] = cells.filter(of_file).height - entry["rejects"]
        ledger.record(entry)
    write_register(ledger.store, register)
    replace_rejects(ledger.store, source.name, rejects)
