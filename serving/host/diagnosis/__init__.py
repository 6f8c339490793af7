"""Explains why MLflow refused a request: by column, parameter, property or shape, not by value.

Nothing here decides whether a request is refused. `diagnosis.py` defines the order of the checks.
"""
