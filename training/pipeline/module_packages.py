"""Finds the installed packages to which imported modules belong."""

from collections.abc import Mapping, Sequence
from functools import cache
from importlib.metadata import packages_distributions


def packages_by_module(module: str) -> Sequence[str]:
    """Return the names of the packages that a module comes from."""
    top = module.partition(".")[0]
    return ("scikit-learn",) if top == "sklearn" else _all_providers().get(top, ())


@cache
def _all_providers() -> Mapping[str, Sequence[str]]:
    """Return the package names of each top-level module; slow, as all packages are read."""
    return packages_distributions()
