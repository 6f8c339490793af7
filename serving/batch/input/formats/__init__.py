"""The input formats: one module has all that is particular to a format, but for its reader."""
