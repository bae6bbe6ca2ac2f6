"""Processes, threads and clusters that work is spread over."""
