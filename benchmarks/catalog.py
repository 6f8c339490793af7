"""Which contenders and models there are, in the order of the tables."""

from importlib import import_module
from typing import Final, cast

from benchmarks.place import Contender

BASE: Final = "mlflow"  # what all others are compared with
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
    """The module of that contender."""
    return cast("Contender", import_module(f"benchmarks.contenders.{name}"))
