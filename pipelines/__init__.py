"""The flow: files, the store, the order of the night, the command line."""

import os

# Threads of a kernel that have nothing left to do leave their processor to those that read and write meanwhile. Heeded when OpenMP is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
