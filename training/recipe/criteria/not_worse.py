"""The criterion that a version is not worse than production."""

from functools import partial
from math import isfinite

from pydantic import Field

from cloche.training.measurements import Comparison, Difference, Measurements
from cloche.training.recipe.criteria.criterion import Criterion, CriterionVerdict
from cloche.training.recipe.sections import Section
from cloche.training.recipe.values import MetricName


class NotWorse(Section, Criterion):
    """The criterion that a version is not worse than production by more than a margin.

    The one-sided lower bound of the paired bootstrap of the gain is at least `-margin`. A version
    that is truly worse by more than the margin is refused with the stated confidence, even if its
    holdout score is high by luck. An equally good version passes once the holdout is large enough
    to show that; one with identical predictions always passes. The criterion is not applicable
    while no version serves.

    The report draws the margin beside the gains (`gate/report.py`), and `gate/policy.py` names the
    metric that a recipe leaves open.

    Attributes:
        metric: Metric that is compared; by default the recipe's first one.
        margin: How much worse than production is still accepted, in the metric's own units.
        confidence: Confidence level of the one-sided bound on the paired difference.
    """

    metric: MetricName | None = None
    margin: float = Field(default=0.005, ge=0)
    confidence: float = Field(default=0.95, gt=0.5, lt=1)

    def metrics(self) -> dict[str, str]:
        return {"gate.not_worse.metric": self.metric} if self.metric else {}

    def summary(self, primary_metric: str) -> str:
        metric = self.metric or primary_metric
        return f"{metric} not worse than production by more than {self.margin:g}"

    def verdict(self, measurements: Measurements, *, allow_breaking: bool) -> CriterionVerdict:
        """Judge the gain over production.

        Raises:
            ValueError: The metric is not named.
        """
        metric, comparison = self.metric, measurements.comparison
        if metric is None:
            raise ValueError("not_worse.metric must be named before a decision")
        verdict = partial(
            CriterionVerdict, f"not worse by {metric}", f"at most {self.margin:g} worse"
        )
        if comparison is None:
            sentence = "nothing serves yet, so there is nothing to compare with"
            return verdict("no production", "not applicable", sentence)
        difference = comparison.differences.get(metric)
        if difference is None or not isfinite(difference.production):
            sentence = _incomparable(metric, comparison, measurements)
            if allow_breaking and measurements.prediction_failure is None:
                sentence += " (accepted by --allow-breaking)"
                return verdict("not comparable", "not applicable", sentence)
            return verdict("not comparable", "failed", sentence)
        if not (isfinite(difference.gain) and isfinite(difference.bound)):
            return verdict("undefined", "failed", measurements.why_undefined(metric))
        better = f"{abs(difference.gain):.4f} {'better' if difference.gain >= 0 else 'worse'}"
        passed = difference.bound >= -self.margin
        return verdict(
            f"{better}, at worst {difference.bound:+.4f}",
            "passed" if passed else "failed",
            f"by {metric} it is {better} than production version {comparison.version}"
            + self._explained(difference, measurements.rows),
        )

    def _explained(self, difference: Difference, rows: int) -> str:
        """Return how a defined difference relates to the margin."""
        confidence = f"with {difference.confidence:.0%} confidence"
        if difference.bound >= -self.margin:
            return f", and {confidence} not worse by more than {self.margin:g}"
        if difference.gain < -self.margin:
            return f"; a margin of {self.margin:g} is allowed"
        return (
            f", but {rows:,} rows do not show {confidence} that it is not worse by more than "
            f"{self.margin:g}: it may be {-difference.bound:.4f} worse"
        )


def _incomparable(metric: str, comparison: Comparison, measurements: Measurements) -> str:
    reason = comparison.failure or (
        f"{metric} is undefined: {measurements.undefined[metric]}"
        if metric in measurements.undefined
        else f"{metric} is not defined for its predictions"
    )
    return f"production version {comparison.version} cannot be compared: {reason}"
