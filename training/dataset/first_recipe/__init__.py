"""Drafts a first recipe for a table, for `cloche init`."""
