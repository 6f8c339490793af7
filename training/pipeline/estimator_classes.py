"""Finds the installed packages that the modules of a pipeline come from."""

from collections.abc import Mapping, Sequence
from functools import cache
from importlib.metadata import packages_distributions


@cache
def providers() -> Mapping[str, Sequence[str]]:
    """Return top-level module → package names; cached, as it reads all installed packages."""
    return packages_distributions()
