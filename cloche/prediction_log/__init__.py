"""The prediction log at its destination: its columns, its names, its files, and how it is kept.

Training and serving read and write it alike. It imports no model library, and MLflow in no module
that a server imports.
"""
