"""`anomaly evaluate`: the library's score card on a copy of the site's own readings."""

import datetime as dt
import json
import tempfile
from pathlib import Path

import polars as pl

from anomaly import cases, evidence
from anomaly.evaluate import evaluate
from anomaly.readings import latest_night
from pipelines.collect import fold
from pipelines.judge import judge, kinds
from pipelines.load import load
from pipelines.nightly import NothingReadable
from pipelines.settings import Settings
from pipelines.store import Store
