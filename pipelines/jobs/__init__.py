"""One module a command: the nightly batch and everything else that is run."""
