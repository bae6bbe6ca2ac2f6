"""The published DuckDB file and its Parquet export."""
