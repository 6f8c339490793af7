"""Metrics of logged rows with labels: values, intervals, and errors of any function of weights."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from cloche.training.evaluation.predictions import Floats, Pairs
from cloche.training.evaluation.weighted_metrics import Weighted, prepare
from cloche.training.monitor.limits import Measured
from cloche.training.recipe.metric_catalog import METRICS

_GROUPS = 20


@dataclass(frozen=True)
class LabelledRows:
    """Rows with predictions and labels, in the order in which they were received.

    Attributes:
        pairs: True values and predictions, n rows.
        weights: (n,) How many requests each row stands for.
        days: (n,) Day of each row, as days since 1970.
        slices: Column → (n,) values as text.
    """

    pairs: Pairs
    weights: Floats
    days: "np.ndarray"
    slices: dict[str, "np.ndarray"]

    def __len__(self) -> int:
        return len(self.pairs)

    def take(self, rows: "np.ndarray") -> "LabelledRows":
        """Return some rows, given as positions or as a mask."""
        slices = {name: values[rows] for name, values in self.slices.items()}
        return LabelledRows(self.pairs.take(rows), self.weights[rows], self.days[rows], slices)

    def window(self, last: int, days: int) -> "LabelledRows":
        """Return the rows of the days that end with `last`; without a copy for sorted days."""
        begin, end = np.searchsorted(self.days, [last - days + 1, last + 1])
        return self.take(np.arange(begin, end))


def signed(metric: str) -> float:
    """Return 1 for a metric of which more is better, else -1."""
    return 1.0 if METRICS[metric].greater_is_better else -1.0


def goodness(metric: str, rows: LabelledRows) -> Weighted:
    """Return a metric of the rows as a function of weights, turned so that more is better."""
    function, sign = prepare(metric, rows.pairs), signed(metric)
    return lambda weights: sign * function(weights)


def measured(function: Callable[[Floats], float], weights: Floats) -> Measured:
    """Return the value of a function of row weights, with its standard error.

    The error is that of the jackknife that leaves out one of 20 groups of rows at a time (J. Shao
    and D. Tu, The Jackknife and Bootstrap, 1995): a tenth of the work of a bootstrap, and alarms
    look at hundreds of windows.
    """
    groups = np.arange(len(weights)) % _GROUPS
    left = np.array([function(np.where(groups == group, 0.0, weights)) for group in range(_GROUPS)])
    spread = float(((left - left.mean()) ** 2).sum() * (_GROUPS - 1) / _GROUPS)
    return Measured(function(weights), float(np.sqrt(spread)))


def slice_texts(frame: pd.DataFrame, columns: Iterable[str]) -> dict[str, "np.ndarray"]:
    """Return the values of the slice columns that a table has, as text."""
    return {
        name: frame[name].astype(object).where(frame[name].notna(), "(missing)").astype(str)
        .to_numpy(dtype=object)
        for name in columns
        if name in frame.columns
    }  # fmt: skip
