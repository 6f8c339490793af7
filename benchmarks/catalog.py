"""The contenders and the models, in the order of the tables."""

from importlib import import_module
from typing import Final, cast

from benchmarks.place import Contender

BASE: Final = "mlflow"  # the contender that all others are compared with
CONTENDERS: Final = (
    *("echo", "mlflow", "fastapi", "bentoml", "litserve", "mlserver"),
    *("cloche", "cloche_no_acceleration"),
)
MODELS: Final = {
    "twelve": "8 numbers and 4 categories, histogram gradient boosting",
    "flights": "the shipped recipe `flights`: 23 columns, histogram gradient boosting",
    "comments": "the shipped recipe `comments`: one text column, character n-grams",
    "wide": "600 numbers, logistic regression",
}


def contender(name: str) -> Contender:
    """Return the module of a contender."""
    return cast("Contender", import_module(f"benchmarks.contenders.{name}"))
