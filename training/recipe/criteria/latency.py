"""The criterion that one row is predicted in time."""

from dataclasses import dataclass
from math import isfinite
from typing import Annotated

from pydantic import Field

from cloche.training.measurements import Measurements
from cloche.training.recipe.criteria.criterion import Criterion, CriterionVerdict

Milliseconds = Annotated[float, Field(gt=0)]


@dataclass(frozen=True)
class Latency(Criterion):
    """A limit for the median time of a one-row prediction through MLflow's pyfunc.

    Time in which the prediction waits for a core that other programs use is not counted, if the
    system reports it (Linux).

    Attributes:
        budget: The limit, in milliseconds.
    """

    budget: Milliseconds

    def summary(self, primary_metric: str) -> str:
        return f"one row within {self.budget:g} ms"

    def verdict(self, measurements: Measurements, *, allow_breaking: bool) -> CriterionVerdict:
        name, required = "latency", f"at most {self.budget:g} ms a row"
        value = measurements.latency_ms
        if value is None or not isfinite(value):
            reason = measurements.prediction_failure or measurements.failures.get(
                "latency", "not measured"
            )
            sentence = f"the time of one row could not be measured: {reason}"
            return CriterionVerdict(name, required, "not measured", "failed", sentence)
        sentence = f"one row takes {value:.1f} ms (median); {self.budget:g} ms are allowed"
        passed = value <= self.budget
        return CriterionVerdict(
            name, required, f"{value:.1f} ms", "passed" if passed else "failed", sentence
        )
