"""The destination of scored rows: working directory, output and its layout, output lock."""
