"""The frameworks whose models Cloche is tried with, and what `make_models.py` saves of each."""

import importlib.util
import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

Save = Callable[[str], Path]
"""From a framework to the directory with its models, saved when it is asked for first."""


class Framework(NamedTuple):
    """A framework by the module that must be there, and the names of its models."""

    module: str
    models: tuple[str, ...]


FRAMEWORKS = {
    "xgboost": Framework("xgboost", ("xgboost", "xgboost_classifier")),
    "lightgbm": Framework("lightgbm", ("lightgbm", "lightgbm_classifier")),
    "pytorch": Framework("torch", ("pytorch", "pytorch_columns")),
    "tensorflow": Framework("tensorflow", ("tensorflow",)),
    "onnx": Framework("skl2onnx", ("onnx",)),
    "statsmodels": Framework("statsmodels", ("statsmodels",)),
    "pyfunc": Framework("mlflow", ("pyfunc",)),
}


def needs(name: str) -> list[pytest.MarkDecorator]:
    """The marks of a test of a framework: breadth, and skipped where it is not installed.

    In CI it must be. A `pyfunc` is what every installation has, and is proven by `make test`.
    """
    if name not in FRAMEWORKS or name == "pyfunc":
        return []
    if "CI" in os.environ:
        return [pytest.mark.breadth]
    absent = importlib.util.find_spec(FRAMEWORKS[name].module) is None
    skipped = pytest.mark.skipif(absent, reason=f"{name} is not installed: make frameworks")
    return [pytest.mark.breadth, skipped]
