"""Measurements that take minutes, run by hand and not by the tests.

`python tests/benchmarks/quality.py` compares this tool with other methods: about half an hour on two cores,
`--quick` about a minute, `--ablation` takes one step of the tool out at a time. What it needs beyond the
tool's own packages:

- statsforecast, which wants another pandas and numpy: a Python environment of its own, made once from
  `other/requirements.txt` (--peers-env says where);
- R's `surveillance`: `apt-get install r-base-core r-cran-surveillance`.

`python -m tests.benchmarks.kernels` times what is written by hand in the compiled kernels beside plain
library calls. `python -m tests.benchmarks.charts` times a case's page with and without the background that
charts share.

A peer that is missing is named and left out. The arithmetic is tested in `tests/test_benchmarks.py`.
"""
