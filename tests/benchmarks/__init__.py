"""Measurements that take minutes, run by hand: `python tests/benchmarks/quality.py --help`."""
