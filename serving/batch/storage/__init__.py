"""Atomic writes, and the file formats of scored rows."""
