"""Imports without libraries that nobody asked for."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

_WRAPPERS = "sklearn.externals.array_api_compat"


@contextmanager
def without_array_libraries() -> Iterator[None]:
    """Leave PyTorch, CuPy and Dask out of what is imported meanwhile.

    `skops.io` asks scikit-learn for all estimators, which then imports each of its packages, also
    the wrappers of these libraries, and with them the library where it is installed: of PyTorch two
    seconds of a core and 460 MB. An empty module stands in for each wrapper.
    """
    names = {f"{_WRAPPERS}.{name}" for name in ("cupy", "dask", "torch")} - sys.modules.keys()
    sys.modules.update((name, ModuleType(name)) for name in names)
    try:
        yield
    finally:
        for name in names:
            sys.modules.pop(name, None)
