"""Imports of slow packages in less time: without garbage collection, and only of what is used."""

import gc
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from importlib.abc import Loader

# MLflow imports this package for the names of two headers. The package imports FastAPI, which takes
# an eighth of the time of `import mlflow`, for functions that Cloche and its models do not call.
_RARELY_USED = "mlflow.gateway"


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


def defer_rarely_used() -> None:
    """Let the code of MLflow's rarely used package run when something in it is first used.

    The modules in the package are imported as usual.
    """
    sys.meta_path.insert(0, _Finder())


class _Finder:
    """Finds the rarely used package, and no other module."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name != _RARELY_USED:
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = cast("Loader", _Deferring(spec.loader))
        return spec


class _Deferring:
    """A loader that makes the module, and lets its code run when it is first used."""

    def __init__(self, loader: "Loader") -> None:
        self._loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        if module.__spec__ is not None:
            module.__spec__.loader = module.__loader__ = self._loader
        module.__class__ = _Deferred


class _Deferred(ModuleType):
    """A module whose code runs when an attribute is asked for that the module does not have."""

    _lock = threading.RLock()
    _begun = False

    def __getattr__(self, name: str) -> Any:
        with self._lock:
            if not self._begun:
                self._begun = True  # the code itself may ask for attributes
                try:
                    cast("Loader", self.__loader__).exec_module(self)
                except BaseException:
                    self._begun = False  # the next use reports the same error
                    raise
        return super().__getattribute__(name)
