"""The state folder: how everything that outlives a run is written and read."""
