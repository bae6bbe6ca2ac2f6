"""Frames of a night to pages on disk."""
