"""The flow: files, the store, the order of the night, the command line."""

import os

# Idle threads of a kernel leave their processor to those that read and write meanwhile. Read when OpenMP is
# loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
