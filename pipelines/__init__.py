"""The flow: files, the store, the order of the night, the command line."""
