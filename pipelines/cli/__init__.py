"""The command line: commands, how they talk, and the log of a run."""
