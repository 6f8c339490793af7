"""Scoring of parts: worker processes, their predictions, and recovery from crashed workers."""
