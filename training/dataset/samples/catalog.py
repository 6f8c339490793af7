"""The samples by name."""

from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd

from training.dataset.samples.flights import flights
from training.dataset.samples.small import breast_cancer, diabetes, wine
from training.errors import DataError
from training.recipe.nearest import suggestion


@dataclass(frozen=True)
class Sample:
    """A data set that comes with a package.

    Attributes:
        load: makes the table; takes seconds at most.
        target: the column to predict.
        time: the column that tells when, if there is one.
    """

    load: Callable[[], pd.DataFrame]
    target: str
    time: str | None = None


SAMPLES = {
    "flights": Sample(flights, target="late", time="flight_date"),
    "breast_cancer": Sample(breast_cancer, target="benign"),
    "diabetes": Sample(diabetes, target="progression"),
    "wine": Sample(wine, target="cultivar"),
}


def find_sample(name: str) -> Sample:
    """The sample of that name.

    Raises:
        DataError: there is none.
    """
    if name not in SAMPLES:
        raise DataError(f"sample:{name}", [f"no such sample; {suggestion(name, SAMPLES)}"])
    return SAMPLES[name]
