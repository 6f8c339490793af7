"""The output formats: one module has all that is particular to a format, and its writer."""
