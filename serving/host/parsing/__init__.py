"""Parsing of request bodies: JSON, types, missing values, and the columns of a signature."""
