"""Imports of slow packages in less time: without garbage collection, and only of what is used."""

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

_WRAPPERS = "sklearn.externals.array_api_compat"


@contextmanager
def without_collection() -> Iterator[None]:
    """Import in the block: later collections of garbage do not visit what exists at its end.

    Imports make many objects and few cycles, so that collections are a tenth of their time.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


@contextmanager
def without_array_libraries() -> Iterator[None]:
    """Leave PyTorch, CuPy and Dask out of what is imported in the block.

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
