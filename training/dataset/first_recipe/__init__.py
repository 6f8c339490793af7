"""The first recipe for a table: `cloche init`."""
