"""Readings to evidence: the judging of a night."""
