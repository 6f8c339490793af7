"""Checks that a version decides at the probability at which it, or the one before it, decided.

A version whose threshold is wrong ranks as well as before, so its ROC AUC says nothing, and the
share of its positive answers may lie within what storms do to it. But the probabilities of its
positive and negative answers lie on two sides of the threshold, and those are in the log.
"""

from dataclasses import dataclass
from typing import Self

from cloche.training.errors import TrainingError
from cloche.training.evaluation.model_output import read
from cloche.training.evaluation.predictions import Predictions
from cloche.training.monitor.alarms import Exceedance
from cloche.training.monitor.logged_days import Log, outputs_of
from cloche.training.monitor.version_reference import VersionReference

_TOLERANCE = 0.005  # a twin computes in 32 bits, and people round probabilities
_ADVICE = "if the change was not meant, put the version before it back, with cloche rollback"


@dataclass(frozen=True)
class Threshold:
    """Where predictions change: above `low`, at most at `high`."""

    low: float
    high: float

    @classmethod
    def of(cls, predictions: Predictions | None) -> Self | None:
        """Return the threshold that predictions show; None if they show none."""
        if predictions is None or predictions.target.task != "binary":
            return None
        if predictions.probabilities is None or predictions.codes is None:
            return None
        chances = predictions.positive_probability()
        positive = predictions.codes == predictions.target.positive_code
        low = float(chances[~positive].max(initial=0.0))
        high = float(chances[positive].min(initial=1.0))
        return cls(low, high) if low <= high else None

    def contradicts(self, other: Self) -> bool:
        """Return whether no single threshold explains both."""
        return self.low > other.high + _TOLERANCE or other.low > self.high + _TOLERANCE


def check_threshold(
    reference: VersionReference, before: VersionReference | None, log: Log
) -> list[Exceedance]:
    """Compare the days of a version with its holdout, and with that of the version before it."""
    target, number = reference.target, reference.number
    known = {"on its holdout": _of_holdout(reference)}
    if before is not None:
        known[f"those of version {before.number}"] = _of_holdout(before)
    exceedances = list[Exceedance]()
    if target is None or target.task != "binary":
        return exceedances
    for one in log.days_of(number):
        rows = log.rows_of(number, one.day)
        try:
            live = Threshold.of(read(outputs_of(rows), target, rows=len(rows)))
        except TrainingError:  # the quality of the version has a note about it
            continue
        for said, expected in known.items():
            if live is not None and expected is not None and live.contradicts(expected):
                says = (
                    f"answers change at a probability of {live.high:.3g}, {said} at "
                    f"{expected.high:.3g}"
                )
                exceedances.append(
                    Exceedance("threshold", "prediction", number, one.day, 2.0, says, _ADVICE)
                )
    return exceedances


def _of_holdout(reference: VersionReference) -> Threshold | None:
    return Threshold.of(reference.holdout.pairs.predictions if reference.holdout else None)
