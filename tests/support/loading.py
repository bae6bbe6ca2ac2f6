"""Load the files of a site into its state, without judging anything."""

import datetime as dt
from pathlib import Path

import polars as pl

from pipelines.config.settings import load_settings
from pipelines.ingest.loader import load
from pipelines.runtime.progress import ReportProgress, no_progress
from pipelines.storage.state import Store
from tests.support.site import SIGNALS, Site, make_site

TODAY = dt.date(2099, 1, 1)
"""No reading of a test lies after it."""


def load_site(site: Site, progress: ReportProgress = no_progress) -> pl.DataFrame:
    """Load what is new and return every reading (READING_SCHEMA)."""
    settings = load_settings(site.settings)
    store = Store(settings.store)
    store.prepare()
    return load(settings, store, TODAY, progress).readings


def load_at_once(root: Path, site: Site) -> pl.DataFrame:
    """Load the files that a site has now into a new site, and return its readings."""
    other = make_site(root)
    for path in site.root.glob("*.csv"):
        other.put(path.name, path.read_bytes())
    return load_site(other)


def partition_names(site: Site, kind: str) -> dict[str, list[str]]:
    """Return the names of the partitions of each signal, in order; kind: "rows" or "days"."""
    folder = site.root / "out" / "state" / kind
    return {name: sorted(path.name for path in (folder / name).glob("*.parquet")) for name in SIGNALS}
