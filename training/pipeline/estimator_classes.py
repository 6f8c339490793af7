"""Finds the installed packages to which imported modules belong."""

from collections.abc import Mapping, Sequence
from functools import cache
from importlib.metadata import packages_distributions


@cache
def providers() -> Mapping[str, Sequence[str]]:
    """Return the package names of each top-level module; cached, as all packages are read."""
    return packages_distributions()
