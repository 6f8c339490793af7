"""The content of a version: signature, requirements, trusted types, reference profile."""
