"""The destination of scored rows: working directory, formats, output and its layout, lock."""
