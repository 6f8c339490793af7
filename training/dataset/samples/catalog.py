"""The catalogue of samples by name."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date

import pandas as pd

from cloche.training.dataset.reading.datetimes import within
from cloche.training.dataset.samples.flights import flights
from cloche.training.dataset.samples.sklearn_samples import breast_cancer, diabetes, wine
from cloche.training.errors import DataError
from cloche.training.recipe.suggestions import suggestion


@dataclass(frozen=True)
class Sample:
    """A data set that comes with a package.

    Attributes:
        load: Function that makes the table; it takes a few seconds at most.
        about: Description in one line.
        target: Column to predict.
        time: Column with the time of each row; None if there is none.
    """

    load: Callable[[], pd.DataFrame]
    about: str
    target: str
    time: str | None = None


SAMPLES = {
    "flights": Sample(
        flights,
        "327,346 flights from New York in 2013, with weather: late or not (cloche[samples])",
        target="late",
        time="flight_date",
    ),
    "breast_cancer": Sample(breast_cancer, "569 tumours, measured: benign or not", target="benign"),
    "wine": Sample(wine, "178 wines, measured: which of three cultivars", target="cultivar"),
    "diabetes": Sample(
        diabetes, "442 patients, measured: progression after a year", target="progression"
    ),
}


def find_sample(name: str) -> Sample:
    """Return the sample of that name.

    Raises:
        DataError: There is no such sample.
    """
    if name not in SAMPLES:
        raise DataError(f"sample:{name}", [f"no such sample; {suggestion(name, SAMPLES)}"])
    return SAMPLES[name]


def sample_rows(
    name: str, *, first: date | None = None, last: date | None = None, with_target: bool = True
) -> pd.DataFrame:
    """Return the rows of a sample, for example of days that a recipe keeps out of training.

    Args:
        name: Name of the sample.
        first: First day wanted; by default the first one of the sample.
        last: Last day wanted, inclusive; by default the last one of the sample.
        with_target: Whether the table includes the target column.

    Raises:
        DataError: There is no such sample, or it has no times or no row of those days.
    """
    sample = find_sample(name)
    frame = sample.load()
    if first is not None or last is not None:
        if sample.time is None:
            raise DataError(f"sample:{name}", ["its rows have no times; leave out --from and --to"])
        when = frame[sample.time]
        chosen = frame[within(when, first or when.min().date(), last or when.max().date())]
        if chosen.empty:
            covered = f"it covers {when.min():%Y-%m-%d} to {when.max():%Y-%m-%d}"
            raise DataError(f"sample:{name}", [f"no row of these days; {covered}"])
        frame = chosen.reset_index(drop=True)
    return frame if with_target else frame.drop(columns=sample.target)
