"""The interface of a criterion, and the verdict that it gives."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Literal

from cloche.training.measurements import Measurements

Result = Literal["passed", "failed", "not applicable"]


@dataclass(frozen=True)
class CriterionVerdict:
    """The result of one criterion.

    Attributes:
        name: Name of the criterion.
        required: What the criterion requires, as text.
        measured: What was measured, as text.
        result: Outcome for this criterion: passed, failed, or not applicable.
        sentence: The verdict for people.
    """

    name: str
    required: str
    measured: str
    result: Result
    sentence: str


class Criterion(ABC):
    """One criterion with the values that a recipe or a policy gives it.

    It is built from a key of `Gate`; what it demands and says is in its class. Its verdict
    becomes a row of the evidence and of the report.
    """

    def metrics(self) -> dict[str, str]:
        """Return the metrics to compute: key of the recipe → name of the metric."""
        return {}

    def columns(self) -> tuple[str, ...]:
        """Return the columns whose values are slices to measure."""
        return ()

    @abstractmethod
    def summary(self, primary_metric: str) -> str:
        """Return what is required, for the description of a training."""

    @abstractmethod
    def verdict(self, measurements: Measurements, *, allow_breaking: bool) -> CriterionVerdict:
        """Judge a version; a number that is `nan` or infinite never passes.

        Args:
            measurements: Measurements of the version.
            allow_breaking: Whether to accept a changed signature, and a production version that
                cannot be scored on this holdout.
        """
