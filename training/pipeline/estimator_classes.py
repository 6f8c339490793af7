"""Which installed packages the modules of a pipeline come from."""

from collections.abc import Mapping, Sequence
from functools import cache
from importlib.metadata import packages_distributions


@cache
def providers() -> Mapping[str, Sequence[str]]:
    """Top-level module → names of packages; read once, as it walks everything installed."""
    return packages_distributions()
