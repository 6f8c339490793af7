"""A stand-in for a model that is loaded later, while its twin answers."""

from collections.abc import Callable
from typing import Any

from mlflow.models import Model
from mlflow.pyfunc import PyFuncModel


class LoadingModel:
    """A model of which only the metadata is there: `load` returns it for every other attribute."""

    def __init__(self, metadata: Model, load: Callable[[], PyFuncModel]) -> None:
        self.metadata = metadata
        self._load = load

    def __getattr__(self, name: str) -> Any:
        return getattr(self._load(), name)
