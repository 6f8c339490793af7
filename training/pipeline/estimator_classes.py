"""Finds the installed packages that the modules of a pipeline come from."""

from collections.abc import Mapping, Sequence
from functools import cache
from importlib.metadata import packages_distributions


@cache
def providers() -> Mapping[str, Sequence[str]]:
    """Return the package names of each top-level module; cached, as all packages are read."""
    return packages_distributions()
