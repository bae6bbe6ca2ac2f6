"""Export files to daily readings."""
